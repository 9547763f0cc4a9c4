"""Rows of a spreadsheet file (XLSX, XLS, ODS), read by calamine in a process of its own (`unpacking`).

A sheet is unpacked once into a temporary file of JSON lines, and every pass reads that: a million rows need no
memory here, and no workbook, whatever it was made for, can bring the server down.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..messages import EmotionError
from . import unpacking
from .delimited import LARGEST_CELL, too_long

_MAGIC = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")  # ZIP (XLSX, ODS) and OLE (XLS, or locked)
_MOST_SECONDS = 300
_KEPT_SHEETS = 4
_LIMIT = unpacking.LARGEST_UNPACKED // 10**6


def is_workbook(path: Path) -> bool:
    """Whether the first bytes are a workbook's, whatever the file is called."""
    with path.open("rb") as file:
        return file.read(8).startswith(_MAGIC)


def sheets(path: Path) -> tuple[str, ...]:
    """The names of the workbook's sheets, hidden ones last. Raises EmotionError, see `rows`."""
    return _sheets(path, *_version(path))


def heads(path: Path) -> dict[str, list[list[str | int | float | bool]]]:
    """The first rows of each sheet, long texts cut, read at once. Raises EmotionError, see `rows`."""
    return json.loads(_run(path, "heads"))


def rows(path: Path, sheet: str) -> Iterator[list[str | int | float | bool]]:
    """The sheet's rows from its first used cell on, cells empty at a row's end left out; a number stays a number.

    Raises EmotionError for a workbook that is damaged, locked with a password, unpacks to more than
    LARGEST_UNPACKED or is no workbook but another archive, and where the disk is full.
    """
    unpacked = _unpacked(path, *_version(path), sheet)
    with unpacked.file.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            cells = json.loads(line)
            if len(line) > LARGEST_CELL and any(len(str(cell)) > LARGEST_CELL for cell in cells):
                raise too_long(path, number)
            yield cells


class _Unpacked:
    """A sheet as JSON lines in a folder that goes when nobody needs it."""

    def __init__(self, path: Path, sheet: str) -> None:
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="emotion-sheet-", ignore_cleanup_errors=True)
        except OSError as error:
            raise EmotionError("error.disk_full") from error
        self.file = Path(self._folder.name) / "rows.jsonl"
        _run(path, sheet, str(self.file))


# The file's change time and size are in the key: a file that was written anew is read anew.
@functools.lru_cache(_KEPT_SHEETS)
def _unpacked(path: Path, _changed: int, _size: int, sheet: str) -> _Unpacked:
    return _Unpacked(path, sheet)


@functools.lru_cache(_KEPT_SHEETS)
def _sheets(path: Path, _changed: int, _size: int) -> tuple[str, ...]:
    return tuple(json.loads(_run(path)))


def _version(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _run(path: Path, *arguments: str) -> bytes:
    """What `unpacking` prints. Raises EmotionError for each of its exit statuses."""
    try:
        done = subprocess.run(
            [sys.executable, unpacking.__file__, str(path.absolute()), *arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_MOST_SECONDS,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", "RUST_BACKTRACE": "0"})
        status = done.returncode
    except subprocess.TimeoutExpired:
        status = unpacking.TOO_LARGE
    if status == 0:
        return done.stdout
    if status == unpacking.DISK_FULL:
        raise EmotionError("error.disk_full")
    if status in (unpacking.DAMAGED, unpacking.LOCKED):
        key = "error.table.workbook" if status == unpacking.DAMAGED else "error.table.password"
        raise EmotionError(key, file=path.name)
    raise EmotionError("error.table.bomb", file=path.name, limit=_LIMIT)  # killed, or aborted for want of memory
