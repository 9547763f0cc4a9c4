"""What runs in a job's process: `python -m emotion_core.jobs.worker FOLDER`."""

from __future__ import annotations

import contextlib
import errno
import importlib
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from ..messages import EmotionError, reason_of
from . import store

KINDS = {"score": "emotion_core.scoring.job", "export": "emotion_core.scoring.export"}
"""The module of each kind; its `run(context)` does the work and returns whether all of it is done (else: stopped)."""

_EVERY_SECONDS = 0.3


class Context:
    """What a job's code sees of its job: the folder, the spec, a way to report and to hear a stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = store.read_json(folder / "spec.json")
        self._progress = {"done": 0, "total": 0, "seconds": 0.0}
        with contextlib.suppress(OSError, ValueError, TypeError):
            before = store.read_json(folder / "status.json")
            self._progress |= {name: before[name] for name in self._progress if name in before}
        self._written = 0.0

    @property
    def seconds(self) -> float:
        """Spent on the work so far, also before it was resumed."""
        return float(self._progress["seconds"])

    @property
    def stopping(self) -> bool:
        """Whether somebody asked the job to stop."""
        return (self.folder / "stop").exists()

    def report(self, done: int, total: int, seconds: float) -> None:
        """Say how far it is; written to the disk a few times a second."""
        self._progress = {"done": done, "total": total, "seconds": round(seconds, 3)}
        if time.monotonic() - self._written > _EVERY_SECONDS:
            self.write("running")

    def write(self, state: str, error: tuple[str, dict[str, Any]] | None = None) -> None:
        """Put the state on the disk."""
        store.write_json(self.folder / "status.json", {"state": state, "error": error, **self._progress})
        self._written = time.monotonic()


def main(folder: Path) -> int:
    """Run the job; whatever happens, its last state says so."""
    context = Context(folder)
    try:
        context.write("running")
        complete = importlib.import_module(KINDS[context.spec["kind"]]).run(context)
        context.write("finished" if complete else "stopped")
        return 0
    except EmotionError as error:
        failure = error.stored
    except MemoryError:
        failure = ("error.memory", {})
    except Exception as error:
        traceback.print_exc()
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        failure = ("error.disk_full", {}) if full else ("error.job.failed", {"reason": reason_of(error)})
    try:
        context.write("failed", failure)
    except OSError:
        traceback.print_exc()  # the disk is full: the dead process says "interrupted"
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
