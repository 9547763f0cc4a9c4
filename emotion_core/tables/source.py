"""The one door to a person's file: what it is, its columns, its rows.

`detect` says what was found; every finding can be replaced (`Source` is a
dataclass) before a `TableFile` reads with it.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from ..messages import EmotionError
from . import columns, delimited, encoding, workbook

LARGEST_FILE = 300_000_000
"""Bytes."""
MOST_COLUMNS = 200
_HEAD = 100  # rows that are looked at for names and width
_FEW_SHEETS = 5  # that are looked at one by one

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
    _check_readable(path)
    if workbook.is_workbook(path):
        return _detect_sheet(path)
    found = encoding.detect_encoding(path)
    name = found or encoding.likeliest(path)
    source = _with_header(Source(path, header=True, encoding=name, delimiter=delimited.detect_delimiter(path, name),
                                 certain=found is not None))
    if source is None:
        raise EmotionError("error.table.empty", file=path.name)
    return source


def change(source: Source, **options: str | None) -> Source:
    """`source` with another sheet, encoding or delimiter, and its header looked for anew.

    Raises EmotionError for a sheet, an encoding or a delimiter that isn't one.
    """
    changed = replace(source, **options)
    _check_options(changed)
    return _with_header(changed) or changed


def _check_readable(path: Path) -> None:
    try:
        if not path.is_file():
            raise EmotionError("error.table.missing", file=str(path))
        size = path.stat().st_size
        path.open("rb").close()
    except (OSError, ValueError) as error:  # a name too long, or with a NUL
        raise EmotionError("error.table.unreadable", file=str(path)) from error
    if size == 0:
        raise EmotionError("error.table.empty", file=path.name)
    if size > LARGEST_FILE:
        raise EmotionError("error.table.too_large", file=path.name, limit=LARGEST_FILE // 10**6)


def _detect_sheet(path: Path) -> Source:
    """The first sheet whose columns have a name that is known, else the first with rows."""
    names = workbook.sheets(path)
    filled: Source | None = None
    for name in names if len(names) <= _FEW_SHEETS else _likely_sheets(path):
        source = _with_header(Source(path, header=True, sheet=name, sheets=names))
        if source and any(columns.names_columns(row) for row in islice(_raw_rows(source), _HEAD)):
            return source
        filled = filled or source
    if filled is None:
        raise EmotionError("error.table.empty", file=path.name)
    return filled


def _likely_sheets(path: Path) -> list[str]:
    """The few sheets of a workbook of many that are worth a look: with known names, else with anything in them."""
    heads = workbook.heads(path)
    filled = [name for name, head in heads.items() if any(not _is_blank(row) for row in head)]
    named = [name for name in filled if any(map(columns.names_columns, heads[name]))]
    return (named or filled)[:_FEW_SHEETS]


def _with_header(source: Source) -> Source | None:
    """`source` with `header` decided, or None where there isn't a single row."""
    head = list(islice(_raw_rows(source), _HEAD))
    return replace(source, header=columns.find_header(head) is not None) if head else None


def _raw_rows(source: Source) -> Iterator[list[Cell]]:
    """Rows from the first to the last that has something in it; between them blank ones stay."""
    found = (workbook.rows(source.path, source.sheet) if source.sheet is not None
             else delimited.rows(source.path, source.encoding or "utf-8", source.delimiter))
    blank: list[list[Cell]] = []
    begun = False
    for row in found:
        if _is_blank(row):
            if begun:
                blank.append(row)
            continue
        begun = True
        if blank:
            yield from blank
            blank = []
        yield row


def _is_blank(row: list[Cell]) -> bool:
    return all(cell == "" or str(cell).isspace() for cell in row)


class TableFile:
    """A file read as `source` says. Rows are read anew at each pass, so a million need no memory."""

    def __init__(self, source: Source) -> None:
        """Reads the header. Raises EmotionError for no rows at all, more than MOST_COLUMNS columns, or an encoding or
        delimiter that can't be one."""
        _check_options(source)
        self.source = source
        head = list(islice(_raw_rows(source), _HEAD))
        if not head:
            raise EmotionError("error.table.empty", file=source.path.name)
        self._above = (columns.find_header(head) or 0) + 1 if source.header else 0
        names, data = (head[self._above - 1] if source.header else []), head[self._above :]
        if not data:
            raise EmotionError("error.table.header_only", file=source.path.name)
        width = _width(names, data)
        if width > MOST_COLUMNS:
            raise EmotionError("error.table.columns", file=source.path.name, found=width, limit=MOST_COLUMNS)
        self.columns = tuple(_unique(names, width))
        self.short = 0
        """Rows of the last pass with fewer cells than columns; the missing ones are empty."""
        self.long = 0
        """Rows of the last pass with more cells than columns; what is too much is left out."""

    def rows(self) -> Iterator[list[Cell]]:
        """The rows under the header, each as wide as `columns`."""
        self.short = self.long = 0
        width = len(self.columns)
        is_text = self.source.sheet is None  # a sheet's rows end with their last cell, none is missing
        for row in islice(_raw_rows(self.source), self._above, None):
            if len(row) < width:
                self.short += is_text
                row = [*row, *[""] * (width - len(row))]
            elif len(row) > width:
                self.long += any(cell != "" for cell in row[width:])
                row = row[:width]
            yield row

    def preview(self, count: int = 8) -> list[list[Cell]]:
        """The first rows."""
        return list(islice(self.rows(), count))


def _check_options(source: Source) -> None:
    if source.sheet is not None:
        if source.sheet not in source.sheets:
            raise EmotionError("error.table.sheet", sheet=source.sheet, names=", ".join(source.sheets) or "-")
        return
    try:
        with open(os.devnull, encoding=source.encoding):
            pass
        "".encode(source.encoding or "utf-8")
    except (LookupError, ValueError) as error:
        raise EmotionError("error.table.encoding", encoding=source.encoding) from error
    if source.delimiter is not None and (len(source.delimiter) != 1 or source.delimiter in '\r\n"\0\ufeff'):
        raise EmotionError("error.table.delimiter", delimiter=source.delimiter)


def _width(names: list[Cell], data: list[list[Cell]]) -> int:
    """How many columns there are: as many as have names, or more where most rows have more."""
    if not names:
        return max(map(len, data))
    widths = sorted(max((place for place, cell in enumerate(row, 1) if cell != ""), default=0) for row in data)
    return max(len(names), widths[len(widths) // 2], 1)


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
