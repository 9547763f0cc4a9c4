"""Evaluates a model on a file, start to finish, in the process that calls it."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from .. import models
from ..inference import EmotionClassifier
from ..messages import EmotionError
from ..tables import TableFile, change, detect, guess_columns
from .output import write_output
from .rows import Columns, Scored, check_labels, score, survey
from .totals import Totals

Progress = Callable[[int, float], None]
"""Called with the rows done and the rows a second so far."""
Result = TypeVar("Result")
_UNWRITTEN = (".xls", ".xlsm", ".xlsb", ".ods")  # the output is XLSX by its name, else CSV


def evaluate_file(
    file: str | os.PathLike[str], *, model: str = models.BUNDLED, device: str | None = None, precision: str = "auto",
    text_column: str | None = None, label_column: str | None = None, labels: bool = True,
    out: str | os.PathLike[str] | None = None, report: str | os.PathLike[str] | None = None, language: str = "ko",
    progress: Progress | None = None, **options: str,
) -> dict[str, object]:
    """Score `file` and return the report that the shell prints (`Totals.report`).

    Columns are given by name, or guessed; `options` override what was detected (encoding, delimiter,
    sheet). `out` is the scored CSV or XLSX, `report` the JSON; both appear whole or not at all; the report then
    has "cells_changed", cells of the file made safe or cut. Raises EmotionError for a file or column that can't be
    used, and before any scoring for an `out` or `report` that can't be written.
    """
    source = Path(file)
    targets = [Path(target) for target in (out, report) if target is not None]
    table = open_table(source, **options)
    for target in targets:  # before an hour's work, not after
        check_target(target, [source, *(other for other in targets if other is not target)])
    columns = choose_columns(table, text_column, label_column, labels)
    if columns.label is not None:
        check_labels(survey(table, columns), columns)
    classifier = EmotionClassifier.load(model, device, precision)
    started, totals = time.monotonic(), Totals()

    def parts() -> Iterator[Scored]:
        for part in score(classifier, table, columns):
            totals.add(part)
            if progress:
                progress(totals.rows, totals.rows / max(1e-9, time.monotonic() - started))
            yield slim(part)

    changed = 0
    if out is None:
        for _ in parts():
            pass
    else:
        # The scores and the file's rows are read side by side; a second pass over the table needs its own reader.
        changed = write_whole(
            Path(out), lambda place: write_output(place, TableFile(table.source), parts(), language))
    found = totals.report(classifier.name, time.monotonic() - started, language)
    if out is not None:
        found["cells_changed"] = changed
    if report is not None:
        text = json.dumps(found, ensure_ascii=False, indent=1) + "\n"
        write_whole(Path(report), lambda place: place.write_text(text, "utf-8"))
    return found


def open_table(file: Path, **options: str) -> TableFile:
    """The table in `file`, with what was detected overridden by `options` (encoding, delimiter, sheet).

    Raises EmotionError where one of them can't be, or doesn't go with the kind of file.
    """
    found = detect(file)
    if "sheet" in options and found.sheet is None:
        raise EmotionError("error.table.sheet", sheet=options["sheet"], names="-")
    if found.sheet is not None:
        options = {name: value for name, value in options.items() if name == "sheet"}
    if options.get("delimiter") in ("tab", "\\t"):
        options["delimiter"] = "\t"
    return TableFile(change(found, **options) if options else found)


def choose_columns(table: TableFile, text: str | None = None, label: str | None = None, labels: bool = True) -> Columns:
    """The columns called `text` and `label`, or guessed ones. Raises EmotionError for a name that isn't there."""
    guessed_text, guessed_label = guess_columns(table.columns, table.preview(100))

    def place(name: str) -> int:
        if name in table.columns:
            return table.columns.index(name)
        raise EmotionError("error.table.column", column=name, names=", ".join(table.columns[:20]))

    chosen = place(text) if text else guessed_text
    if not labels:
        return Columns(chosen)
    found = place(label) if label else guessed_label
    if found == chosen and not label:
        found = None
    return Columns(chosen, found)


def slim(part: Scored) -> Scored:
    """The part without its texts, which the output takes from the file."""
    return dataclasses.replace(part, text=[])


def check_target(path: Path, others: Sequence[Path]) -> None:
    """Raise EmotionError where `path` can't be written: no folder, no file, no permission, or one of `others`."""
    if path.suffix.lower() in _UNWRITTEN:
        raise EmotionError("error.out.kind", file=path.name)
    try:
        if not path.parent.is_dir():
            raise EmotionError("error.out.folder", folder=str(path.parent))
        if path.exists() and not path.is_file():
            raise EmotionError("error.out.no_file", file=str(path))
        if any(path.resolve() == other.resolve() for other in others):
            raise EmotionError("error.out.same", file=path.name)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise models.unwritable(path.parent, error) from error


def write_whole(path: Path, write: Callable[[Path], Result]) -> Result:
    """Let `write` fill a temporary file beside `path`, then put it in its place; returns what `write` does.

    A reader, a kill or a power cut meets the old file or the new one. Raises EmotionError where the disk refuses.
    """
    path = path.resolve()  # what a link points to is replaced, not the link
    try:
        with tempfile.TemporaryDirectory(prefix=".emotion-", dir=path.parent, ignore_cleanup_errors=True) as place:
            fresh = Path(place) / path.name
            done = write(fresh)
            with fresh.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(fresh, path)
            return done
    except OSError as error:
        raise models.unwritable(path.parent, error) from error
