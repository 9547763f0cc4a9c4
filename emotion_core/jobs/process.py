"""Starts a job's process in a session of its own, and ends it: a word first, force when it doesn't listen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import models
from . import store


def start(kind: str, title: str, spec: dict[str, Any], fill: Callable[[Path], None] | None = None) -> str:
    """Start a job and return its id; `fill` puts its input files into its folder first.

    The process has no terminal, logs to its folder and belongs to no other, so it survives the
    server's end. Raises EmotionError where the disk won't take it; then nothing is left behind.
    """
    import shutil

    import psutil

    store.sweep(kind)
    folder = store.create(kind, title, spec)
    try:
        if fill:
            fill(folder)
        with (folder / "log.txt").open("ab") as log:
            own_group: dict[str, Any] = ({"start_new_session": True} if os.name == "posix" else
                                         {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP})  # type: ignore[attr-defined]
            process = subprocess.Popen(
                [sys.executable, "-m", "emotion_core.jobs.worker", str(folder)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, cwd=Path(__file__).parents[2], **own_group)
        try:
            born = psutil.Process(process.pid).create_time()
        except psutil.Error:
            born = 0.0
        store.write_json(folder / "process.json", {"pid": process.pid, "create_time": born})
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise models.unwritable(folder, error) from error
    return folder.name


def stop(job: str, force: bool = False) -> None:
    """Ask a job to stop and keep what is done; with `force`, end its process and all its children now.

    Raises EmotionError where there is no such job.
    """
    import psutil

    found = store.status(job)
    if found.ended:
        return
    (found.folder / "stop").touch()
    if not force:
        return
    try:
        recorded = store.read_json(found.folder / "process.json")
        parent = psutil.Process(int(recorded["pid"]))
        if abs(parent.create_time() - float(recorded["create_time"])) < 2:
            for process in [*parent.children(recursive=True), parent]:
                process.kill()
    except (OSError, ValueError, KeyError, psutil.Error):
        return
