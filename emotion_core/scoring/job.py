"""Scoring as a job: the file is copied into the job's folder, results are written in parts as they come.

    input.*          the person's file
    part-00000.npz   row, truth, logits, probabilities, reason and truncated of consecutive rows, and the beginnings
                     of their texts as one UTF-8 array with its offsets; whole or not there
"""

from __future__ import annotations

import itertools
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import jobs
from ..inference import EmotionClassifier
from ..messages import EmotionError
from ..tables import Source, TableFile
from .rows import Columns, Scored, score

if TYPE_CHECKING:
    from ..jobs.worker import Context

KIND = "score"
SHOWN_CHARACTERS = 500
"""Of a sentence, kept for the page; the file that goes back has all of it."""
_PART_SECONDS = 2.0  # of work that a killed process may lose
_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".xls", ".ods")


def start(table: TableFile, columns: Columns, model: Path, title: str, total: int, model_title: str = "") -> str:
    """Start scoring `table` with the model in the folder `model`; returns the job's id.

    `total` is the number of rows as surveyed, `model_title` what a person calls the model. Raises EmotionError
    where the disk won't take it.
    """
    source = asdict(table.source) | {"path": _input_name(table.source.path)}
    spec = {"source": source, "columns": asdict(columns), "model": str(model), "total": total,
            "model_title": model_title or model.name}
    return jobs.start(KIND, title, spec, lambda folder: _copy(table.source.path, folder / source["path"]))


def run(context: Context) -> bool:
    """The job itself (`jobs.worker`), from where it was left; returns whether all rows are scored."""
    table, columns = read_spec(context.spec, context.folder)
    total, spent = int(context.spec["total"]), context.seconds
    number, done = len(part_files(context.folder)), sum(len(part.row) for part in parts(context.folder))
    context.report(done, total, spent)
    classifier = EmotionClassifier.load(Path(context.spec["model"]))
    started = written = time.monotonic()
    waiting: list[Scored] = []
    for part in score(classifier, table, columns, after=done):
        waiting.append(part)
        done += len(part.row)
        context.report(done, total, spent + time.monotonic() - started)
        if time.monotonic() - written > _PART_SECONDS:
            number = write_part(context.folder, number, waiting)
            waiting, written = [], time.monotonic()
        if context.stopping:
            break
    write_part(context.folder, number, waiting)
    return done >= total or not context.stopping


def read_spec(spec: Mapping[str, Any], folder: Path) -> tuple[TableFile, Columns]:
    """The table and columns that a job was started with."""
    source = dict(spec["source"])
    source |= {"path": folder / Path(source["path"]).name, "sheets": tuple(source["sheets"])}
    return TableFile(Source(**source)), Columns(**spec["columns"])


def part_files(folder: Path) -> list[Path]:
    """The files that the job in `folder` has written so far, in order; a gap ends them."""
    files = (folder / _part_name(number) for number in itertools.count())
    return list(itertools.takewhile(Path.exists, files))


def parts(folder: Path) -> Iterator[Scored]:
    """What the job in `folder` has scored so far, in order. Raises EmotionError where a part is damaged."""
    for file in part_files(folder):
        try:
            with np.load(file, allow_pickle=False) as stored:
                letters, ends = stored["text"].tobytes(), stored["ends"].tolist()
                texts = [letters[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]
                part = Scored(stored["row"], texts, stored["truth"], stored["logits"], stored["probabilities"],
                              stored["reason"].tolist(),
                              stored["truncated"] if "truncated" in stored else np.zeros(len(stored["row"]), bool))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise EmotionError("error.job.results", file=file.name) from error
        yield part


def write_part(folder: Path, number: int, waiting: list[Scored]) -> int:
    """Write `waiting` as the part `number` of `folder`, whole; returns the next number. Raises OSError."""
    if not waiting:
        return number
    texts = [text[:SHOWN_CHARACTERS].encode("utf-8", "replace") for part in waiting for text in part.text]
    fresh = folder / ".part.npz"
    with fresh.open("wb") as file:
        np.savez(
            file, row=np.concatenate([part.row for part in waiting]),
            truth=np.concatenate([part.truth for part in waiting]),
            logits=np.concatenate([part.logits for part in waiting]),
            probabilities=np.concatenate([part.probabilities for part in waiting]),
            reason=np.array([reason for part in waiting for reason in part.reason]),
            truncated=np.concatenate([part.truncated for part in waiting]),
            text=np.frombuffer(b"".join(texts), np.uint8), ends=np.cumsum([len(text) for text in texts]))
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, folder / _part_name(number))
    return number + 1


def _part_name(number: int) -> str:
    return f"part-{number:05d}.npz"


def _input_name(path: Path) -> str:
    suffix = path.suffix.lower()
    return f"input{suffix if suffix in _SUFFIXES else '.txt'}"


def _copy(path: Path, place: Path) -> None:
    shutil.copyfile(path, place)
