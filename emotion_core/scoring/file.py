"""Evaluates a model on a file, start to finish, in the process that calls it."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .. import models
from ..inference import EmotionClassifier
from ..messages import EmotionError
from ..tables import TableFile, change, detect, guess_columns
from .output import write_output
from .rows import Columns, Scored, check_labels, score, survey
from .totals import Totals

Progress = Callable[[int, float], None]
"""Called with the rows done and the rows a second so far."""


def evaluate_file(
    file: str | os.PathLike[str], *, model: str = models.BUNDLED, device: str | None = None,
    text_column: str | None = None, label_column: str | None = None, labels: bool = True,
    out: str | os.PathLike[str] | None = None, report: str | os.PathLike[str] | None = None, language: str = "ko",
    progress: Progress | None = None, **options: str,
) -> dict[str, object]:
    """Score `file` and return the report that the shell prints (`Totals.report`).

    Columns are given by name, or guessed; `options` override what was detected (encoding, delimiter,
    sheet). `out` is the scored CSV or XLSX, `report` the JSON; both appear whole or not at all. Raises
    EmotionError for a file or column that can't be used.
    """
    table = open_table(Path(file), **options)
    columns = choose_columns(table, text_column, label_column, labels)
    if columns.label is not None:
        check_labels(survey(table, columns), columns)
    classifier = EmotionClassifier.load(model, device)
    started, totals = time.monotonic(), Totals()

    def parts() -> object:
        for part in score(classifier, table, columns):
            totals.add(part)
            if progress:
                progress(totals.rows, totals.rows / (time.monotonic() - started))
            yield slim(part)

    if out is None:
        for _ in parts():
            pass
    else:
        # The scores and the file's rows are read side by side; a second pass over the table needs its own reader.
        write_whole(Path(out), lambda place: write_output(place, TableFile(table.source), parts(), language))
    found = totals.report(classifier.name, time.monotonic() - started, language)
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


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in its place."""
    try:
        with tempfile.TemporaryDirectory(prefix=".emotion-", dir=path.parent) as place:
            fresh = Path(place) / path.name
            write(fresh)
            os.replace(fresh, path)
    except OSError as error:
        raise models.unwritable(path, error) from error
