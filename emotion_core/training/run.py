"""One fine-tuning run, start to finish or from its last checkpoint, in the process that calls it.

    metrics.jsonl   figures as they come (`metrics`)
    checkpoints/    the last two and the best (`checkpoint`); a finished run's are the caller's to delete
    model/          the best epoch's model, a plain Hugging Face folder
    test/           its scores of the test half, as a scoring job writes them (`scoring.results.Results`)

Starts no process and knows no queue (`runs`). Under `torchrun` every process calls `train` with the same arguments.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import bases, models
from ..labels import NUM_LABELS
from ..messages import EmotionError
from . import checkpoint, metrics
from .batches import LengthGrouped, TokenRows, encode
from .config import TrainingConfig
from .data import Sentences, TrainingData
from .optimization import optimizer, schedule
from .progress import Outcome, Progress

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from .trainer import State

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")
_NO_SPACE = ("no space left", "file write failed", "writing file", "disk quota", "unexpected pos")  # of torch.save


def train(data: TrainingData, base: str | os.PathLike[str], config: TrainingConfig, folder: Path, *,
          report: Callable[[Progress], None] = lambda progress: None, stopping: Callable[[], bool] = lambda: False,
          device: str | None = None) -> Outcome:
    """Fine-tune `base` on `data` in `folder`, from its last whole checkpoint where there is one.

    `report` is told how it goes, several times a second; `stopping` is asked at each step, and True ends the run
    with a checkpoint. A resumed run gives the numbers that an uninterrupted one would have given. Raises EmotionError
    for data, base or settings that can't be trained with, a loss that is no number (the best epoch before it is kept as
    the model), too little memory, a full disk.
    """
    data.check()
    with plain_errors(config):
        return _train(data, base, config, folder, report, stopping, device)


def _train(data: TrainingData, base: str | os.PathLike[str], config: TrainingConfig, folder: Path,
           report: Callable[[Progress], None], stopping: Callable[[], bool], device: str | None) -> Outcome:
    from transformers import set_seed
    from transformers.utils.logging import disable_progress_bar

    from .testing import score
    from .trainer import EmotionTrainer, State, Watch

    disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    report(Progress("preparing", epochs=config.epochs))
    places = folder / "checkpoints"
    resumed = checkpoint.last(places)
    state = _state(resumed) if resumed else State()
    step = int(resumed.name.rpartition("-")[2]) if resumed else 0
    if is_main():
        metrics.cut_after(folder, step, checkpoint.write_text)
    args = arguments(config, places, device)
    set_seed(config.seed)
    fresh = config.head == "fresh" and resumed is None
    model, tokenizer, order = model_to_train(resumed or base, config, args.device, fresh)
    longest = min(config.max_length, models.max_length(model, tokenizer))
    train_ids, test_ids = (encode(tokenizer, half.text, longest) for half in (data.train, data.test))
    plan = LengthGrouped([len(ids) for ids in train_ids], config.batch_size, config.seed, args.world_size)
    steps = plan.batches * config.epochs
    chosen = optimizer(model, config)
    rows = TokenRows(train_ids, data.train.label)
    trainer = EmotionTrainer(
        model, args, rows, plan, (chosen, schedule(chosen, config, steps)), config,
        tokenizer=tokenizer, order=order, weights=class_weights(data.train) if config.class_weights else None,
        bf16=uses_bf16(config, args.device), place=places)
    watch = Watch(folder, config, state, plan.batches, config.batch_size,
                  lambda: score(trainer.model, test_ids, order, tokenizer.pad_token_id or 0, args.device,
                                TEST_TOKENS),
                  data.test.label, report, stopping)
    watch.trainer, trainer.watch = trainer, watch
    if config.subword_dropout:
        trainer.redraw = _segmentations(tokenizer, data.train.text, longest, config, rows, plan)
    trainer.add_callback(watch)
    if not (state.ended_early or step >= steps):
        try:
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        except EmotionError:  # the loss is no number; what was good before can still be used
            if is_main() and (good := checkpoint.last(places)):
                _keep_best(folder, _state(good).best_step, data.test, places)
            raise
    finished = not watch.stopped or trainer.state.global_step >= steps or state.ended_early
    step = max(step, trainer.state.global_step)
    report(Progress("saving", step, steps, step / plan.batches, config.epochs, watch.seconds, figures=state.best))
    place = None
    if is_main():
        place = _keep_best(folder, state.best_step, data.test, places)
    return Outcome(finished, place, dict(state.best), watch.seconds)


def _state(place: Path) -> State:
    from .trainer import State

    return State(**json.loads((place / "progress.json").read_text("utf-8")))


TEST_TOKENS = 4096
"""Padded tokens of one forward pass of the test."""


def arguments(config: TrainingConfig, place: Path, device: str | None) -> Any:
    """The Trainer's arguments. Raises EmotionError where a batch can't be shared out as wanted."""
    from transformers import TrainingArguments

    chosen = models.choose_device(device)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    parts = config.gradient_accumulation * world
    if config.batch_size % parts:
        raise EmotionError("error.config.accumulation", batch=config.batch_size, parts=parts)
    cpu = chosen.type == "cpu"
    args = TrainingArguments(
        output_dir=str(place), per_device_train_batch_size=config.batch_size // parts,
        gradient_accumulation_steps=config.gradient_accumulation, num_train_epochs=config.epochs,
        max_grad_norm=config.max_grad_norm, seed=config.seed, use_cpu=cpu,
        ddp_backend="gloo" if cpu and world > 1 else None, ddp_find_unused_parameters=False,
        logging_strategy="no", eval_strategy="no", save_strategy="no", report_to=[],
        disable_tqdm=True, remove_unused_columns=False, dataloader_pin_memory=not cpu, logging_nan_inf_filter=False)
    if world == 1 and chosen.type == "cuda":
        args._n_gpu = 1  # one run a device: the other GPUs are other runs'
    return args


def uses_bf16(config: TrainingConfig, device: torch.device) -> bool:
    """Whether the forward pass is autocast to bfloat16: asked for, or "auto" where the hardware multiplies it."""
    import torch

    if config.precision != "auto":
        return config.precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    return any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def class_weights(train: Sentences) -> np.ndarray:
    """Weight of each label, float (7,): inverse to its frequency, 1 on average over the sentences; 0 if absent."""
    counts = train.counts
    present = counts > 0
    weights = np.zeros(NUM_LABELS)
    weights[present] = len(train) / (present.sum() * counts[present])
    return weights


def freeze(model: PreTrainedModel, layers: int) -> None:
    """Leave the embeddings and the lowest `layers` layers as they are. Raises EmotionError where there are fewer."""
    import torch

    if not layers:
        return
    encoder = model.base_model
    depth = model.config.num_hidden_layers
    lists = [module for module in encoder.modules() if isinstance(module, torch.nn.ModuleList)]
    stacks = [module for module in lists if len(module) == depth]
    if layers > depth or not stacks:
        raise EmotionError("error.config.range", name="frozen_layers", found=layers, low=0, high=depth)
    for module in [getattr(encoder, "embeddings", encoder.get_input_embeddings()), *stacks[0][:layers]]:
        module.requires_grad_(False)


def _segmentations(tokenizer: Any, texts: list[str], longest: int, config: TrainingConfig, rows: TokenRows,
                   plan: LengthGrouped) -> Callable[[int], None]:
    """Draws an epoch's pieces anew: a function of (seed, epoch), so that a resumed run has the same.

    Raises EmotionError for a tokenizer that can't draw.
    """
    import sentencepiece

    if not hasattr(tokenizer, "with_dropout"):
        raise EmotionError("error.config.subword")
    drawing = tokenizer.with_dropout(config.subword_dropout)

    def redraw(epoch: int) -> None:
        sentencepiece.set_random_generator_seed((config.seed * 1009 + epoch) % 2**32)
        rows.ids = encode(drawing, texts, longest)
        plan.lengths = np.array([len(ids) for ids in rows.ids])

    return redraw


def model_to_train(base: str | os.PathLike[str], config: TrainingConfig, device: torch.device,
                   fresh: bool) -> tuple[PreTrainedModel, Any, np.ndarray]:
    """What `load_model` gives, on `device` and made ready for the run's steps."""
    from . import cpu  # with torch

    model, tokenizer, order = load_model(base, config, fresh)
    freeze(model, config.frozen_layers)
    model.to(device)
    if device.type == "cpu":
        cpu.prepare(model, uses_bf16(config, device))
    return model, tokenizer, order


def load_model(base: str | os.PathLike[str], config: TrainingConfig,
           fresh: bool) -> tuple[PreTrainedModel, Any, np.ndarray]:
    """(model in fp32, tokenizer, the logits' column of each label) with a fresh head or the base's own."""
    if fresh:
        found = bases.load(base)
        return bases.new_classifier(found, config.dropout), found.tokenizer, np.arange(NUM_LABELS)
    loaded = models.load(bases.locate(base), "cpu")
    loaded.model.config.classifier_dropout = config.dropout
    head_dropout = getattr(loaded.model, "dropout", None)
    if head_dropout is not None:
        head_dropout.p = config.dropout
    return loaded.model, loaded.tokenizer, loaded.order


def _keep_best(folder: Path, best: int | None, test: Sentences, places: Path) -> Path | None:
    """Write `model/` and `test/` from the best checkpoint; None where no epoch has ended, or what was there."""
    from ..scoring.job import write_part
    from ..scoring.rows import Scored

    place = folder / "model"
    source = places / f"checkpoint-{best}"
    if best is None or not checkpoint.is_whole(source):
        return place if (place / "config.json").is_file() else None
    checkpoint.copy_model(source, place)
    logits = np.load(source / "test_logits.npy", allow_pickle=False)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    (folder / "test").mkdir(exist_ok=True)
    order = np.argsort(test.row, kind="stable")
    write_part(folder / "test", 0, [Scored(
        test.row[order], [test.text[i] for i in order], test.label[order].astype(np.int8), logits[order],
        (shifted / shifted.sum(axis=1, keepdims=True))[order], [""] * len(test), np.zeros(len(test), bool))])
    return place


def is_main() -> bool:
    """Whether this process is the one that writes; under `torchrun` the first."""
    return int(os.environ.get("RANK", "0")) == 0


@contextlib.contextmanager
def plain_errors(config: TrainingConfig) -> Iterator[None]:
    """Too little memory and a full disk fail in any layer of torch; here they get their sentence."""
    try:
        yield
    except EmotionError:
        raise
    except Exception as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or any(word in text for word in _NO_MEMORY):
            raise EmotionError("error.training.memory", batch=config.batch_size, length=config.max_length,
                               parts=config.gradient_accumulation) from error
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or any(word in text for word in _NO_SPACE):
            raise EmotionError("error.disk_full") from error
        raise
