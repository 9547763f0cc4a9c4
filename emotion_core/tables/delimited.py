"""Rows of a delimited text file (CSV, TSV, TXT), one after the other, whatever was done to it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ..messages import EmotionError

DELIMITERS = (",", "\t", ";", "|")
LARGEST_CELL = 1_000_000
"""Characters; a longer one is a quotation mark that was never closed, or no sentence."""

_SNIFFED_LINES = 200
_STEADY = 0.9  # share of the sniffed records that must have the same number of columns


def lines(path: Path, encoding: str) -> Iterator[str]:
    """The file's lines with their ends, byte-order mark and NULs gone; bytes that are no text become U+FFFD."""
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        first = True
        while line := file.readline(LARGEST_CELL + 1):
            if len(line) > LARGEST_CELL:
                raise EmotionError("error.table.cell", file=path.name, limit=LARGEST_CELL)
            if first:
                line, first = line.removeprefix("\ufeff"), False
            yield line.replace("\0", "")


def detect_delimiter(path: Path, encoding: str) -> str | None:
    """The delimiter that gives steady columns, or None for a file of one column."""
    sample = list(islice(lines(path, encoding), _SNIFFED_LINES))
    best: tuple[float, int, str] | None = None
    for delimiter in DELIMITERS:
        try:
            widths = Counter(len(row) for row in csv.reader(sample, delimiter=delimiter) if row)
        except csv.Error:
            continue
        if not widths:
            continue
        width, count = widths.most_common(1)[0]
        share = count / widths.total()
        header = len(next(csv.reader(sample[:1], delimiter=delimiter), []))
        # Sentences hold commas too: their columns are steady only where the comma does separate.
        if width > 1 and (share >= _STEADY or (header == width and share >= 0.5)):
            candidate = (share >= _STEADY, width, delimiter)
            best = max(best, candidate, key=lambda found: found[:2]) if best else candidate
    return best[2] if best else None


def rows(path: Path, encoding: str, delimiter: str | None) -> Iterator[list[str]]:
    """The records of the file, blank lines left out; without a delimiter every line is one cell.

    Raises EmotionError for a cell longer than LARGEST_CELL and for a quotation mark that is never closed.
    """
    if delimiter is None:
        yield from _single_column(path, encoding)
        return
    started: list[str] = []
    source = lines(path, encoding)

    def kept() -> Iterator[str]:
        for line in source:
            started.append(line)
            yield line

    csv.field_size_limit(LARGEST_CELL)
    reader = csv.reader(kept(), delimiter=delimiter)
    number = 1
    while True:
        started.clear()
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise EmotionError("error.table.quote", file=path.name, line=number) from error
        if row is None:
            return
        if len(started) > 1 and sum(line.count('"') for line in started) % 2:
            raise EmotionError("error.table.quote", file=path.name, line=number)  # the file ended inside quotes
        number = reader.line_num + 1
        if any(row):
            yield row


def _single_column(path: Path, encoding: str) -> Iterator[list[str]]:
    """A line is a cell. Quotation marks around a whole line are the file's, others the writer's."""
    for line in lines(path, encoding):
        text = line.rstrip("\r\n")
        if len(text) >= 2 and text[0] == text[-1] == '"' and '"' not in text[1:-1].replace('""', ""):
            text = text[1:-1].replace('""', '"')
        if text.strip():
            yield [text]
