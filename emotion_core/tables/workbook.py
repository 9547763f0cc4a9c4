"""Rows of a spreadsheet file (XLSX, XLS, ODS), read by calamine after its size was checked."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ..messages import EmotionError

LARGEST_UNPACKED = 700_000_000
"""Bytes of an unpacked workbook; a million rows of two columns have about 200 million."""

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BLOCK = 1 << 20


def is_workbook(path: Path) -> bool:
    """Whether the first bytes are a workbook's, whatever the file is called."""
    with path.open("rb") as file:
        head = file.read(8)
    return head.startswith((_ZIP, _OLE))


def sheets(path: Path) -> list[str]:
    """The names of the workbook's sheets. Raises EmotionError, see `rows`."""
    return _open(path).sheet_names


def rows(path: Path, sheet: str) -> Iterator[list[str | int | float | bool]]:
    """The sheet's rows from its first used one, blank rows left out; a number stays a number.

    Raises EmotionError for a workbook that is damaged, locked with a password, unpacks to more than
    LARGEST_UNPACKED, or is no workbook but another archive.
    """
    book = _open(path)
    try:
        for row in book.get_sheet_by_name(sheet).to_python(skip_empty_area=True):
            cells = [_cell(value) for value in row]
            if any(cell != "" for cell in cells):
                yield cells
    except EmotionError:
        raise
    except Exception as error:  # calamine has many errors, and they name XML to the reader
        raise EmotionError("error.table.workbook", file=path.name) from error


def _cell(value: object) -> str | int | float | bool:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return str(value)


def _open(path: Path) -> object:
    import python_calamine

    _check_size(path)
    try:
        book = python_calamine.CalamineWorkbook.from_path(str(path))
        if book.sheet_names:
            return book
    except python_calamine.PasswordError as error:
        raise EmotionError("error.table.password", file=path.name) from error
    except Exception as error:
        key = "error.table.password" if "encrypt" in str(error).lower() or _is_encrypted(path) else None
        raise EmotionError(key or "error.table.workbook", file=path.name) from error
    raise EmotionError("error.table.empty", file=path.name)


def _is_encrypted(path: Path) -> bool:
    """Excel keeps an encrypted XLSX in an OLE file whose directory names its package, in UTF-16."""
    with path.open("rb") as file:
        return file.read(8) == _OLE and "EncryptedPackage".encode("utf-16-le") in file.read()


def _check_size(path: Path) -> None:
    """Unpack the archive once, counting: the sizes that an archive states of itself can lie."""
    with path.open("rb") as file:
        if not file.read(4).startswith(_ZIP):
            return
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST_UNPACKED:
                raise EmotionError("error.table.bomb", file=path.name, limit=LARGEST_UNPACKED // 10**6)
            left = LARGEST_UNPACKED
            for entry in archive.infolist():
                with archive.open(entry) as member:
                    while block := member.read(_BLOCK):
                        left -= len(block)
                        if left < 0:
                            raise EmotionError("error.table.bomb", file=path.name, limit=LARGEST_UNPACKED // 10**6)
    except EmotionError:
        raise
    except RuntimeError as error:  # an encrypted member
        raise EmotionError("error.table.password", file=path.name) from error
    except Exception as error:
        raise EmotionError("error.table.workbook", file=path.name) from error
