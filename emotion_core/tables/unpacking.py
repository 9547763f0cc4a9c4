"""Unpacks one sheet of a workbook into a file of JSON lines, as a process of its own.

Run by `workbook`, never imported: `python unpacking.py BOOK` prints the names of the sheets as JSON,
`python unpacking.py BOOK heads` the first rows of each, `python unpacking.py BOOK SHEET OUT` writes a sheet's rows.
A workbook of a thousand bytes can ask its reader for terabytes, and the reader aborts then; here it takes nobody with
it. Imports nothing of the package, so it starts quickly. The exit status says what was wrong, see the constants.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import sys
import zipfile
from collections.abc import Iterator

DAMAGED, LOCKED, TOO_LARGE, DISK_FULL = 3, 4, 5, 6
LARGEST_UNPACKED = 700_000_000
"""Bytes of an unpacked workbook; a million rows of two columns have about 200 million."""

_MOST_MEMORY = 2 << 30
_WHOLE_ROWS = 100  # rows that are written with all their cells, so that a table too wide can be told
_WIDEST = 256
_HEAD_ROWS, _HEAD_CHARACTERS = 20, 60
_MOST_HEADS = 20_000_000  # characters; sheets behind these have no head
_BLOCK = 1 << 20
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def main(arguments: list[str]) -> int:
    """Do what the arguments say; returns the exit status."""
    _limit_memory()
    book_path = arguments[0]
    if status := _check_archive(book_path):
        return status
    import python_calamine

    try:
        book = _open(book_path)
        if len(arguments) == 1:
            print(json.dumps(_sheets(book)))
            return 0
        if len(arguments) == 2:
            print(json.dumps(_heads(book)))
            return 0
        return _write(_rows(book.get_sheet_by_name(arguments[1])), arguments[2])
    except python_calamine.PasswordError:
        return LOCKED
    except MemoryError:
        return TOO_LARGE
    except BaseException as error:  # calamine has many errors, a Rust panic among them
        said = str(error).lower()
        if "encrypt" in said or "password" in said or _is_encrypted(book_path):
            return LOCKED
        return TOO_LARGE if "limit exceeded" in said else DAMAGED


def _open(path: str) -> object:
    """The workbook, whatever its name ends with: given a path, calamine believes the suffix."""
    import python_calamine

    try:
        return python_calamine.CalamineWorkbook.from_path(path)
    except python_calamine.CalamineError as error:
        try:
            with open(path, "rb") as file:
                return python_calamine.CalamineWorkbook.from_filelike(file)
        except python_calamine.CalamineError:
            raise error from None  # the other only says that it knows no such format


def _sheets(book: object) -> list[str]:
    """Names of the sheets that hold cells, the visible ones first."""
    found = [sheet for sheet in book.sheets_metadata if str(sheet.typ).endswith(("WorkSheet", "MacroSheet"))]
    return [sheet.name for sheet in sorted(found, key=lambda sheet: not str(sheet.visible).endswith(".Visible"))]


def _heads(book: object) -> dict[str, list[list[object]]]:
    """Of each sheet the first rows, their texts cut, which is enough to tell whether it is a table of sentences."""
    heads: dict[str, list[list[object]]] = {}
    left = _MOST_HEADS
    for name in _sheets(book):
        rows = itertools.islice(_rows(book.get_sheet_by_name(name)), _HEAD_ROWS if left > 0 else 0)
        heads[name] = [[cell[:_HEAD_CHARACTERS] if isinstance(cell, str) else cell for cell in row] for row in rows]
        left -= sum(len(str(cell)) for row in heads[name] for cell in row)
    return heads


def _rows(sheet: object) -> Iterator[list[str | int | float | bool]]:
    """Rows of the used area, cells empty at the end left out; cells merged downwards all have their value."""
    top, left = sheet.start or (0, 0)
    merged = sorted((first[0] - top, last[0] - top, first[1] - left) for first, last in sheet.merged_cell_ranges or []
                    if last[0] > first[0] > top)  # not from the first row, which names the columns
    open_ranges: list[list[object]] = []  # [last row, column, value]
    place = 0
    for number, row in enumerate(sheet.iter_rows()):
        cells = [_cell(value) for value in row]
        open_ranges = [one for one in open_ranges if one[0] >= number]
        for _, column, value in open_ranges:
            if cells[column] == "":
                cells[column] = value
        while place < len(merged) and merged[place][0] == number:
            _, last, column = merged[place]
            if 0 <= column < len(cells):
                open_ranges.append([last, column, cells[column]])
            place += 1
        while cells and cells[-1] == "":
            cells.pop()
        yield cells if number < _WHOLE_ROWS else cells[:_WIDEST]


def _cell(value: object) -> str | int | float | bool:
    """A number stays a number, 3.0 is 3 as the sheet shows it, a date is written as ISO 8601."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    return str(value)


def _write(rows: Iterator[list[object]], out: str) -> int:
    written = 0
    try:
        with open(out, "w", encoding="utf-8", errors="replace") as file:
            for row in rows:
                written += file.write(json.dumps(row, ensure_ascii=False) + "\n")
                if written > LARGEST_UNPACKED:
                    return TOO_LARGE
    except OSError:
        return DISK_FULL
    return 0


def _check_archive(path: str) -> int:
    """Unpack a ZIP once, counting: the sizes that an archive states of itself can lie. An exit status."""
    with open(path, "rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return 0
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            left = LARGEST_UNPACKED
            if sum(entry.file_size for entry in entries) > left:
                return TOO_LARGE
            for entry in entries:
                if entry.flag_bits & 1:
                    return LOCKED
                with archive.open(entry) as member:
                    while block := member.read(_BLOCK):
                        left -= len(block)
                        if left < 0:
                            return TOO_LARGE
                        if entry.filename == "META-INF/manifest.xml" and b"encryption-data" in block:
                            return LOCKED  # an ODS with a password
    except Exception:
        return DAMAGED
    return 0


def _is_encrypted(path: str) -> bool:
    """Excel keeps an encrypted XLSX in an OLE file whose directory names its package, in UTF-16."""
    with open(path, "rb") as file:
        return file.read(8) == _OLE and "EncryptedPackage".encode("utf-16-le") in file.read()


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows: the process is its own all the same
        return
    for kind, most in ((resource.RLIMIT_AS, _MOST_MEMORY), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        with contextlib.suppress(OSError, ValueError):  # macOS refuses some
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this script, whose modules have common names
    status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)  # freeing millions of cells takes seconds
