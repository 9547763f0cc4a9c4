"""Starts a job's process in a session of its own, and ends it: a word first, force when it doesn't listen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from .. import models
from ..messages import EmotionError
from . import store


def start(kind: str, title: str, spec: dict[str, Any], fill: Callable[[Path], None] | None = None) -> str:
    """Start a job and return its id; `fill` puts its input files into its folder first.

    The process has no terminal, logs to its folder and belongs to no other, so it survives the
    server's end. Raises EmotionError where the disk won't take it; then nothing is left behind.
    """
    store.sweep(kind)
    folder = store.create(kind, title, spec, fill)
    try:
        _work(folder)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise models.unwritable(folder, error) from error
    return folder.name


def resume(job: str) -> None:
    """Let a job that ended before it was finished go on from what it has; nothing happens to one that runs.

    Raises EmotionError where there is no such job, it is finished or damaged, or the disk won't take it.
    """
    folder = store.folder_of(job)
    try:
        with FileLock(folder / ".resuming"):  # pressed twice, or in two tabs
            found = store.status(job)
            if not found.ended:
                return
            if found.state in ("finished", "damaged"):
                raise EmotionError("error.job.not_resumable", title=found.title)
            (folder / "stop").unlink(missing_ok=True)
            store.write_json(folder / "status.json", {"state": "starting", "done": found.done, "total": found.total,
                                                      "seconds": found.seconds})
            _work(folder)
    except OSError as error:
        raise models.unwritable(folder, error) from error


def _work(folder: Path) -> None:
    """Launch the process of a job."""
    launch(folder, ["-m", "emotion_core.jobs.worker", str(folder)])


def stop(job: str, force: bool = False) -> None:
    """Ask a job to stop and keep what is done; with `force`, end its process and all its children now.

    Raises EmotionError where there is no such job, or the disk won't take the word.
    """
    found = store.status(job)
    if found.ended:
        return
    try:
        (found.folder / "stop").touch()
    except OSError as error:
        if not force:
            raise models.unwritable(found.folder, error) from error
    if force:
        kill(found.folder)


def launch(folder: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start Python with `arguments` as the process of `folder`: it logs there and is known by process.json.

    It has no terminal and a session of its own. Raises OSError.
    """
    with (folder / "log.txt").open("ab") as log:
        own_group: dict[str, Any] = ({"start_new_session": True} if os.name == "posix" else
                                     {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP})  # type: ignore[attr-defined]
        process = subprocess.Popen([sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT, cwd=Path(__file__).parents[2], **own_group)
    record(folder, process.pid)
    return process


def record(folder: Path, pid: int) -> None:
    """Say on the disk that process `pid` does the work of `folder`; its start time tells it from a later namesake."""
    import psutil

    try:
        born = psutil.Process(pid).create_time()
    except psutil.Error:
        born = 0.0
    store.write_json(folder / "process.json", {"pid": pid, "create_time": born})


def kill(folder: Path) -> None:
    """End the process of `folder` and all its children now."""
    import psutil

    try:
        recorded = store.read_json(folder / "process.json")
        parent = psutil.Process(int(recorded["pid"]))
        if abs(parent.create_time() - float(recorded["create_time"])) < 2:
            for process in [*parent.children(recursive=True), parent]:
                process.kill()
    except (OSError, ValueError, KeyError, psutil.Error):
        return
