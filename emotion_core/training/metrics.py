"""`metrics.jsonl` of a run: figures as they come, a line each, and how they are read again.

One process writes; any number read while it does. A line without its newline is still being written, and is left
out. Lines after the checkpoint that a run resumes from are taken away, so no step is there twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = "metrics.jsonl"


@dataclass(frozen=True)
class Point:
    """Training so far in this epoch, at `step`: mean loss and accuracy over the epoch's sentences up to here.

    `epoch` is a fraction (1.5 is the middle of the second); `rate` sentences a second; `seconds` worked on the run.
    """

    step: int
    epoch: float
    loss: float
    accuracy: float
    learning_rate: float
    rate: float
    seconds: float


@dataclass(frozen=True)
class Epoch:
    """A finished epoch: training figures over all its sentences, with dropout on; test figures of its last step.

    `f1` has one figure an emotion, label-id order. `best` says that no epoch before was better.
    """

    epoch: int
    step: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    test_macro_f1: float
    f1: tuple[float, ...]
    learning_rate: float
    seconds: float
    best: bool


@dataclass(frozen=True)
class Metrics:
    """All that a run has written so far."""

    points: tuple[Point, ...] = ()
    epochs: tuple[Epoch, ...] = ()

    def thinned(self, most: int = 500) -> Metrics:
        """At most `most` points, evenly spread, the last one among them; all epochs."""
        if len(self.points) <= most:
            return self
        places = sorted({round(i * (len(self.points) - 1) / (most - 1)) for i in range(most)})
        return Metrics(tuple(self.points[place] for place in places), self.epochs)


def append(folder: Path, figures: Point | Epoch) -> None:
    """Add a line, on the disk when this returns. Raises OSError."""
    kind = "epoch" if isinstance(figures, Epoch) else "point"
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind, **asdict(figures)}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> Metrics:
    """What is there; nothing where there is no file, and without the lines that can't be read."""
    points: list[Point] = []
    epochs: list[Epoch] = []
    for line in _lines(folder):
        try:
            record = json.loads(line)
            kind = record.pop("kind")
            if kind == "point":
                points.append(Point(**record))
            elif kind == "epoch":
                epochs.append(Epoch(**record | {"f1": tuple(record["f1"])}))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return Metrics(tuple(points), tuple(epochs))


def cut_after(folder: Path, step: int, write: Callable[[Path, str], Any]) -> None:
    """Take away what was written after `step`; `write` replaces a file's text whole. Raises OSError."""
    kept = []
    for line in _lines(folder):
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, TypeError, KeyError):
            continue
    write(folder / FILE, "".join(kept))


def _lines(folder: Path) -> list[str]:
    try:
        text = (folder / FILE).read_bytes().decode("utf-8", "replace")
    except OSError:
        return []
    return text.split("\n")[:-1]
