"""How far a run is, and how it ended: what `run.train` tells its caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """A run as it goes. phase: preparing, training, testing or saving; step and epoch count what is done.

    seconds: worked on it, over all its resumes; seconds_left: None while unknown; rate: sentences a second;
    figures: of the best epoch so far, empty before the first has ended.
    """

    phase: str
    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    epochs: int = 0
    seconds: float = 0.0
    seconds_left: float | None = None
    rate: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How `train` ended. finished: False for a stop; model: the folder of the best epoch's model, None before one.

    figures: epoch, train_loss, train_accuracy, test_loss, test_accuracy, test_macro_f1 of that epoch.
    """

    finished: bool
    model: Path | None
    figures: Mapping[str, float]
    seconds: float
