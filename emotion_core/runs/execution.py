"""Does a run's work in the process that calls it; every end is written down truly. Not for making one (`creation`)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .. import models
from ..jobs.process import record
from ..jobs.store import alive, read_json
from ..messages import EmotionError, reason_of
from ..training import checkpoint
from ..training.config import TrainingConfig
from ..training.progress import Outcome, Progress
from . import store

_WRITE_SECONDS = 0.4


def reopen(run: str) -> None:
    """Make an ended run ready to go on in this process. Raises EmotionError where it can't go on."""
    found = store.get(run)
    if not found.resumable:
        raise EmotionError("error.run.not_resumable", name=found.name)
    try:
        record(found.folder, os.getpid())  # first, so that the queue leaves it alone
        (found.folder / "stop").unlink(missing_ok=True)
        store.write_status(found.folder, "queued")
    except OSError as error:
        raise models.unwritable(found.folder, error) from error


def execute(run: str, tell: Callable[[Progress], None] = lambda progress: None,
            waiting: Callable[[], None] = lambda: None) -> Outcome:
    """Do the work of the run `run`, or what is left of it; its state on the disk is true at any moment.

    Waits until the device is free, calling `waiting` once. Ctrl-C and a polite end are a stop: a checkpoint is kept.
    Raises EmotionError; the run then has failed and says why.
    """
    folder = store.folder_of(run)
    if not _is_main():
        return _train(folder, lambda progress: None, lambda: False)
    own = FileLock(folder / ".lock", timeout=0)
    try:
        with own:
            return _execute(folder, tell, waiting)
    except Timeout as error:
        raise EmotionError("error.run.active", name=store.read(folder).name) from error


def _execute(folder: Path, tell: Callable[[Progress], None], waiting: Callable[[], None]) -> Outcome:
    started = time.monotonic()
    record(folder, os.getpid())
    stopping = _Stop(folder)
    with _stop_on_signals(stopping), _device_of(folder, waiting, stopping) as free:
        if not free or stopping():
            store.write_status(folder, "stopped")
            return Outcome(False, None, {}, time.monotonic() - started)
        store.write_status(folder, "running", phase="preparing")
        teller = _Teller(folder, tell)
        try:
            outcome = _train(folder, teller, stopping)
        except BaseException as error:
            _write_failure(folder, teller, error)
            raise
        store.write_status(folder, "finished" if outcome.finished else "stopped", **teller.last | {
            "phase": "", "seconds_left": None, "seconds": outcome.seconds, "figures": dict(outcome.figures)})
        if outcome.finished:  # only now: a process that is killed before has its last step to go on from
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        return outcome


def _train(folder: Path, report: Callable[[Progress], None], stopping: Callable[[], bool]) -> Outcome:
    from ..training.data import read, read_choice

    spec = read_json(folder / "run.json")
    config = TrainingConfig.from_dict(spec["config"])
    device = str(spec["device"])
    if device.startswith("cuda:") and "WORLD_SIZE" not in os.environ:
        # The Trainer takes the first it sees, so it is shown one; before torch wakes CUDA up.
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", device.partition(":")[2])
        device = "cuda"
    data = read(read_choice(spec["data"], folder), config)
    if data.fingerprint != spec["data"]["facts"]["fingerprint"]:
        raise EmotionError("error.run.data_changed")
    from ..training.run import train

    base = spec.get("base_folder") or spec["base"]
    if spec.get("base_folder") and not Path(base).is_dir():
        base = spec["base"]  # copied here from another machine
    return train(data, base, config, folder, report=report, stopping=stopping,
                 device=None if device.startswith("cuda") else device)


class _Teller:
    """Puts progress on the disk, a few times a second, and passes it on."""

    def __init__(self, folder: Path, tell: Callable[[Progress], None]) -> None:
        self.last: dict[str, Any] = {}
        self._folder, self._tell = folder, tell
        self._written, self._phase = 0.0, ""

    def __call__(self, progress: Progress) -> None:
        known = {name: value for name, value in asdict(progress).items() if name != "phase"}
        if progress.phase == "preparing":  # of a resumed run the old step stays until the new one is known
            known = {}
        self.last |= known
        if progress.phase != self._phase or time.monotonic() - self._written > _WRITE_SECONDS:
            store.write_status(self._folder, "running", phase=progress.phase, **known)
            self._written, self._phase = time.monotonic(), progress.phase
        self._tell(progress)


class _Stop:
    """Whether somebody asked this run to stop, by the stop file or a signal; the disk is asked a few times a second."""

    def __init__(self, folder: Path) -> None:
        self.asked = False
        self._file, self._looked = folder / "stop", 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self.asked and now - self._looked > 0.1:
            self._looked = now
            self.asked = self._file.exists()
        return self.asked


@contextlib.contextmanager
def _stop_on_signals(stop: _Stop) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM is a stop, the second ends the process as it always does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def hear(number: int, frame: Any) -> None:
        stop.asked = True
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _device_of(folder: Path, waiting: Callable[[], None], stopping: Callable[[], bool]) -> Iterator[bool]:
    """Hold the lock of the run's device; False where it was stopped while it waited. A dead holder frees the lock."""
    lock = device_lock(str(read_json(folder / "run.json")["device"]))
    said = False
    while True:
        try:
            lock.acquire(timeout=0.5 if said else 0)
            break
        except Timeout:
            if not said:
                waiting()
            said = True
            if stopping():
                yield False
                return
    try:
        yield True
    finally:
        lock.release()


def device_lock(device: str) -> FileLock:
    """The lock that whoever trains on `device` holds."""
    return FileLock(store.runs_folder() / f".device-{device.replace(':', '-')}.lock")


def _write_failure(folder: Path, teller: _Teller, error: BaseException) -> None:
    """The truth about a run that ended with `error`, as far as the disk takes it."""
    if isinstance(error, EmotionError):
        said = error
    else:
        traceback.print_exc()
        said = EmotionError("error.job.failed", reason=reason_of(error))
    checkpoint.clear_unfinished(folder)  # on a full disk, room for the words below
    with contextlib.suppress(OSError):  # still no room: the dead process then says "interrupted"
        if isinstance(error, KeyboardInterrupt | SystemExit):
            store.write_status(folder, "interrupted", phase="", seconds_left=None)
        else:
            store.write_status(folder, "failed", said, **teller.last | {"phase": "", "seconds_left": None})


def _is_main() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


def is_owned(run: store.Run) -> bool:
    """Whether a process is about to do the work of a run that waits."""
    return alive(run.folder)
