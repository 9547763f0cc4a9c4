"""Runs one after another on a device: `python -m emotion_core.runs.scheduler DEVICE` works until none waits.

Its process belongs to no server and nobody has to keep it: it is started by whoever queues a run, and ends with the
last one. The queue itself is the runs' own files, so a power cut loses nothing, any process may reorder it, and
killing this one harms no run: the run has a session of its own and holds the device's lock.

Weighed against huey on SQLite (a kept-up, light library): it needs a consumer that somebody starts and keeps alive,
stores pickled calls, has no order that can be changed by hand, and knows a task's result but not that its process was
killed; what is written here (who is next, is the device free, did the process end without a word) would have to be
written on top of it all the same. Only the lock is a library's (filelock), which a dead holder frees.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from .. import models
from ..jobs.process import kill, launch
from ..jobs.store import alive, read_json, write_json
from ..messages import EmotionError
from . import execution, store
from .store import Run


def queue(device: str | None = None) -> list[Run]:
    """Runs that work, then those that wait, in order; of one device or all."""
    known = [run for run in store.all_runs() if device is None or run.device == device]
    working = sorted((run for run in known if run.active), key=lambda run: run.created)
    return [*working, *_waiting(known)]


def _waiting(known: list[Run]) -> list[Run]:
    return sorted((run for run in known if run.state == "queued"), key=lambda run: (run.place, run.created, run.id))


def move_to(run: str, place: int) -> None:
    """Give a waiting run the place `place` among those that wait for its device, 0 the next.

    Raises EmotionError where it doesn't wait any more, or where the disk refuses.
    """
    found = store.get(run)
    if found.state != "queued":
        raise EmotionError("error.run.not_waiting", name=found.name)
    others = [one for one in queue(found.device) if one.state == "queued" and one.id != run]
    place = max(0, min(place, len(others)))
    others.insert(place, found)
    times = sorted(one.place for one in others)
    try:
        for number, one in enumerate(others):
            # Equal times would leave the order to chance.
            write_json(one.folder / "queue.json", {"place": times[0] + number * 1e-3})
    except OSError as error:
        raise models.unwritable(found.folder, error) from error


def move(run: str, places: int) -> None:
    """Move a waiting run up (negative) or down by so many places."""
    found = store.get(run)
    order = [one.id for one in queue(found.device) if one.state == "queued"]
    move_to(run, order.index(run) + places if run in order else 0)


def enqueue(run: str) -> None:
    """Let an ended run wait for its turn again, behind the others. Raises EmotionError where it can't go on."""
    found = store.get(run)
    if not found.resumable:
        raise EmotionError("error.run.not_resumable", name=found.name)
    try:
        (found.folder / "stop").unlink(missing_ok=True)
        write_json(found.folder / "queue.json", {"place": time.time()})
        store.write_status(found.folder, "queued")
    except OSError as error:
        raise models.unwritable(found.folder, error) from error
    wake()


def stop(run: str, force: bool = False) -> None:
    """Ask a run to stop and keep a checkpoint; with `force`, end its processes now.

    One that waits is stopped at once.
    """
    found = store.get(run)
    if found.ended:
        return
    try:
        (found.folder / "stop").touch()
        if found.state == "queued" and not alive(found.folder):
            store.write_status(found.folder, "stopped")
    except OSError as error:
        raise models.unwritable(found.folder, error) from error
    if force:
        kill(found.folder)


def wake() -> None:
    """See to it that runs that wait get their turn; does nothing where none waits or it is seen to already."""
    for device in {run.device for run in store.all_runs() if run.state == "queued" and not execution.is_owned(run)}:
        lock = _lock(device)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue  # whoever holds it looks again after letting go
        lock.release()
        folder = store.runs_folder() / f".queue-{device.replace(':', '-')}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            launch(folder, ["-m", "emotion_core.runs.scheduler", device])
        except OSError as error:
            raise models.unwritable(folder, error) from error


def serve(device: str) -> None:
    """Start the runs that wait for `device`, one after another, until none does."""
    while _next(device):
        try:
            with _lock(device):
                while found := _next(device):
                    if _is_free(device):
                        # Whoever was moved to the front while we looked is next.
                        _work(_next(device) or found)
                    else:
                        time.sleep(0.5)
        except Timeout:
            return
        # Queued between the last look and the lock's release: nobody else was started for it, so look again.


def _work(run: Run) -> None:
    before = _changed(run)
    process = launch(run.folder, ["-m", "emotion_core", "train", "--run", run.id])
    process.wait()
    # Its state is its own to write; that nothing was written at all means it died before its first word.
    if _changed(run) == before and store.read(run.folder).state == "queued":
        stopped = (run.folder / "stop").exists()
        error = None if stopped else EmotionError("error.job.failed", reason=log_tail(run.folder, 1).strip()[:200])
        store.write_status(run.folder, "stopped" if stopped else "failed", error)


def _changed(run: Run) -> float:
    try:
        return float(read_json(run.folder / "status.json")["changed"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _next(device: str) -> Run | None:
    return next((run for run in queue(device) if run.state == "queued" and not execution.is_owned(run)), None)


def _is_free(device: str) -> bool:
    """Whether nobody trains on the device; a run from a shell may."""
    lock = execution.device_lock(device)
    try:
        with lock.acquire(timeout=0):
            return True
    except Timeout:
        return False


def _lock(device: str) -> FileLock:
    return FileLock(store.runs_folder() / f".queue-{device.replace(':', '-')}.lock", timeout=0)


def log_tail(folder: Path, lines: int) -> str:
    """The last lines of a run's log."""
    try:
        with (folder / "log.txt").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 65536))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


if __name__ == "__main__":
    serve(sys.argv[1])
