"""Sweeps: the same data with several values of some settings and several seeds, as the notebook compared its own.

A sweep is nothing but its runs, each of which names it: there is no second truth on the disk. The split is the same
in all of them, so that seeds differ only in the head, the order of the sentences and dropout.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import secrets
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..messages import EmotionError
from ..training.config import TrainingConfig
from ..training.settings import said
from . import creation, scheduler, store
from .store import Run

if TYPE_CHECKING:
    from ..training.data import DataChoice
    from ..training.estimate import Estimate

MOST_RUNS = 500
FIGURES = ("test_macro_f1", "test_accuracy", "test_loss", "train_accuracy", "train_loss")
_LOWER_IS_BETTER = ("test_loss", "train_loss")


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep will run. axes: the values of each setting that is varied, "seed" left out."""

    configs: tuple[TrainingConfig, ...]
    axes: Mapping[str, tuple[Any, ...]]
    seeds: tuple[int, ...]

    @property
    def count(self) -> int:
        """Runs."""
        return len(self.configs)

    @property
    def combinations(self) -> int:
        """Settings that are compared, each with every seed."""
        return len(self.configs) // len(self.seeds)

    def seconds(self, estimate: Estimate) -> float:
        """About how long it takes, by the estimate of one run; a step's time grows with its sentences."""
        one = estimate.seconds_per_epoch
        return sum(one * config.epochs for config in self.configs)


@dataclass(frozen=True)
class Sweep:
    """A sweep as it is now: `done` of its `total` runs have finished."""

    id: str
    name: str
    runs: tuple[Run, ...]
    axes: Mapping[str, tuple[Any, ...]]

    @property
    def total(self) -> int:
        """Runs that are still there."""
        return len(self.runs)

    @property
    def done(self) -> int:
        """Runs that have finished."""
        return sum(run.finished for run in self.runs)


@dataclass(frozen=True)
class Combination:
    """One choice of settings over its finished seeds. spread: sample standard deviation, NaN of fewer than two."""

    settings: Mapping[str, Any]
    count: int
    mean: Mapping[str, float]
    spread: Mapping[str, float]
    runs: tuple[str, ...]


@dataclass(frozen=True)
class SweepResult:
    """Combinations with a finished run, the best first; sentence: catalogue key and values of what follows.

    Its "best" and "next" are settings, for the edge to name in the reader's language.
    """

    figure: str
    rows: tuple[Combination, ...]
    sentence: tuple[str, dict[str, Any]]


def plan(config: TrainingConfig, *, batch_size: Sequence[int] = (), optimizer: Sequence[str] = (),
         learning_rate: Sequence[float] = (), dropout: Sequence[float] = (), seeds: Sequence[int] = ()) -> SweepPlan:
    """The grid of these values around `config`; nothing given of a setting means the config's own.

    An optimizer without a learning rate of its own gets its usual one. Raises EmotionError for a value that can't be
    trained with, and for more than MOST_RUNS runs.
    """
    axes: dict[str, tuple[Any, ...]] = {
        name: tuple(dict.fromkeys(values)) for name, values in (
            ("batch_size", batch_size), ("optimizer", optimizer), ("learning_rate", learning_rate),
            ("dropout", dropout)) if values}
    chosen = tuple(dict.fromkeys(seeds)) or (config.seed,)
    count = math.prod(map(len, axes.values())) * len(chosen)
    if count > MOST_RUNS:
        raise EmotionError("error.sweep.too_many", count=count, limit=MOST_RUNS)
    split_seed = config.seed if config.split_seed is None else config.split_seed
    configs = []
    for values in itertools.product(*axes.values()):
        changes = dict(zip(axes, values, strict=True))
        if "learning_rate" not in changes and changes.get("optimizer", config.optimizer) != config.optimizer:
            changes["learning_rate"] = None
        configs += [config.with_changes(**changes, seed=seed, split_seed=split_seed) for seed in chosen]
    return SweepPlan(tuple(configs), {name: values for name, values in axes.items() if len(values) > 1}, chosen)


def start(plan: SweepPlan, choice: DataChoice, base: str, name: str = "", device: str | None = None,
          token: str = "", language: str = "ko") -> str:
    """Queue all runs of `plan` and return the sweep's id; a `token` seen before makes nothing and returns its sweep's.

    The runs are named by their settings, in `language`.
    Raises EmotionError, see `runs.start`; runs that were made before the trouble are taken back, one that works already
    is stopped.
    """
    sweep = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    part = {"id": sweep, "name": " ".join(name.split())[: store.LONGEST_NAME] or sweep,
            "axes": {axis: list(values) for axis, values in plan.axes.items()}}
    made: list[str] = []
    try:
        for number, config in enumerate(plan.configs):
            its_name = _name(part["name"], plan, config, language)
            run, new = creation.create(choice, base, config, name=its_name, device=device,
                                       token=f"{token}-{number}" if token else "", sweep=part)
            if not new:
                found = store.get(run).sweep
                return found.id if found else sweep
            made.append(run)
    except EmotionError:
        for run in made:
            with contextlib.suppress(EmotionError):  # one that works by now goes no further than its stop
                scheduler.stop(run)
                store.delete(run)
        raise
    scheduler.wake()
    return sweep


def _name(sweep: str, plan: SweepPlan, config: TrainingConfig, language: str) -> str:
    varied = [*plan.axes, *(["seed"] if len(plan.seeds) > 1 else [])]
    return " · ".join([sweep, *(said({name: getattr(config, name)}, language) for name in varied)])


def all_sweeps() -> list[Sweep]:
    """All sweeps, the newest first."""
    groups: dict[str, list[Run]] = {}
    for run in store.all_runs():
        if run.sweep:
            groups.setdefault(run.sweep.id, []).append(run)
    found = []
    for sweep, members in groups.items():
        part = members[0].sweep
        ordered = sorted(members, key=lambda run: (run.created, run.id))
        found.append(Sweep(sweep, part.name if part else sweep, tuple(ordered), part.axes if part else {}))
    return sorted(found, key=lambda sweep: sweep.id, reverse=True)


def get(sweep: str) -> Sweep:
    """The sweep with this id, or the only one with this name. Raises EmotionError where there is none."""
    known = all_sweeps()
    named = [one for one in known if one.id == sweep] or [one for one in known if one.name == sweep]
    if len(named) != 1:
        raise EmotionError("error.sweep.missing", sweep=sweep[:60])
    return named[0]


def stop(sweep: str) -> None:
    """Stop the runs that wait, then the one that works."""
    members = get(sweep).runs
    for run in sorted(members, key=lambda run: run.active):
        scheduler.stop(run.id)


def delete(sweep: str) -> None:
    """Delete all runs of a sweep. Raises EmotionError while one works or waits."""
    found = get(sweep)
    for run in found.runs:
        if not run.ended:
            raise EmotionError("error.run.active", name=run.name)
    for run in found.runs:
        store.delete(run.id)


def result(sweep: str, figure: str = "test_macro_f1") -> SweepResult:
    """Means and spreads over seeds, and whether the best by `figure` differs from the next by more than the spread.

    The spread that counts is the larger of the two's standard deviations. The figures are of the test half, by which
    the best was also chosen, so the best one's is a little too good.
    """
    found = get(sweep)
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in found.runs:
        if run.finished and run.config and figure in run.figures:
            groups.setdefault(tuple(getattr(run.config, axis) for axis in found.axes), []).append(run)
    rows = [_combination(dict(zip(found.axes, values, strict=True)), members) for values, members in groups.items()]
    rows.sort(key=lambda row: row.mean[figure], reverse=figure not in _LOWER_IS_BETTER)
    return SweepResult(figure, tuple(rows), _sentence(rows, figure))


def _combination(settings: dict[str, Any], members: list[Run]) -> Combination:
    values = {name: [run.figures[name] for run in members if name in run.figures] for name in FIGURES}
    return Combination(
        settings, len(members), {name: statistics.fmean(found) for name, found in values.items() if found},
        {name: statistics.stdev(found) if len(found) > 1 else math.nan for name, found in values.items()},
        tuple(run.id for run in members))


def _sentence(rows: list[Combination], figure: str) -> tuple[str, dict[str, Any]]:
    if len(rows) < 2:
        return "sweep.too_few", {}
    best, following = rows[:2]
    gap = abs(best.mean[figure] - following.mean[figure])
    values = {"best": best.settings, "next": following.settings, "gap": gap}
    if math.isnan(best.spread[figure]) or math.isnan(following.spread[figure]):
        return "sweep.no_spread", values
    spread = max(best.spread[figure], following.spread[figure])
    return ("sweep.differs" if gap > spread else "sweep.same"), values | {"spread": spread}
