"""The file that goes back: the original columns and what the model says of each row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..labels import LABELS, NUM_LABELS, display_name
from ..messages import message
from ..tables import TableFile
from ..tables.writing import write_csv, write_xlsx
from .rows import Scored


def output_columns(table: TableFile, language: str) -> list[str]:
    """The original columns, then ours, renamed where the file has such a name already."""
    ours = [message(key, language) for key in ("column.first", "column.first_probability", "column.second",
                                               "column.second_probability")]
    ours += [display_name(label, language) for label in LABELS]
    taken = set(table.columns)
    return [*table.columns, *(name if name not in taken else f"{name} (Emotion Studio)" for name in ours)]


def output_rows(table: TableFile, parts: Iterable[Scored], language: str) -> Iterator[list[object]]:
    """The file's rows as they were, each with its emotions; rows that weren't reached are left out."""
    rows = table.rows()
    for part in parts:
        order = np.argsort(-part.logits, axis=1, kind="stable")
        for place, row in zip(range(len(part.row)), rows, strict=False):
            yield [*row, *_emotions(part.logits[place], part.probabilities[place], order[place], language)]


def _emotions(logits: np.ndarray, probabilities: np.ndarray, order: np.ndarray, language: str) -> list[object]:
    if math.isnan(logits[0]):
        return [""] * (4 + NUM_LABELS)
    first, second = int(order[0]), int(order[1])
    values = [round(float(value), 6) for value in probabilities]
    named = logits[second] >= 0
    return [display_name(LABELS[first], language), values[first],
            display_name(LABELS[second], language) if named else "", values[second] if named else "", *values]


def is_excel(path: Path) -> bool:
    """Whether `write_output` makes `path` an XLSX."""
    return path.suffix.lower() == ".xlsx"


def write_output(path: Path, table: TableFile, parts: Iterable[Scored], language: str) -> int:
    """Write the scored file, XLSX or CSV by the name of `path`; returns how many cells could not stay as they were."""
    write = write_xlsx if is_excel(path) else write_csv
    return write(path, output_columns(table, language), output_rows(table, parts, language))
