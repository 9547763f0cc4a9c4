"""The store of jobs: `weights/jobs/<id>/`, readable without the app.

    spec.json     what was asked: {"schema", "kind", "title", "created", …}; written once
    status.json   how far it is; replaced whole at each change
    process.json  pid and start time of its process
    stop          there when somebody asked it to stop
    log.txt       what its process printed
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import models
from ..messages import EmotionError

SCHEMA = 1
KEPT_DAYS = 14
KEPT_JOBS = 30
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
_DAY = 86400
_UNFINISHED = ".new-"  # a folder that is being filled
_STARTING_SECONDS = 30  # in which a job may have no process yet
ENDED = ("finished", "stopped", "failed", "interrupted")


@dataclass(frozen=True)
class JobStatus:
    """A job as it is now.

    state: starting, running, stopping, finished, stopped, failed, interrupted (its process died) or damaged.
    done and total count what the kind counts (rows); total is 0 while unknown. `seconds` is the time spent
    on `done`; `error` the key and values of the catalogue's sentence.
    """

    id: str
    folder: Path
    kind: str
    title: str
    state: str
    created: float
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    error: tuple[str, dict[str, Any]] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state not in ("starting", "running", "stopping")

    @property
    def rate(self) -> float:
        """`done` a second; 0 while unknown."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time left at the rate so far, or None while unknown."""
        return (self.total - self.done) / self.rate if self.total and self.rate > 0 else None


def jobs_folder() -> Path:
    """Where jobs live."""
    return models.weights_folder() / "jobs"


def create(kind: str, title: str, spec: dict[str, Any], fill: Callable[[Path], None] | None = None) -> Path:
    """A new job's folder with its spec and what `fill` puts there; whole from the moment it can be seen.

    Raises EmotionError where the disk won't take it.
    """
    now = time.time()
    job = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{secrets.token_hex(3)}"
    fresh = jobs_folder() / f"{_UNFINISHED}{job}"
    try:
        fresh.mkdir(parents=True)
        if fill:
            fill(fresh)
        # Of the moment when all is there: a large file takes a while, and the job is new only then.
        about = {"schema": SCHEMA, "kind": kind, "title": title, "created": time.time()}
        write_json(fresh / "spec.json", about | spec)
        return fresh.rename(jobs_folder() / job)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise models.unwritable(jobs_folder(), error) from error


def folder_of(job: str) -> Path:
    """The folder of a job's id. Raises EmotionError where there is none, or the id is no id."""
    folder = jobs_folder() / job if _ID.fullmatch(job) else None
    if folder is None or not folder.is_dir():
        raise EmotionError("error.job.missing", job=job[:40])
    return folder


def jobs(kind: str | None = None) -> list[JobStatus]:
    """All jobs, or those of one kind, the newest first; what is no job's folder is passed over."""
    try:
        names = sorted((entry.name for entry in jobs_folder().iterdir() if _ID.fullmatch(entry.name)), reverse=True)
    except OSError:
        return []
    found: list[JobStatus] = []
    for name in names:
        with contextlib.suppress(EmotionError):  # deleted in another tab meanwhile, or a file
            found.append(status(name))
    return [one for one in found if kind is None or one.kind in (kind, "")]


def status(job: str) -> JobStatus:
    """The state of a job, from its files and its process. Raises EmotionError where there is no such job."""
    folder = folder_of(job)
    try:
        spec = read_json(folder / "spec.json")
        if spec["schema"] > SCHEMA:
            raise ValueError("schema")
        known = {"kind": str(spec["kind"]), "title": str(spec["title"]), "created": point_in_time(spec["created"])}
        state, progress = _written(folder)
        if state not in ENDED and not alive(folder, known["created"]):
            state, progress = _written(folder)  # it may have ended since
            if state not in ENDED:  # one that was ended by force had been asked to stop
                state = "stopped" if (folder / "stop").exists() else "interrupted"
        elif state not in ENDED and (folder / "stop").exists():
            state = "stopping"
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        if not folder.is_dir():  # deleted in another tab meanwhile
            raise EmotionError("error.job.missing", job=job) from error
        return JobStatus(job, folder, "", job, "damaged", folder.stat().st_mtime)
    return JobStatus(id=job, folder=folder, state=state, **known, **progress)


def _written(folder: Path) -> tuple[str, dict[str, Any]]:
    """The state in status.json and what else a JobStatus takes from it. Raises what `status` catches."""
    try:
        written = read_json(folder / "status.json")
    except FileNotFoundError:
        written = {}
    error = written.get("error")
    return str(written.get("state", "starting")), {
        "done": int(written.get("done", 0)), "total": int(written.get("total", 0)),
        "seconds": float(written.get("seconds", 0)), "error": (str(error[0]), dict(error[1])) if error else None}


def delete(job: str) -> None:
    """Remove an ended job for good. Raises EmotionError while it runs, or where the disk refuses."""
    found = status(job)
    if not found.ended:
        raise EmotionError("error.job.running", title=found.title)
    try:
        shutil.rmtree(found.folder)
    except OSError as error:
        raise models.unwritable(found.folder, error) from error


def sweep(kind: str) -> None:
    """Delete ended jobs of a kind that are older than KEPT_DAYS, or more than the KEPT_JOBS newest.

    And folders that a process died over while it filled them.
    """
    for place, found in enumerate(jobs(kind)):
        if found.ended and (place >= KEPT_JOBS or time.time() - found.created > KEPT_DAYS * _DAY):
            shutil.rmtree(found.folder, ignore_errors=True)
    for left in jobs_folder().glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _DAY:
                shutil.rmtree(left, ignore_errors=True)


def write_json(file: Path, content: object) -> None:
    """Replace `file` whole: a reader, or a power cut, meets the old or the new one."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with fresh.open("w", encoding="utf-8") as out:
            json.dump(content, out, ensure_ascii=False)
            out.flush()
            os.fsync(out.fileno())
        os.replace(fresh, file)
    except OSError:  # a full disk
        fresh.unlink(missing_ok=True)
        raise


def read_json(file: Path) -> dict[str, Any]:
    """The object in `file`. Raises OSError or ValueError."""
    content = json.loads(file.read_text("utf-8"))
    if not isinstance(content, dict):
        raise ValueError(file.name)
    return content


def point_in_time(seconds: object) -> float:
    """`seconds` since 1970, as a date can show them. Raises ValueError or OverflowError for any others."""
    time.localtime(moment := float(seconds))  # type: ignore[arg-type]
    return moment


def alive(folder: Path, created: float = 0.0) -> bool:
    """Whether the folder's own process lives: the same pid may be somebody else's by now, a zombie is dead.

    A job `created` just now may have no process yet and counts as alive.
    """
    import psutil

    try:
        recorded = read_json(folder / "process.json")
        process = psutil.Process(int(recorded["pid"]))
        same = abs(process.create_time() - float(recorded["create_time"])) < 2
        return same and process.status() != psutil.STATUS_ZOMBIE
    except FileNotFoundError:
        return time.time() - created < _STARTING_SECONDS
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return False
