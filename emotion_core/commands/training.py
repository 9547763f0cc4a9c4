"""`train` in a shell, and what it shares with `sweep` and `runs`: progress on stderr, one JSON object last on stdout.

Part of the edge, like `cli`: parses and prints, computes nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import runs
from ..messages import EmotionError, message, shell_language
from ..runs import creation, execution
from ..training.config import OPTIMIZERS, PRESETS, TrainingConfig
from ..training.progress import Outcome, Progress

if TYPE_CHECKING:
    from ..runs.sweeps import SweepPlan
    from ..training.data import DataChoice

_GIGABYTE = 1024**3
SAMPLES = "samples"
"""The FILE that stands for the sample sentences."""


def register(commands: Any, common: argparse.ArgumentParser, say: Callable[[str], str]) -> None:
    """Add `train` to the parser's `commands`; `say` gives a help text by its key after "cli."."""
    train = commands.add_parser("train", parents=[common], help=say("train"), description=say("train"))
    add_run_options(train, say)
    train.add_argument("--name", default="", help=say("run_name"))
    train.add_argument("--background", action="store_true", help=say("background"))
    train.add_argument("--run", dest="made", help=argparse.SUPPRESS)  # the queue's way to a run that is made already
    add_settings(train, say)
    train.set_defaults(run=_train)


def add_run_options(command: argparse.ArgumentParser, say: Callable[[str], str]) -> None:
    command.add_argument("file", nargs="?", metavar=say("file"), help=say("train_file"))
    command.add_argument("--test-file", help=say("test_file"))
    command.add_argument("--base", default="kobert", help=say("train_base"))
    command.add_argument("--device", help=say("device"))
    for name, said in (("text-column", say("text_column")), ("label-column", say("label_column")),
                       ("encoding", say("encoding")), ("delimiter", say("delimiter")), ("sheet", say("sheet"))):
        command.add_argument(f"--{name}", help=said)
    command.add_argument("--estimate", action="store_true", help=say("estimate"))
    command.add_argument("--preset", choices=sorted(PRESETS), default="notebook", help=say("preset"))


def add_settings(command: argparse.ArgumentParser, say: Callable[[str], str], leave_out: tuple[str, ...] = ()) -> None:
    """An option for each setting; its default is the preset's."""
    choices = {"optimizer": OPTIMIZERS, "precision": ("auto", "fp32", "bf16"), "best_metric": ("macro_f1", "loss"),
               "head": ("fresh", "keep")}
    group = command.add_argument_group(say("settings"))
    for field in dataclasses.fields(TrainingConfig):
        if field.name in leave_out:
            continue
        option = f"--{field.name.replace('_', '-')}"
        if field.name == "class_weights":
            group.add_argument(option, action="store_true", default=None)
        elif field.name in choices:
            group.add_argument(option, choices=choices[field.name])
        else:
            group.add_argument(option, type=int if field.type in ("int", "int | None") else float, metavar="N")


def chosen_config(options: argparse.Namespace) -> TrainingConfig:
    """The preset with the settings that were given. Raises EmotionError for one that can't be."""
    from ..bases import usual_head  # with torch, which other commands can do without

    given = {field.name: value for field in dataclasses.fields(TrainingConfig)
             if (value := getattr(options, field.name, None)) is not None}
    preset = PRESETS[options.preset].as_dict() | {"head": usual_head(options.base)}
    if "optimizer" in given and given["optimizer"] != preset["optimizer"]:
        preset["learning_rate"] = None  # each optimizer has its own
    return TrainingConfig.from_dict(preset | given)


def chosen_data(options: argparse.Namespace) -> DataChoice:
    """The table that was named, read and labelled as `evaluate` does. Raises EmotionError."""
    from pathlib import Path

    from ..scoring.file import choose_columns, open_table
    from ..scoring.rows import check_labels, survey
    from ..training.data import DataChoice, sample_set

    if options.file in (None, SAMPLES) and not os.path.exists(options.file or ""):
        return sample_set()
    how = {name: getattr(options, name) for name in ("encoding", "delimiter", "sheet") if getattr(options, name)}
    pairs = []
    for name in filter(None, (options.file, options.test_file)):
        table = open_table(Path(name), **how)
        columns = choose_columns(table, options.text_column, options.label_column)
        if columns.label is not None:
            check_labels(survey(table, columns), columns)
        pairs.append((table, columns))
    return DataChoice(*pairs[0], Path(options.file).name, *(pairs[1] if len(pairs) > 1 else (None, None)))


def _train(options: argparse.Namespace) -> int:
    if options.made:
        return execute_here(options.made)
    if not options.file:
        raise EmotionError("error.train.no_file")
    if options.estimate:
        print_estimate(options, chosen_config(options))
        return 0
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        status = execute_here(_shared_run(options), quiet=int(os.environ.get("RANK", "0")) != 0)
        from ..training.parallel import part

        part()
        return status
    if options.background:
        run = runs.start(chosen_data(options), options.base, chosen_config(options), options.name,
                         device=options.device)
        print(json.dumps({"run": run}))
        return 0
    run, _ = creation.create(chosen_data(options), options.base, chosen_config(options), name=options.name,
                             device=options.device, own=True)
    return execute_here(run)


def print_estimate(options: argparse.Namespace, config: TrainingConfig, plan: SweepPlan | None = None) -> None:
    """Measure a few steps of a run and print what it, or all of `plan`, needs; nothing is started."""
    from ..training.estimate import as_dict, estimate

    found = estimate(chosen_data(options), options.base, config, options.device)
    seconds = plan.seconds(found) if plan else found.seconds
    language = shell_language()
    print(message("cli.estimate_said", language, time=_clock(seconds), epoch=_clock(found.seconds_per_epoch),
                  rate=found.sentences_per_second, memory=found.memory / _GIGABYTE,
                  free=found.free_memory / _GIGABYTE, disk=found.disk / _GIGABYTE,
                  free_disk=found.free_disk / _GIGABYTE), file=sys.stderr)
    if found.busy:
        print(message("training.estimate_busy", language), file=sys.stderr)
    if not found.fits:
        print(message("training.estimate_tight", language), file=sys.stderr)
    print(json.dumps(as_dict(found) | {"seconds": seconds, "runs": plan.count if plan else 1}))


def _shared_run(options: argparse.Namespace) -> str:
    """Under torchrun: the first process makes the run, all learn its id; they must see the same `weights/`."""
    import torch.distributed as dist

    from ..models import choose_device

    dist.init_process_group("nccl" if choose_device(options.device).type == "cuda" else "gloo")
    told: list[Any] = [None, None]
    failure: EmotionError | None = None
    if dist.get_rank() == 0:
        try:
            told[0], _ = creation.create(chosen_data(options), options.base, chosen_config(options),
                                         name=options.name, device=options.device, own=True)
        except EmotionError as error:
            failure, told[1] = error, (error.key, {name: str(value) for name, value in error.values.items()})
    dist.broadcast_object_list(told, 0)
    if failure:
        raise failure
    if told[1]:
        raise EmotionError("error.train.other_process")
    return told[0]


def execute_here(run: str, quiet: bool = False) -> int:
    """Do the run's work here and print its figures."""
    teller = (lambda progress: None) if quiet else _Printer()
    language = shell_language()
    outcome: Outcome = execution.execute(
        run, teller, lambda: print(message("cli.waiting", language), file=sys.stderr, flush=True))
    if quiet:
        return 0
    if isinstance(teller, _Printer):
        teller.end()
    if not outcome.finished:
        print(message("cli.stopped", language, run=run), file=sys.stderr)
    print(json.dumps({"run": run, "model": str(outcome.model) if outcome.model else None, **{
        name: outcome.figures.get(name) for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy",
                                                     "test_macro_f1")},
        "seconds": round(outcome.seconds, 3), "state": "finished" if outcome.finished else "stopped"},
        ensure_ascii=False))
    return 0 if outcome.finished else 1


class _Printer:
    """Progress on stderr: a line that is written over in a terminal, now and then a new one in a log."""

    def __init__(self) -> None:
        self._language, self._terminal = shell_language(), sys.stderr.isatty()
        self._said = 0.0
        self._phase = ""

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._said < (0.2 if self._terminal else 15) and progress.phase == self._phase:
            return
        if progress.phase == self._phase == "training" or progress.phase != self._phase:
            self._said, self._phase = now, progress.phase
        line = self._line(progress)
        end = "" if self._terminal else "\n"
        print(("\r\x1b[2K" if self._terminal else "") + line, end=end, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line that is written over."""
        if self._terminal:
            print(file=sys.stderr)

    def _line(self, progress: Progress) -> str:
        if progress.phase != "training":
            words = {"preparing": "run.phase.preparing", "testing": "run.phase.testing", "saving": "run.phase.saving"}
            return message(words[progress.phase], self._language)
        left = "-" if progress.seconds_left is None else _clock(progress.seconds_left)
        said = message("cli.train_progress", self._language, step=progress.step, steps=progress.steps,
                       epoch=progress.epoch, epochs=progress.epochs, left=left, rate=progress.rate)
        if progress.figures:
            said += message("cli.train_figures", self._language, accuracy=progress.figures["test_accuracy"],
                            f1=progress.figures["test_macro_f1"])
        return said


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
