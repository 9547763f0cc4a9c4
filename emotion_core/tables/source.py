"""The one door to a person's file: what it is, its columns, its rows.

`detect` says what was found; every finding can be replaced (`Source` is a
dataclass) before a `TableFile` reads with it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from ..messages import EmotionError
from . import columns, delimited, encoding, workbook

LARGEST_FILE = 300_000_000
"""Bytes."""
MOST_COLUMNS = 200

Cell = str | int | float | bool


@dataclass(frozen=True)
class Source:
    """How a file is read. A workbook has `sheet` and `sheets`, a text file `encoding` and maybe `delimiter`.

    `certain` is False where the bytes are neither UTF-8 nor CP949 throughout and a person should look.
    """

    path: Path
    header: bool
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    sheets: tuple[str, ...] = ()
    certain: bool = True


def detect(path: Path) -> Source:
    """What `path` seems to be. Raises EmotionError when it is empty, too large, damaged or no table."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise EmotionError("error.table.missing", file=str(path)) from error
    if size == 0:
        raise EmotionError("error.table.empty", file=path.name)
    if size > LARGEST_FILE:
        raise EmotionError("error.table.too_large", file=path.name, limit=LARGEST_FILE // 10**6)
    if workbook.is_workbook(path):
        names = tuple(workbook.sheets(path))
        source = next((found for name in names if (found := _with_header(
            Source(path, header=True, sheet=name, sheets=names)))), None)
        if source is None:
            raise EmotionError("error.table.empty", file=path.name)
        return source
    found = encoding.detect_encoding(path)
    name = found or "cp949"
    source = _with_header(Source(path, header=True, encoding=name, delimiter=delimited.detect_delimiter(path, name),
                                 certain=found is not None))
    if source is None:
        raise EmotionError("error.table.empty", file=path.name)
    return source


def _with_header(source: Source) -> Source | None:
    """`source` with `header` decided, or None where there isn't a single row."""
    head = list(islice(_raw_rows(source), 50))
    if not head:
        return None
    return Source(**{**source.__dict__, "header": columns.is_header(head[0], head[1:])})


def _raw_rows(source: Source) -> Iterator[list[Cell]]:
    if source.sheet is not None:
        return workbook.rows(source.path, source.sheet)
    return delimited.rows(source.path, source.encoding or "utf-8", source.delimiter)


class TableFile:
    """A file read as `source` says. Rows are read anew at each pass, so a million need no memory."""

    def __init__(self, source: Source) -> None:
        """Reads the header. Raises EmotionError for no rows at all, or more than MOST_COLUMNS columns."""
        self.source = source
        head = list(islice(_raw_rows(source), 100))
        if not head:
            raise EmotionError("error.table.empty", file=source.path.name)
        width = max(map(len, head)) if not source.header else max(len(head[0]), *map(len, head[1:2]), 1)
        if width > MOST_COLUMNS:
            raise EmotionError("error.table.columns", file=source.path.name, found=width, limit=MOST_COLUMNS)
        if source.header and len(head) == 1:
            raise EmotionError("error.table.header_only", file=source.path.name)
        self.columns = tuple(_unique(head[0] if source.header else [], width))
        self.short = 0
        """Rows of the last pass with fewer cells than columns; the missing ones are empty."""
        self.long = 0
        """Rows of the last pass with more cells than columns; what is too much is left out."""

    def rows(self) -> Iterator[list[Cell]]:
        """The rows under the header, each as wide as `columns`."""
        self.short = self.long = 0
        width = len(self.columns)
        for row in islice(_raw_rows(self.source), int(self.source.header), None):
            if len(row) < width:
                self.short += 1
                row = [*row, *[""] * (width - len(row))]
            elif len(row) > width:
                self.long += any(cell != "" for cell in row[width:])
                row = row[:width]
            yield row

    def preview(self, count: int = 8) -> list[list[Cell]]:
        """The first rows."""
        return list(islice(self.rows(), count))


def _unique(names: list[Cell], width: int) -> Iterator[str]:
    """Column names, composed (NFC); a blank one is called by its letter as spreadsheets do, a second one numbered."""
    seen: set[str] = set()
    for place, name in enumerate(islice(chain(names, [""] * width), width)):
        base = " ".join(unicodedata.normalize("NFC", str(name)).split()) or f"({_letter(place)})"
        unique, count = base, 2
        while unique in seen:
            unique, count = f"{base} ({count})", count + 1
        seen.add(unique)
        yield unique


def _letter(place: int) -> str:
    return chr(65 + place) if place < 26 else _letter(place // 26 - 1) + chr(65 + place % 26)
