"""Training runs as people handle them: start, watch, stop, resume, compare, take away.

`store` is what is on the disk, `creation` makes a run, `execution` does its work, `scheduler` gives each its turn,
`sweeps` starts many, `archive` zips a model. The run itself is `training.run`. Importing this loads no torch.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..messages import EmotionError
from ..training import metrics as _metrics
from ..training.config import TrainingConfig
from ..training.metrics import Epoch, Metrics, Point
from . import creation, scheduler
from .archive import zip_bytes, zip_size
from .execution import execute
from .scheduler import enqueue as resume
from .scheduler import move, move_to, queue, stop, wake
from .store import DataFacts, Run, SweepPart, all_runs, delete, find, folder_of, get, rename, write_note

if TYPE_CHECKING:
    from ..scoring.results import Results
    from ..training.data import DataChoice

__all__ = [
    "Comparison", "DataFacts", "Epoch", "Metrics", "Point", "Run", "SweepPart", "all_runs", "compare", "data_of",
    "delete", "execute", "find", "get", "log_tail", "memory", "metrics", "move", "move_to", "queue", "rename", "resume",
    "start", "stop", "test_results", "use", "wake", "write_note", "zip_bytes", "zip_size",
]


def start(choice: DataChoice, base: str, config: TrainingConfig, name: str = "", note: str = "",
          device: str | None = None, token: str = "") -> str:
    """Queue a run and return its id; it begins when its device is free, and needs nobody to stay.

    The same `token` never starts a second run: its first one's id comes back. Raises EmotionError for data, a base or
    settings that can't be trained with, and where the disk won't take it.
    """
    run, _ = creation.create(choice, base, config, name=name, note=note, device=device, token=token)
    wake()
    return run


def metrics(run: str) -> Metrics:
    """The figures of a run so far; read again only when there are more."""
    folder = folder_of(run)
    try:
        stat = (folder / _metrics.FILE).stat()
    except OSError:
        return Metrics()
    return _read_metrics(folder, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=32)
def _read_metrics(folder: Path, size: int, changed: int) -> Metrics:
    return _metrics.read(folder)


def memory(run: str) -> int:
    """Bytes of main memory that the run's process holds now; 0 where it has none."""
    import psutil

    from ..jobs.store import alive, read_json

    folder = folder_of(run)
    try:
        return psutil.Process(int(read_json(folder / "process.json")["pid"])).memory_info().rss if alive(folder) else 0
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return 0


def log_tail(run: str, lines: int = 200) -> str:
    """The last lines of what the run's process printed."""
    return scheduler.log_tail(folder_of(run), lines)


@dataclass(frozen=True)
class Comparison:
    """The settings in which runs differ: `names`, and a row of values for each of `runs`."""

    runs: tuple[Run, ...]
    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def compare(runs: Sequence[str]) -> Comparison:
    """Base, data and settings of `runs` that aren't the same in all; damaged ones are left out."""
    found = tuple(run for run in map(get, runs) if run.config is not None)
    settings = [{"base": run.base, "data": run.title, "fingerprint": run.data.fingerprint[:12] if run.data else "",
                 "device": run.device, **dataclasses.asdict(run.config)} for run in found]
    names = tuple(name for name in (settings[0] if settings else {}) if len({one[name] for one in settings}) > 1)
    return Comparison(found, names, tuple(tuple(one[name] for name in names) for one in settings))


def data_of(run: str) -> DataChoice:
    """The data that a run learns from, as it keeps it. Raises EmotionError where it can't be read any more."""
    from ..jobs.store import read_json
    from ..training.data import read_choice

    found = get(run)
    try:
        return read_choice(read_json(found.folder / "run.json")["data"], found.folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EmotionError("error.run.data", name=found.name) from error


def test_results(run: str) -> Results:
    """The scored test half, as the batch page has a scored file. Raises EmotionError before there is one."""
    from ..scoring.results import Results

    found = get(run)
    if found.test_folder is None:
        raise EmotionError("error.run.no_model", name=found.name)
    return Results(found.test_folder)


def use(run: str) -> str:
    """The name by which the other pages know the run's model. Raises EmotionError where it has none."""
    found = get(run)
    if found.model_name is None:
        raise EmotionError("error.run.no_model", name=found.name)
    return found.model_name
