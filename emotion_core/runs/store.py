"""The store of training runs: `weights/runs/<id>/`, readable without the app.

    run.json        what was asked, and of what: schema, config, base, data, device, versions; written once
    about.json      the name and the note that a person gave it
    input.*         the person's file, and test_input.* where a second one is tested on
    split.json      row numbers of the halves, from 1
    queue.json      its place among those that wait
    status.json     state and progress; replaced whole at each change
    process.json    pid and start time of its process
    stop            there when somebody asked it to stop
    log.txt, metrics.jsonl, checkpoints/, model/, test/    see `training.run`

A folder copied here from elsewhere is a run like any other. States come from these files and the process, never from
a browser's session. Not for starting anything (`scheduler`, `execution`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import models
from ..jobs.store import alive, point_in_time, read_json, write_json
from ..messages import EmotionError
from ..training import checkpoint
from ..training.config import TrainingConfig
from .migrations import migrated

ENDED = ("finished", "stopped", "failed", "interrupted", "damaged")
LONGEST_NAME = 80
LONGEST_NOTE = 4000
NEW = ".new-"
"""How a folder's name begins that is being filled."""
_DELETED = ".deleted-"
_DEVICE = re.compile(r"cpu|mps|cuda:[0-9]{1,3}")


@dataclass(frozen=True)
class DataFacts:
    """What the run learns from. balance: (label, rows to train on, rows to test on) of all seven."""

    title: str
    fingerprint: str
    rows: int
    train_rows: int
    test_rows: int
    balance: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class SweepPart:
    """The sweep that a run belongs to; `axes` are the values tried, by setting."""

    id: str
    name: str
    axes: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Run:
    """A run as it is now, with the settings it runs with.

    state: queued, running, stopping, finished, stopped, failed, interrupted (its process died) or damaged.
    seconds: worked so far, over all resumes; rate: sentences a second; figures: of the best epoch;
    error: key and values of the catalogue's sentence; checkpoint: step of the last whole one; place: in the queue.
    """

    id: str
    folder: Path
    state: str
    created: float
    name: str = ""
    note: str = ""
    base: str = ""
    config: TrainingConfig | None = None
    device: str = ""
    title: str = ""
    data: DataFacts | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    sweep: SweepPart | None = None
    phase: str = ""
    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    epochs: int = 0
    seconds: float = 0.0
    seconds_left: float | None = None
    rate: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)
    error: tuple[str, dict[str, Any]] | None = None
    place: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in ENDED

    @property
    def active(self) -> bool:
        """Whether its process works."""
        return self.state in ("running", "stopping")

    @property
    def finished(self) -> bool:
        """Whether it reached its end."""
        return self.state == "finished"

    @property
    def resumable(self) -> bool:
        """Whether it can go on (or start over, where it has no checkpoint yet).

        One that diverged can't: it would give the same numbers again.
        """
        diverged = self.error is not None and self.error[0] == "error.training.diverged"
        return self.state in ("stopped", "failed", "interrupted") and not diverged

    @property
    def checkpoint(self) -> int | None:
        """The step of the last whole checkpoint, or None."""
        steps = checkpoint.whole(self.folder / "checkpoints")
        return steps[-1] if steps else None

    @property
    def model_name(self) -> str | None:
        """What the other pages call its model, or None before there is one."""
        return f"{models.RUNS}/{self.id}" if (self.folder / "model" / "config.json").is_file() else None

    @property
    def test_folder(self) -> Path | None:
        """The scores of its test half, or None before there are any."""
        place = self.folder / "test"
        return place if any(place.glob("part-*.npz")) else None

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        total = 0
        for file in self.folder.rglob("*"):
            with contextlib.suppress(OSError):
                total += file.stat().st_size
        return total


def runs_folder() -> Path:
    """Where runs live."""
    return models.weights_folder() / models.RUNS


def folder_of(run: str) -> Path:
    """The folder of a run's id. Raises EmotionError where there is none; no path is built from the text."""
    try:
        found = next((entry for entry in runs_folder().iterdir() if entry.name == run and _is_run(entry)), None)
    except OSError:
        found = None
    if found is None:
        raise EmotionError("error.run.missing", run=run[:60])
    return found


def all_runs() -> list[Run]:
    """All runs, the newest first, damaged ones among them."""
    try:
        folders = [entry for entry in runs_folder().iterdir() if _is_run(entry)]
    except OSError:
        return []
    return sorted((read(folder) for folder in folders), key=lambda run: (run.created, run.id), reverse=True)


def get(run: str) -> Run:
    """The run `run`, damaged or not. Raises EmotionError where there is none."""
    return read(folder_of(run))


def find(name: str) -> Run:
    """A run by its id, or by its name where only one has it. Raises EmotionError."""
    named = [run for run in all_runs() if run.id == name or (name and run.name == name)]
    if len(named) == 1 or (named and named[0].id == name):
        return named[0]
    return get(name)


def read(folder: Path) -> Run:
    """The run in `folder`; what can't be read makes it damaged, and nothing else suffers."""
    try:
        run = _read(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, EmotionError):
        try:
            created = folder.stat().st_mtime
        except OSError:
            created = 0.0
        return Run(folder.name, folder, "damaged", created, name=folder.name)
    return run


def _read(folder: Path) -> Run:
    spec = migrated(read_json(folder / "run.json"))
    about = _optional(folder / "about.json")
    status = _optional(folder / "status.json")
    waits = _optional(folder / "queue.json")
    facts = spec["data"]["facts"]
    sweep = spec.get("sweep")
    state = str(status.get("state", "interrupted"))
    if state not in ENDED and state != "queued":
        stopping = (folder / "stop").exists()
        state = ("stopping" if stopping else "running") if alive(folder) else "interrupted"
    error = status.get("error")
    created = point_in_time(spec["created"])
    device = str(spec["device"])
    if not _DEVICE.fullmatch(device):  # files are called by it
        raise ValueError("device")
    return Run(
        id=folder.name, folder=folder, state=state, created=created, name=str(about.get("name") or folder.name),
        note=str(about.get("note", "")), base=str(spec["base"]), config=TrainingConfig.from_dict(spec["config"]),
        device=device, title=str(spec["data"]["title"]),
        data=DataFacts(str(spec["data"]["title"]), str(facts["fingerprint"]), int(facts["rows"]),
                       int(facts["train_rows"]), int(facts["test_rows"]),
                       tuple((str(label), int(train), int(test)) for label, train, test in facts["balance"])),
        versions=dict(spec["versions"]),
        sweep=SweepPart(str(sweep["id"]), str(sweep["name"]), {k: tuple(v) for k, v in sweep["axes"].items()})
        if sweep else None,
        phase=str(status.get("phase", "")) if state in ("running", "stopping") else "",
        step=int(status.get("step", 0)), steps=int(status.get("steps", 0)), epoch=float(status.get("epoch", 0)),
        epochs=int(spec["config"]["epochs"]), seconds=float(status.get("seconds", 0)),
        seconds_left=status.get("seconds_left") if state in ("running", "stopping") else None,
        rate=float(status.get("rate", 0)), figures=dict(status.get("figures") or {}),
        error=(str(error[0]), dict(error[1])) if error else None, place=float(waits.get("place", created)))


def _optional(file: Path) -> dict[str, Any]:
    return read_json(file) if file.exists() else {}


def _is_run(folder: Path) -> bool:
    return not folder.name.startswith(".") and folder.is_dir()


def write_status(folder: Path, state: str, error: EmotionError | None = None, **progress: Any) -> None:
    """Replace status.json; what isn't given stays as it was. Raises OSError."""
    try:
        known = read_json(folder / "status.json")
    except (OSError, ValueError):
        known = {}
    content = known | progress | {"state": state, "error": error.stored if error else None, "changed": time.time()}
    try:
        write_json(folder / "status.json", content)
    except OSError:
        if state not in ENDED:
            raise
        _write_over(folder / "status.json", json.dumps(content).encode())


def _write_over(file: Path, content: bytes) -> None:
    """Write an end into the blocks that `file` has already: on a full disk there are no others. Raises OSError."""
    with file.open("rb+") as out:
        out.write(content)
        out.truncate()
        out.flush()
        os.fsync(out.fileno())


def rename(run: str, name: str) -> None:
    """Give a run another name. Raises EmotionError for an empty or very long one."""
    cleaned = " ".join(name.split())
    if not cleaned or len(cleaned) > LONGEST_NAME:
        raise EmotionError("error.run.name", limit=LONGEST_NAME)
    _write_about(run, name=cleaned)


def write_note(run: str, note: str) -> None:
    """Keep a note with a run, cut to LONGEST_NOTE characters."""
    _write_about(run, note=note.strip()[:LONGEST_NOTE])


def _write_about(run: str, **changes: str) -> None:
    folder = folder_of(run)
    try:
        known = read_json(folder / "about.json")
    except (OSError, ValueError):
        known = {}
    try:
        write_json(folder / "about.json", known | changes)
    except OSError as error:
        raise models.unwritable(folder, error) from error


def delete(run: str) -> None:
    """Remove a run with its model for good. Raises EmotionError while it runs or waits, or where the disk refuses."""
    found = get(run)
    if not found.ended:
        raise EmotionError("error.run.active", name=found.name)
    doomed = found.folder.with_name(f"{_DELETED}{found.id}-{os.getpid()}")
    try:
        found.folder.rename(doomed)  # at once and whole: nobody ever sees half a run
        if doomed.is_symlink():
            doomed.unlink()  # never what it points to
        else:
            with contextlib.suppress(FileNotFoundError):  # a `sweep` is at it too
                shutil.rmtree(doomed)
    except OSError as error:
        raise models.unwritable(found.folder, error) from error


def sweep() -> None:
    """Remove what a killed process left half-made or half-deleted; to be called by who holds the lock of `create`."""
    for pattern in (f"{NEW}*", f"{_DELETED}*"):
        for left in runs_folder().glob(pattern):
            shutil.rmtree(left, ignore_errors=True)
