"""Rows of a delimited text file (CSV, TSV, TXT), one after the other, whatever was done to it."""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ..labels import find_label
from ..messages import EmotionError
from .columns import names_columns

DELIMITERS = (",", "\t", ";", "|")
LARGEST_CELL = 1_000_000
"""Characters; a longer one is a quotation mark that was never closed, or no sentence."""

_END = "\x1a"  # of the file, in old programs
_LONGEST_LINE = 8 * LARGEST_CELL
_SNIFFED_LINES, _SNIFFED_CHARACTERS = 200, 2 * LARGEST_CELL
_STEADY = 0.9  # share of the sniffed records that must have the same number of columns
_MOST_JOINED = 50  # lines of one quoted cell where a lone quotation mark is more likely the writer's
_SEPARATOR_LINE = re.compile("sep=(.)\r?\n?", re.IGNORECASE)  # Excel's own hint, before the header
# Ways to quote, the commonest first; another is taken only where it makes the columns steadier.
_STYLES: tuple[Mapping[str, Any], ...] = (
    {}, {"skipinitialspace": True}, {"escapechar": "\\", "doublequote": False}, {"quotechar": "'"},
    {"quotechar": "'", "skipinitialspace": True},
)


def lines(path: Path, encoding: str) -> Iterator[str]:
    """The file's lines with their ends, byte-order mark and NULs gone; bytes that are no text become U+FFFD.

    Raises EmotionError for a line that is longer than any table's, and an encoding that can't go on after bad bytes.
    """
    try:
        with path.open(encoding=encoding, errors="replace", newline="") as file:
            number = 1
            while line := file.readline(_LONGEST_LINE):
                if len(line) >= _LONGEST_LINE:
                    raise too_long(path, number)
                yield (line.lstrip("\ufeff") if number == 1 else line).replace("\0", "")
                number += 1
    except UnicodeError as error:
        raise EmotionError("error.table.encoding", encoding=encoding) from error


def detect_delimiter(path: Path, encoding: str) -> str | None:
    """The delimiter that gives steady columns, or None for a file of one column."""
    sample = _sample(path, encoding)
    if not sample:
        return None
    if hint := _SEPARATOR_LINE.fullmatch(sample[0]):
        return hint[1]
    if names_columns([sample[0].strip().strip('"')]) and not any(mark in sample[0] for mark in DELIMITERS):
        return None
    best: tuple[bool, bool, int, str] | None = None
    for delimiter in DELIMITERS:
        found = _records(sample, _style(sample, delimiter))
        widths = Counter(map(len, found))
        if not widths:
            continue
        width, count = widths.most_common(1)[0]
        steady = count / widths.total() >= _STEADY
        named = any(names_columns(row) and len(row) > 1 for row in found[:10])
        first_fits = len(found[0]) == width and count / widths.total() >= 0.5
        if width < 2 and named:  # few rows, and fewer of them whole
            width = next(len(row) for row in found[:10] if names_columns(row) and len(row) > 1)
        # Sentences hold commas too: their columns are steady only where the comma does separate.
        if width < 2 or not (steady or named or first_fits) or (not named and _is_prose(sample, found, delimiter)):
            continue
        candidate = (named, steady, width, delimiter)
        best = max(best, candidate, key=lambda one: one[:3]) if best else candidate
    return best[3] if best else None


def rows(path: Path, encoding: str, delimiter: str | None) -> Iterator[list[str]]:
    """The records of the file, blank lines left out; without a delimiter every line is one cell.

    Raises EmotionError for a cell longer than LARGEST_CELL and for a quotation mark that is never closed.
    """
    csv.field_size_limit(LARGEST_CELL)
    source = _Lines(path, encoding)
    if delimiter is None:
        found = _single_column(source, joining=path.suffix.lower() != ".txt")
    elif delimiter == "\t":
        found = _tabbed(source)
    else:
        found = _quoted(source, _style(_sample(path, encoding), delimiter))
    return (row for row in found if len(row) > 1 or (row and row[0].strip().strip(_END)))


class _Lines:
    """The lines of a file, which can be put back."""

    def __init__(self, path: Path, encoding: str) -> None:
        self.path = path
        self.number = 0
        """Of the last line given, from 1."""
        self._source = lines(path, encoding)
        self._returned: deque[str] = deque()
        if (first := next(self, None)) is not None and not _SEPARATOR_LINE.fullmatch(first):
            self.put_back([first])

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._source)
        self.number += 1
        return line

    def put_back(self, given: list[str]) -> None:
        self._returned.extendleft(reversed(given))
        self.number -= len(given)


def _quoted(source: _Lines, style: Mapping[str, Any]) -> Iterator[list[str]]:
    """Records as the csv module reads them; it forgives much, but not a quotation mark that swallows other rows."""
    started: list[str] = []

    def kept() -> Iterator[str]:
        for line in source:
            started.append(line)
            yield line

    reader = csv.reader(kept(), **style)
    previous: list[str] = []
    while True:
        number = source.number + 1
        started.clear()
        try:
            row = next(reader, None)
        except csv.Error as error:
            if len(started) > 1:
                raise EmotionError("error.table.quote", file=source.path.name, line=number) from error
            raise too_long(source.path, number) from error
        if row is None:
            if _error(previous, style).startswith("unexpected end"):
                raise EmotionError("error.table.quote", file=source.path.name, line=number - len(previous))
            return
        if len(started) > 1 and _error(started, style):
            raise EmotionError("error.table.quote", file=source.path.name, line=number)
        previous = started[:]
        yield row


def _tabbed(source: _Lines) -> Iterator[list[str]]:
    """Records between tabs, where quotation marks are mostly the writer's own: taken as quoting only if they fit."""
    style = {"delimiter": "\t"}
    for line in source:
        if '"' not in line:
            yield _fields(line, source)
            continue
        joined = [line]
        while error := _error(joined, style):
            more = next(source, None) if error.startswith("unexpected end") and len(joined) < _MOST_JOINED else None
            if more is None:
                source.put_back(joined[1:])
                yield _fields(line, source)
                break
            joined.append(more)
        else:
            yield next(csv.reader(joined, strict=True, **style))


def _fields(line: str, source: _Lines) -> list[str]:
    fields = line.rstrip("\r\n").split("\t")
    if len(line) > LARGEST_CELL and max(map(len, fields)) > LARGEST_CELL:
        raise too_long(source.path, source.number)
    return fields


def _single_column(source: _Lines, joining: bool) -> Iterator[list[str]]:
    """A line is a cell. Quotation marks around a whole cell are the file's, others the writer's."""
    style = {"delimiter": "\0"}
    for line in source:
        text = line.rstrip("\r\n")
        if len(text) > LARGEST_CELL:
            raise too_long(source.path, source.number)
        if not text.startswith('"'):
            yield [text]
            continue
        joined = [line]
        while error := _error(joined, style):
            more = None
            if joining and error.startswith("unexpected end") and len(joined) < _MOST_JOINED:
                more = next(source, None)
            if more is None:
                source.put_back(joined[1:])
                yield [text]
                break
            joined.append(more)
        else:
            yield next(csv.reader(joined, strict=True, **style))


def _error(record: list[str], style: Mapping[str, Any]) -> str:
    """What a strict reading says against a record of these lines; "" if nothing."""
    try:
        return "" if len(list(csv.reader(record, strict=True, **style))) == 1 else "more than one record"
    except csv.Error as error:
        return str(error)


def _sample(path: Path, encoding: str) -> list[str]:
    """The first lines that aren't blank."""
    sample, characters = [], 0
    for line in islice((line for line in lines(path, encoding) if line.strip()), _SNIFFED_LINES):
        sample.append(line)
        characters += len(line)
        if characters > _SNIFFED_CHARACTERS:
            break
    return sample


def _style(sample: list[str], delimiter: str) -> dict[str, Any]:
    """csv.reader's arguments: the way of quoting with the steadiest columns and the fewest marks left in cells."""

    def fit(style: Mapping[str, Any]) -> tuple[float, float]:
        found = _records(sample, {"delimiter": delimiter, **style})
        widths = Counter(map(len, found))
        swallowed = any("\n" in cell for row in found for cell in row) and style.get("quotechar")
        if not widths or swallowed:  # an apostrophe opened a cell that it was not meant to
            return 0.0, 0.0
        return max(widths.values()) / widths.total(), -_left_quoted(found)

    plain, best = fit(_STYLES[0]), max(_STYLES, key=fit)
    chosen = best if fit(best)[0] >= plain[0] and (plain[1] <= -0.5 or not best.get("quotechar")) else _STYLES[0]
    return {"delimiter": delimiter, **chosen}


def _left_quoted(found: list[list[str]]) -> float:
    """Share of the cells that still have their quoting around them, or in them."""
    cells = [cell.strip() for row in found for cell in row if cell.strip()]
    left = sum('\\"' in cell or (len(cell) > 1 and cell[0] == cell[-1] and cell[0] in "\"'") for cell in cells)
    return left / max(1, len(cells))


def _records(sample: list[str], style: Mapping[str, Any]) -> list[list[str]]:
    try:
        return [row for row in csv.reader(sample, **style) if row]
    except csv.Error:
        return []


def _is_prose(sample: list[str], found: list[list[str]], delimiter: str) -> bool:
    """Whether a delimiter is punctuation here: a blank follows nearly every one, nothing is quoted, nothing a label."""
    marks = sum(line.count(delimiter) for line in sample)
    followed = sum(line.count(f"{delimiter} ") for line in sample)
    labelled = sum(any(map(find_label, row)) for row in found)
    return (delimiter in ",;" and followed > 0.8 * marks and labelled < 0.5 * len(found)
            and not any(f'{delimiter} "' in line for line in sample))


def too_long(path: Path, line: int) -> EmotionError:
    """The error for a cell of more than LARGEST_CELL characters."""
    return EmotionError("error.table.cell", file=path.name, limit=LARGEST_CELL, line=line)
