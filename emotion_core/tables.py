"""Writes tables that a spreadsheet opens right and can't be attacked with.

Reading a person's files joins this floor with the batch page.
"""

from __future__ import annotations

import pandas as pd

_EXECUTED = tuple("=+-@\t\r\n\0＝＋－＠")


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
