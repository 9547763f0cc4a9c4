"""What the benchmarks share: the two models, the sentences, the machine, the table. Not a benchmark itself."""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path

import torch
from transformers import BertForSequenceClassification
from transformers.utils import logging
from transformers.utils.logging import disable_progress_bar

from emotion_core.labels import LABELS
from tests.tiny_kobert import save_tiny_kobert

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "weights" / "bundled"
MODELS = ("kobert", "bundled")


def arguments(description: str, model: tuple[str, ...] = MODELS, **defaults: int) -> argparse.Namespace:
    """The options all benchmarks take, and an integer one for each of `defaults`.

    `model`: those taken where none is named.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", choices=MODELS, action="append",
                        help=f"may be given twice (default: {', '.join(model)})")
    parser.add_argument("--file", type=Path, help="sentences, one a line, instead of made-up ones")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    _hush()
    options.model = options.model or list(model)
    return options


def _hush() -> None:
    warnings.filterwarnings("ignore", module="(torch|transformers).*")  # the exporter's, about what is meant
    disable_progress_bar()
    logging.set_verbosity_error()


@contextmanager
def folder_of(name: str) -> Iterator[Path]:
    """The bundled model, or a random one of KoBERT's shape (12 × 768, 8,002 pieces) with pieces of the same make."""
    if name == "bundled":
        yield BUNDLED
        return
    with tempfile.TemporaryDirectory() as root:
        folder = save_tiny_kobert(Path(root) / "kobert")
        config = BertForSequenceClassification.config_class(
            vocab_size=8002, pad_token_id=1, id2label=dict(enumerate(LABELS)),
            label2id={label: i for i, label in enumerate(LABELS)})
        torch.manual_seed(0)
        BertForSequenceClassification(config).save_pretrained(folder)
        yield folder


def sentences(count: int, tokenizer: Callable, file: Path | None = None, seed: int = 0) -> list[str]:
    """`count` different sentences of some 20 tokens on average (median 17, few over 64), as Korean comments have.

    Words of the project's sample sentences, put together anew; or a random choice of the lines of `file`.
    """
    draw = random.Random(seed)
    if file is not None:
        lines = list(dict.fromkeys(filter(None, (line.strip() for line in file.read_text("utf-8").splitlines()))))
        return draw.sample(lines, min(count, len(lines)))
    words = [word for sentence in samples("train.csv") for word in sentence.split()]
    per_word = len(tokenizer(" ".join(words[:2000]), verbose=False)["input_ids"]) / 2000
    made: dict[str, None] = {}
    while len(made) < count:
        tokens = min(max(draw.lognormvariate(2.85, 0.55), 4), 64) - 2
        length, start = max(1, round(tokens / per_word)), draw.randrange(len(words))
        made[" ".join(itertools.islice(itertools.cycle(words), start, start + length))] = None
    return list(made)


def samples(*files: str) -> list[str]:
    """The project's own sentences."""
    found = []
    for name in files:
        with (ROOT / "emotion_core" / "samples" / name).open(encoding="utf-8-sig", newline="") as rows:
            found += [row["Sentence"] for row in csv.DictReader(rows)]
    return list(dict.fromkeys(found))


def gemm_peak(dtype: torch.dtype = torch.bfloat16) -> float:
    """GFLOP/s of torch.matmul on 2048³: median of 5."""
    a, b = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
    times = []
    with torch.inference_mode():
        for _ in range(6):
            begun = time.perf_counter()
            torch.matmul(a, b)
            times.append(time.perf_counter() - begun)
    return 2 * 2048**3 / statistics.median(times[1:]) / 1e9


def interleaved(sides: Mapping[str, Callable[[int], float]], rounds: int) -> dict[str, list[float]]:
    """Each side's figures: every round runs all sides one after another, so that all meet the machine's moods."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, measure in sides.items():
            figures[name].append(measure(number))
            print(f"\r{number + 1}/{rounds} {name:<50}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return figures


def apart(measure: Callable[..., float], *arguments: object) -> float:
    """What `measure`, a function of a module, gives in a new process: no side lives with what another one set."""
    with ProcessPoolExecutor(1, get_context("spawn"), _hush) as pool:
        return pool.submit(measure, *arguments).result()


def middle(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):,.4g} ({min(values):,.4g}–{max(values):,.4g})"


def ratio(above: list[float], below: list[float]) -> str:
    """Median of the rounds' ratios, and their range."""
    return middle([a / b for a, b in zip(above, below, strict=True)]) + " ×"


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print Markdown."""
    for row in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(row) + " |")
    print()


def machine() -> str:
    """One line: processor, threads, versions, commit."""
    names = ("torch", "transformers", "tokenizers", "onnxruntime", "openvino")
    versions = []
    for name in names:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} -")
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    python = ".".join(map(str, sys.version_info[:3]))
    known = "\n".join(_lines("/proc/cpuinfo"))
    flags = [flag for flag in ("avx512_bf16", "avx512_vnni", "amx_bf16") if flag in known]
    return (f"{cpu} ({', '.join(flags) or 'no bf16 flags'}), {torch.get_num_threads()} threads, load "
            f"{_lines('/proc/loadavg')[0].split()[0]}; Python {python}, {', '.join(versions)}; {commit.strip()}")


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ["?"]


def config_of(folder: Path) -> dict[str, int]:
    return json.loads((folder / "config.json").read_text("utf-8"))
