"""The scored file of a large job, made by a job of its own: a million rows take longer than a person's click may.

    scored.csv, scored.xlsx    the file; whole or not there

It belongs to the job whose rows it holds and goes with it. Small files are made on the spot (`output`).
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import jobs
from ..jobs import JobStatus
from ..jobs.store import read_json
from ..messages import EmotionError
from . import job
from .file import write_whole
from .output import write_output
from .rows import Scored

if TYPE_CHECKING:
    from ..jobs.worker import Context

KIND = "export"


class _Stopped(Exception):
    """Somebody asked for an end of it."""


def start(scored: JobStatus, suffix: str, language: str) -> str:
    """Start making the file of an ended scoring job, ".csv" or ".xlsx"; returns the id of the job that makes it.

    One that is being made already, or is made, is taken instead; what is left of failed ones goes. Raises EmotionError
    where the disk won't take it.
    """
    for found in _all(scored, suffix, language):
        if not found.ended or file_of(found):
            return found.id
        jobs.delete(found.id)
    spec = {"of": scored.id, "suffix": suffix, "language": language, "rows": scored.done}
    return jobs.start(KIND, scored.title, spec)


def find(scored: JobStatus, suffix: str, language: str) -> JobStatus | None:
    """The newest job that makes, made or failed to make this file of all the rows that `scored` has now."""
    return next(_all(scored, suffix, language), None)


def file_of(made: JobStatus) -> Path | None:
    """The file that a job made, or None where it has not, or the file has gone."""
    path = made.folder / _name(_spec(made).get("suffix"))
    return path if made.state == "finished" and path.is_file() else None


def run(context: Context) -> bool:
    """The job itself (`jobs.worker`); returns whether the file is whole."""
    scored = jobs.status(context.spec["of"])
    started = time.monotonic()

    def parts() -> Iterator[Scored]:
        done = 0
        for part in job.parts(scored.folder):
            if context.stopping:
                raise _Stopped
            yield part
            done += len(part.row)
            context.report(done, int(context.spec["rows"]), time.monotonic() - started)

    try:
        write_whole(context.folder / _name(context.spec["suffix"]),
                    lambda path: write(path, scored.folder, parts(), context.spec["language"]))
    except _Stopped:
        return False
    return True


def write(path: Path, folder: Path, parts: Iterator[Scored], language: str) -> int:
    """Write the scored file of the job in `folder` to `path`, see `output.write_output`."""
    table, _ = job.read_spec(read_json(folder / "spec.json"), folder)
    return write_output(path, table, parts, language)


def delete(scored: str) -> None:
    """Delete an ended scoring job and the files made of it. Raises EmotionError as `jobs.delete`."""
    jobs.delete(scored)
    sweep()


def sweep() -> None:
    """Delete by the rule of `jobs.sweep`, and the files whose scoring job has gone."""
    jobs.sweep(job.KIND)
    jobs.sweep(KIND)
    for made in jobs.jobs(KIND):
        if made.kind == KIND and not (made.folder.parent / str(_spec(made).get("of"))).is_dir():
            with contextlib.suppress(EmotionError):
                jobs.stop(made.id, force=True)
            shutil.rmtree(made.folder, ignore_errors=True)


def _all(scored: JobStatus, suffix: str, language: str) -> Iterator[JobStatus]:
    wanted = {"of": scored.id, "suffix": suffix, "language": language, "rows": scored.done}
    for made in jobs.jobs(KIND):
        if wanted.items() <= _spec(made).items():
            yield made


def _name(suffix: object) -> str:
    return "scored.xlsx" if suffix == ".xlsx" else "scored.csv"


def _spec(made: JobStatus) -> dict[str, Any]:
    try:
        return read_json(made.folder / "spec.json")
    except (OSError, ValueError):
        return {}
