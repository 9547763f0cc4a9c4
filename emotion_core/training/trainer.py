"""transformers' Trainer as a run uses it: our batches and loss, figures over the whole epoch, whole checkpoints.

Everything that says how a run goes is in `Watch`, a callback; the loop, the optimizer's steps, random states and
distribution over processes are the Trainer's.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from .. import card, evaluation
from ..messages import EmotionError
from . import checkpoint, metrics
from .batches import IGNORED, LengthGrouped, Padding, TokenRows
from .config import TrainingConfig
from .parallel import all_sum, barrier, from_main
from .progress import Progress
from .testing import test_figures

SAVE_SECONDS = 600.0
"""Work that a killed run may lose, in seconds."""
POINTS_AN_EPOCH = 50


@dataclass
class State:
    """What a checkpoint must remember beside the Trainer's own state; progress.json."""

    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])  # loss, right, sentences of this epoch so far
    best_step: int | None = None
    best_value: float | None = None
    best: dict[str, float] = field(default_factory=dict)
    epochs_without_gain: int = 0
    seconds: float = 0.0
    ended_early: bool = False


class EmotionTrainer(Trainer):
    """See the module. `order[i]` is the logits' column of label i; `weights` float (7,) or None."""

    def __init__(self, model: torch.nn.Module, args: TrainingArguments, rows: TokenRows, plan: LengthGrouped,
                 optimizers: tuple[Any, Any], config: TrainingConfig, *, tokenizer: Any, order: np.ndarray,
                 weights: np.ndarray | None, bf16: bool, place: Path) -> None:
        super().__init__(model=model, args=args, train_dataset=rows, optimizers=optimizers,
                         data_collator=Padding(tokenizer.pad_token_id or 0, rows.ids))
        self.remove_callback(PrinterCallback)
        self.loss_is_scaled_for_ga = True
        self.sums = torch.zeros(3, dtype=torch.float64 if args.device.type != "mps" else torch.float32,
                                device=args.device)
        self.watch: Watch | None = None
        self.redraw: Callable[[int], None] | None = None
        self._plan, self._tokenizer, self._bf16, self._place = plan, tokenizer, bf16, place
        self._smoothing = config.label_smoothing
        self._columns = torch.as_tensor(order, device=args.device)
        self._weights = None if weights is None else torch.as_tensor(weights, dtype=torch.float32, device=args.device)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self._plan

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        self._plan.epoch = kwargs["epoch"]  # skipping batches after a resume hides the sampler from set_epoch
        if self.redraw:
            self.redraw(kwargs["epoch"])
        super()._run_epoch(*args, **kwargs)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> torch.Tensor:
        """Sentences of the optimizer step, over all its parts and processes."""
        count = sum(batch["labels"].ne(IGNORED).sum() for batch in batch_samples).to(device)
        return all_sum(count)

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False,
                     num_items_in_batch: Any = None) -> Any:
        """The step's mean loss, this part's share of it; plain cross-entropy and hits are added to the epoch's sums."""
        labels = inputs.pop("labels")
        with torch.autocast(self.args.device.type, torch.bfloat16, enabled=self._bf16):
            logits = model(**inputs).logits
        logits = logits.float()[:, self._columns]
        each = functional.cross_entropy(logits, labels, reduction="none", ignore_index=IGNORED,
                                        label_smoothing=self._smoothing)
        if self._weights is not None:
            each = each * self._weights[labels.clamp(min=0)]
        with torch.no_grad():
            plain = functional.cross_entropy(logits, labels, reduction="sum", ignore_index=IGNORED)
            self.sums += torch.stack([plain, (logits.argmax(1) == labels).sum(), labels.ne(IGNORED).sum()])
        # Several processes' gradients are averaged, so each one's share of the sum is scaled up.
        return each.sum() / num_items_in_batch * self.args.world_size

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """The Trainer's files, ours beside them, and only then the checkpoint's name."""
        self.watch.check_finite(self, weights=True)
        name = f"checkpoint-{self.state.global_step}"
        saving = self._place / checkpoint.SAVING
        if self.is_world_process_zero():
            shutil.rmtree(saving, ignore_errors=True)
            saving.mkdir(parents=True)
        barrier()
        usual, self.args.output_dir = self.args.output_dir, str(saving)
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.output_dir = usual
        barrier()
        if self.is_world_process_zero():
            (saving / name / "training_args.bin").unlink(missing_ok=True)  # pickled, and nobody reads it
            self._tokenizer.save_pretrained(saving / name)
            card.write(saving / name, "Emotion Studio", self._tokenizer, "card.trained")
            self.watch.write_state(self, saving / name)
            checkpoint.complete(saving / name, self._place / name)
            checkpoint.clear(self._place, self.watch.state.best_step)
        barrier()


class Watch(TrainerCallback):
    """Tells how the run goes, tests after each epoch, keeps the best, and hears a stop.

    `test` gives the test half's logits, float32 (n, 7), label order; `labels` are its label ids.
    """

    def __init__(self, folder: Path, config: TrainingConfig, state: State, steps_an_epoch: int, step_sentences: int,
                 test: Callable[[], np.ndarray], labels: np.ndarray, report: Callable[[Progress], None],
                 stopping: Callable[[], bool]) -> None:
        self.folder, self.config, self.state, self.labels = folder, config, state, labels
        self.trainer: EmotionTrainer | None = None
        self.stopped = False
        self._steps_an_epoch, self._step_sentences = steps_an_epoch, step_sentences
        self._steps = steps_an_epoch * config.epochs
        self._test, self._report, self._stopping = test, report, stopping
        self._began = self._saved = time.monotonic()
        self._before = state.seconds
        self._recent: deque[float] = deque(maxlen=40)  # when steps ended; cleared where other work lay between
        self._step_seconds: deque[float] = deque(maxlen=400)
        self._rate = 0.0
        self._test_seconds: float | None = None
        self._logits: np.ndarray | None = None

    @property
    def seconds(self) -> float:
        """Seconds worked on the run, those before a resume included."""
        return self._before + time.monotonic() - self._began

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.sums += torch.tensor(self.state.sums, dtype=self.trainer.sums.dtype,
                                          device=self.trainer.sums.device) / args.world_size
        self.tell(state, "training")

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not self._recent:
            self._recent.append(time.monotonic())

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        now = time.monotonic()
        self._step_seconds.append(now - self._recent[-1])
        self._recent.append(now)
        place = state.global_step % self._steps_an_epoch
        if args.world_size == 1 or place == 0:
            self.check_finite(self.trainer)
        stop, save = from_main([self._stopping(), now - self._saved > SAVE_SECONDS], args.device)
        if stop:
            self.stopped = True
            control.should_training_stop = True
        if (stop or save) and place:  # at an epoch's end it is saved after the test
            control.should_save = True
        every = max(1, self._steps_an_epoch // POINTS_AN_EPOCH)
        if place and place % every == 0:
            loss, accuracy, _ = self._epoch_so_far()
            self._append(metrics.Point(state.global_step, state.epoch, loss, accuracy, self._learning_rate(),
                                       self.rate, round(self.seconds, 3)))
        self.tell(state, "training")

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self._steps_an_epoch or not state.global_step:
            return  # stopped in the middle of it
        self.tell(state, "testing")
        started = time.monotonic()
        self._logits = self._test()
        self._test_seconds = time.monotonic() - started
        self._record(state, self._logits)
        control.should_save = True
        if self.config.patience and self.state.epochs_without_gain >= self.config.patience:
            self.state.ended_early = True
            control.should_training_stop = True
        self._recent.clear()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._saved = time.monotonic()
        self._recent.clear()
        self._logits = None
        self.tell(state, "training")

    @property
    def rate(self) -> float:
        """Sentences a second over the last steps; 0 while unknown."""
        passed = self._recent[-1] - self._recent[0] if len(self._recent) > 1 else 0.0
        if passed > 0:
            self._rate = (len(self._recent) - 1) * self._step_sentences / passed
        return self._rate

    def seconds_left(self, step: int) -> float | None:
        """At the speed of the steps so far, tests included; None before there is one."""
        if not self._step_seconds:
            return None
        step_seconds = sum(self._step_seconds) / len(self._step_seconds)
        # A sentence that is only tested costs about a third of one that is trained on (no backward pass).
        test = self._test_seconds
        if test is None:
            test = step_seconds / self._step_sentences * len(self.labels) / 3
        epochs = self.config.epochs - step // self._steps_an_epoch
        return (self._steps - step) * step_seconds + epochs * test

    def tell(self, state: Any, phase: str) -> None:
        """Report how far the run is."""
        self._report(Progress(
            phase=phase, step=state.global_step, steps=self._steps, epoch=state.global_step / self._steps_an_epoch,
            epochs=self.config.epochs, seconds=self.seconds, seconds_left=self.seconds_left(state.global_step),
            rate=self.rate, figures=dict(self.state.best)))

    def check_finite(self, trainer: EmotionTrainer, weights: bool = False) -> None:
        """Raise EmotionError where the loss, or with `weights` a weight, is no number any more."""
        self.state.sums = all_sum(trainer.sums.clone()).tolist()
        fine = all(map(math.isfinite, self.state.sums))
        if fine and weights:
            fine = all(bool(torch.isfinite(p).all()) for p in trainer.model.parameters() if p.requires_grad)
        if not fine:
            raise EmotionError("error.training.diverged", step=trainer.state.global_step,
                               learning_rate=self.config.learning_rate)

    def write_state(self, trainer: EmotionTrainer, folder: Path) -> None:
        """Put progress.json, and after an epoch the test half's logits, into a checkpoint that is being written."""
        self.state.seconds = self.seconds
        (folder / "progress.json").write_text(json.dumps(asdict(self.state)), "utf-8")
        if self._logits is not None:
            np.save(folder / "test_logits.npy", self._logits)

    def _epoch_so_far(self) -> tuple[float, float, float]:
        loss, right, count = all_sum(self.trainer.sums.clone()).tolist()
        return loss / max(1.0, count), right / max(1.0, count), count

    def _learning_rate(self) -> float:
        return float(self.trainer.optimizer.param_groups[0]["lr"])

    def _append(self, figures: metrics.Point | metrics.Epoch) -> None:
        if self.trainer.is_world_process_zero():
            metrics.append(self.folder, figures)

    def _record(self, state: Any, logits: np.ndarray) -> None:
        train_loss, train_accuracy, _ = self._epoch_so_far()
        self.trainer.sums.zero_()
        found = test_figures(logits, self.labels)
        if not math.isfinite(found["test_loss"]):
            raise EmotionError("error.training.diverged", step=state.global_step,
                               learning_rate=self.config.learning_rate)
        by_loss = self.config.best_metric == "loss"
        value = -found["test_loss"] if by_loss else found["test_macro_f1"]
        best = self.state.best_value is None or value > self.state.best_value
        epoch = state.global_step // self._steps_an_epoch
        if best:
            self.state.best_value, self.state.best_step = value, state.global_step
            self.state.best = {"epoch": epoch, "train_loss": train_loss, "train_accuracy": train_accuracy, **found}
        self.state.epochs_without_gain = 0 if best else self.state.epochs_without_gain + 1
        matrix = evaluation.confusion_matrix(self.labels, logits.argmax(axis=1))
        self._append(metrics.Epoch(
            epoch=epoch, step=state.global_step, train_loss=train_loss, train_accuracy=train_accuracy, **found,
            f1=tuple(one.f1 for one in evaluation.per_class(matrix)), learning_rate=self._learning_rate(),
            seconds=round(self.seconds, 3), best=best))
