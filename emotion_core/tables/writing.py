"""Writes tables that a spreadsheet opens right and can't be attacked with."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from ..messages import EmotionError

_EXECUTED = tuple("=+-@\t\r\n\0＝＋－＠")
EXCEL_ROWS = 1_048_576
_EXCEL_CELL = 32_767


def safe_cell(value: object) -> object:
    """`value`, with an apostrophe before text that a spreadsheet would execute as a formula.

    The rule is OWASP's (CSV injection), with the full-width signs that Korean
    input methods type. Numbers stay numbers.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_EXECUTED) else value


def to_csv(table: pd.DataFrame) -> bytes:
    """`table` as UTF-8 CSV with a byte-order mark, which Korean Excel needs; cells and headers made safe."""
    safe = table.map(safe_cell).rename(columns=safe_cell)
    return safe.to_csv(index=False).encode("utf-8-sig")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write rows as they come, like `to_csv`; returns how many cells were made safe."""
    changed = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([safe_cell(name) for name in columns])
        for row in rows:
            safe = [safe_cell(cell) for cell in row]
            changed += sum(new is not old for new, old in zip(safe, row, strict=True))
            writer.writerow(safe)
    return changed


def write_xlsx(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows as they come to an XLSX; text is stored as text, so nothing in it is a formula or a link.

    Raises EmotionError for more rows than a sheet can have.
    """
    import xlsxwriter

    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
               "strings_to_numbers": False, "nan_inf_to_errors": True}
    with xlsxwriter.Workbook(str(path), options) as book:
        sheet = book.add_worksheet("emotions")
        bold = book.add_format({"bold": True})
        for place, name in enumerate(columns):
            sheet.write_string(0, place, name, bold)
        sheet.freeze_panes(1, 0)
        for number, row in enumerate(rows, 1):
            if number >= EXCEL_ROWS:
                raise EmotionError("error.table.excel_rows", limit=EXCEL_ROWS - 1)
            for place, cell in enumerate(row):
                if isinstance(cell, bool):
                    sheet.write_boolean(number, place, cell)
                elif isinstance(cell, int | float):
                    sheet.write_number(number, place, cell)
                elif cell:
                    sheet.write_string(number, place, str(cell)[:_EXCEL_CELL])
