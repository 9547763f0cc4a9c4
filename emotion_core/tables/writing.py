"""Writes tables that a spreadsheet opens right and can't be attacked with."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd  # only the pages have such tables; it is 70 MB
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

EXCEL_ROWS = 1_048_576
EXCEL_CELL = 32_767
"""Most characters of a cell in an Excel file, as UTF-16 units."""

# Behind blanks and invisible characters too: some programs take those off before they look.
_EXECUTED = re.compile("[\\s\u00ad\u180e\u200b-\u200f\u2060\ufeff]*[=+\\-@＝＋－＠]|[\t\r\n\0]")
_NOT_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")


def safe_cell(value: object) -> object:
    """`value`, with an apostrophe before text that a spreadsheet would execute as a formula.

    The rule is OWASP's (CSV injection), with the full-width signs that Korean
    input methods type. Numbers stay numbers.
    """
    return f"'{value}" if isinstance(value, str) and _EXECUTED.match(value) else value


def to_csv(table: pd.DataFrame) -> bytes:
    """`table` as UTF-8 CSV with a byte-order mark, which Korean Excel needs; cells and headers made safe."""
    safe = table.map(safe_cell).rename(columns=safe_cell)
    return safe.to_csv(index=False).encode("utf-8-sig")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write rows as they come, like `to_csv`; returns how many cells were made safe."""
    changed = 0
    with path.open("w", encoding="utf-8-sig", newline="", errors="replace") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        for row in chain([columns], rows):
            safe = [safe_cell(cell) for cell in row]
            changed += sum(new is not old for new, old in zip(safe, row, strict=True))
            writer.writerow(safe)
    return changed


def write_xlsx(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write rows as they come to an XLSX; text is stored as text, so nothing in it is a formula or a link.

    Rows beyond EXCEL_ROWS go to further sheets under the same header. Returns how many cells were changed: cut at
    EXCEL_CELL, or rid of characters that no XML can hold. Raises OSError where the disk refuses.
    """
    import xlsxwriter
    from xlsxwriter.exceptions import FileCreateError

    # Rows wait in a temporary file; beside the target, so that a small /tmp is no limit.
    book = xlsxwriter.Workbook(str(path), {"constant_memory": True, "tmpdir": str(path.parent),
                                           "nan_inf_to_errors": True})
    bold, plain = book.add_format({"bold": True}), book.add_format()
    changed = 0
    for number, line, row in _on_sheets(columns, rows):
        if line == 0:
            sheet = book.add_worksheet(f"emotions {number}" if number > 1 else "emotions")
            sheet.freeze_panes(1, 0)
        changed += _write_line(sheet, line, row, plain, bold if line == 0 else None)
    try:
        book.close()
    except FileCreateError as error:
        raise error.args[0] from error
    return changed


def _on_sheets(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[
        tuple[int, int, Sequence[object]]]:
    """(sheet from 1, line from 0, cells) of the header and the rows; every sheet begins with the header."""
    yield 1, 0, columns
    for place, row in enumerate(rows):
        number, line = place // (EXCEL_ROWS - 1) + 1, place % (EXCEL_ROWS - 1) + 1
        if line == 1 and number > 1:
            yield number, 0, columns
        yield number, line, row


def _write_line(sheet: Worksheet, line: int, row: Sequence[object], plain: Format, style: Format | None) -> int:
    """Write one line; returns how many cells were changed. `plain` is a format that changes nothing."""
    changed = 0
    for place, cell in enumerate(row):
        if isinstance(cell, bool):
            sheet.write_boolean(line, place, cell)
        elif isinstance(cell, int | float):
            sheet.write_number(line, place, cell)
        elif cell:
            text = excel_text(str(cell))
            changed += text != cell
            if text.startswith("<r>"):  # xlsxwriter would take it for its own XML
                sheet.write_rich_string(line, place, text[:1], plain, text[1:])
            else:
                sheet.write_string(line, place, text, style)
    return changed


def excel_text(text: str) -> str:
    """`text` as an Excel cell can hold it: EXCEL_CELL units of UTF-16, and no characters that XML forbids."""
    text = _NOT_XML.sub("\ufffd", text)
    if len(text) <= EXCEL_CELL // 2:
        return text
    return text.encode("utf-16-le")[: 2 * EXCEL_CELL].decode("utf-16-le", errors="ignore")
