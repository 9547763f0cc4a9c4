"""How long a run takes and how much memory, by a few of its own steps: `python -m emotion_core.training.estimate`.

The steps are done in a process of its own, so that trying what doesn't fit ends that process and not the server.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import models
from ..messages import EmotionError
from .config import TrainingConfig
from .data import DataChoice, read, read_choice, write_choice

MEASURED = 5
"""Steps that are timed, after the one with the longest sentences that shows the memory."""
LONGEST_SECONDS = 600


@dataclass(frozen=True)
class Estimate:
    """What a run will need. Sizes in bytes; precision: "fp32" or "bf16"; busy: another run slowed the measuring.

    memory is the most the process held; fits says whether that, and the files of the run, find room now.
    """

    seconds: float
    seconds_per_epoch: float
    memory: int
    free_memory: int
    disk: int
    free_disk: int
    steps: int
    sentences_per_second: float
    measured_steps: int
    precision: str
    device: str
    busy: bool

    @property
    def fits(self) -> bool:
        """Whether memory and disk have room for it now."""
        return self.memory < self.free_memory and self.disk < self.free_disk


def estimate(choice: DataChoice, base: str, config: TrainingConfig, device: str | None = None) -> Estimate:
    """Do a few steps of the run and say what all of it needs; 10 to 60 seconds for a model of KoBERT's size.

    Raises EmotionError for what would end the run: data, base, settings, too little memory.
    """
    from ..runs.store import all_runs

    busy = any(run.active for run in all_runs())
    with tempfile.TemporaryDirectory(prefix="emotion-estimate-") as place:
        folder = Path(place)
        spec = {"data": write_choice(choice, folder), "base": base, "config": config.as_dict(), "device": device}
        (folder / "spec.json").write_text(json.dumps(spec), "utf-8")
        try:
            done = subprocess.run(
                [sys.executable, "-m", "emotion_core.training.estimate", str(folder)], stdin=subprocess.DEVNULL,
                capture_output=True, cwd=Path(__file__).parents[2], timeout=LONGEST_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise EmotionError("error.estimate.slow", seconds=LONGEST_SECONDS) from error
        try:
            found = json.loads((folder / "found.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            if done.returncode < 0:  # the system ended it, as it does where memory runs out
                raise EmotionError("error.training.memory", batch=config.batch_size, length=config.max_length,
                                   parts=config.gradient_accumulation) from error
            reason = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["?"])[-1][:200]
            raise EmotionError("error.job.failed", reason=reason) from error
    if "error" in found:
        raise EmotionError(found["error"][0], **found["error"][1])
    return Estimate(**found, busy=busy)


def _main(folder: Path) -> None:
    spec = json.loads((folder / "spec.json").read_text("utf-8"))
    config = TrainingConfig.from_dict(spec["config"])
    try:
        found: dict[str, Any] = _measure(folder, spec, config)
    except EmotionError as error:
        found = {"error": error.stored}
    (folder / "found.json").write_text(json.dumps(found), "utf-8")


def _measure(folder: Path, spec: dict[str, Any], config: TrainingConfig) -> dict[str, Any]:
    import psutil
    import torch

    from . import run
    from .batches import LengthGrouped, Padding, TokenRows, encode
    from .optimization import optimizer

    free = psutil.virtual_memory().available
    data = read(read_choice(spec["data"], folder), config)
    data.check()
    args = run.arguments(config, folder / "checkpoints", spec["device"])
    device = args.device
    with run.plain_errors(config):
        model, tokenizer, _ = run.model_to_train(spec["base"], config, device, fresh=config.head == "fresh")
        model.train()
        longest = min(config.max_length, models.max_length(model, tokenizer))
        train_ids, test_ids = (encode(tokenizer, half.text, longest) for half in (data.train, data.test))
        rows, pad = TokenRows(train_ids, data.train.label), Padding(tokenizer.pad_token_id or 0, train_ids)
        plan = LengthGrouped([len(ids) for ids in train_ids], config.batch_size, config.seed)
        batches = plan.plan(0)
        widths = np.array([max(len(train_ids[i]) for i in batch) * len(batch) for batch in batches], np.float64)
        bf16, chosen = run.uses_bf16(config, device), optimizer(model, config)

        def step(batch: np.ndarray) -> float:
            started = time.perf_counter()
            for part in np.array_split(batch, config.gradient_accumulation):
                if not len(part):
                    continue
                inputs = {name: value.to(device) for name, value in pad([rows[int(i)] for i in part]).items()}
                labels = inputs.pop("labels")
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    logits = model(**inputs).logits
                torch.nn.functional.cross_entropy(logits.float(), labels).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            chosen.step()
            chosen.zero_grad()
            if device.type == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter() - started

        step(batches[0])  # the longest sentences: the most memory, and the first step is slow anyway
        # Batches of every length, from the shortest to the longest, so that the line through them holds for all.
        order = np.argsort(widths, kind="stable")
        tried = [int(order[round(place)]) for place in np.linspace(0, len(order) - 1, min(MEASURED, len(order)))]
        times = np.array([step(batches[place]) for place in tried])
        at = widths[tried]
        slope = max(0.0, float(np.polyfit(at, times, 1)[0])) if len(tried) > 1 and np.ptp(at) else 0.0
        steps_seconds = float((times.mean() + slope * (widths - at.mean())).clip(min=times.min() / 2).sum())
        memory = (torch.cuda.max_memory_allocated() if device.type == "cuda" else _most_memory())
    if device.type == "cuda":
        free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
    # A pass without the way back costs about a third of a step.
    test = sum(map(len, test_ids)) / max(1.0, widths.sum()) * steps_seconds / 3
    weights = sum(p.numel() * 4 for p in model.parameters())
    states = weights * (3 if config.optimizer == "adamw" else 2)
    epoch = steps_seconds + test
    where = models.weights_folder()
    return {
        "seconds": epoch * config.epochs, "seconds_per_epoch": epoch, "memory": int(memory), "free_memory": int(free),
        "disk": 3 * states + weights, "free_disk": shutil.disk_usage(where if where.is_dir() else Path.cwd()).free,
        "steps": len(batches) * config.epochs, "sentences_per_second": len(data.train) / max(1e-9, steps_seconds),
        "measured_steps": len(tried), "precision": "bf16" if bf16 else "fp32", "device": str(device)}


def _most_memory() -> int:
    """The most this process has held so far, bytes."""
    import psutil

    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):
        return int(info.peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def as_dict(found: Estimate) -> dict[str, Any]:
    """The estimate as JSON takes it."""
    return asdict(found) | {"fits": found.fits}


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    _main(Path(sys.argv[1]))
