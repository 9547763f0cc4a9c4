"""The store of jobs: `weights/jobs/<id>/`, readable without the app.

    spec.json     what was asked: {"schema", "kind", "title", "created", …}; written once
    status.json   how far it is; replaced whole at each change
    process.json  pid and start time of its process
    stop          there when somebody asked it to stop
    log.txt       what its process printed
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import models
from ..messages import EmotionError

SCHEMA = 1
KEPT_DAYS = 14
KEPT_JOBS = 30
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
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


def create(kind: str, title: str, spec: dict[str, Any]) -> Path:
    """A new job's folder with its spec. Raises EmotionError where the disk won't take it."""
    now = time.time()
    folder = jobs_folder() / f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{secrets.token_hex(3)}"
    try:
        folder.mkdir(parents=True)
        write_json(folder / "spec.json", {"schema": SCHEMA, "kind": kind, "title": title, "created": now, **spec})
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise models.unwritable(folder, error) from error
    return folder


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
    found = [status(name) for name in names if (jobs_folder() / name).is_dir()]
    return [one for one in found if kind is None or one.kind in (kind, "")]


def status(job: str) -> JobStatus:
    """The state of a job, from its files and its process. Raises EmotionError where there is no such job."""
    folder = folder_of(job)
    try:
        spec = read_json(folder / "spec.json")
        if spec["schema"] > SCHEMA:
            raise ValueError("schema")
        known = {"kind": str(spec["kind"]), "title": str(spec["title"]), "created": float(spec["created"])}
        written = read_json(folder / "status.json") if (folder / "status.json").exists() else {}
        progress = {"done": int(written.get("done", 0)), "total": int(written.get("total", 0)),
                    "seconds": float(written.get("seconds", 0))}
        state = str(written.get("state", "starting"))
        error = written.get("error")
        pair = (str(error[0]), dict(error[1])) if error else None
    except (OSError, ValueError, KeyError, TypeError):
        return JobStatus(job, folder, "", job, "damaged", folder.stat().st_mtime if folder.exists() else 0.0)
    if state not in ENDED:
        if not alive(folder, known["created"]):
            state = "interrupted"
        elif (folder / "stop").exists():
            state = "stopping"
    return JobStatus(id=job, folder=folder, state=state, error=pair, **known, **progress)


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
    """Delete ended jobs of a kind that are older than KEPT_DAYS, or more than the KEPT_JOBS newest."""
    for place, found in enumerate(jobs(kind)):
        if found.ended and (place >= KEPT_JOBS or time.time() - found.created > KEPT_DAYS * 86400):
            shutil.rmtree(found.folder, ignore_errors=True)


def write_json(file: Path, content: object) -> None:
    """Replace `file` whole: a reader, or a power cut, meets the old or the new one."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with fresh.open("w", encoding="utf-8") as out:
        json.dump(content, out, ensure_ascii=False)
        out.flush()
        os.fsync(out.fileno())
    os.replace(fresh, file)


def read_json(file: Path) -> dict[str, Any]:
    """The object in `file`. Raises OSError or ValueError."""
    content = json.loads(file.read_text("utf-8"))
    if not isinstance(content, dict):
        raise ValueError(file.name)
    return content


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
