"""Tables written for a spreadsheet."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from emotion_core.tables import safe_cell, to_csv


@pytest.mark.parametrize(
    "cell", ["=1+1", "+82", "-5", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\0=1", "＝1+1", "＋1", "－1", "＠a"]
)
def test_cells_that_would_be_executed_get_an_apostrophe(cell: str) -> None:
    assert safe_cell(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["아파요", "1=1", " =1", "", 3, -0.5, None])
def test_other_cells_stay_as_they_are(cell: object) -> None:
    assert safe_cell(cell) == cell


def test_csv_has_a_byte_order_mark_and_safe_headers() -> None:
    table = pd.DataFrame({"=문장": ["=cmd()", "안녕, \"세상\"\n둘째 줄"], "확률": [-0.5, 0.25]})
    data = to_csv(table)
    assert data.startswith("\ufeff".encode())
    back = pd.read_csv(io.BytesIO(data), encoding="utf-8-sig", dtype=str)
    assert list(back.columns) == ["'=문장", "확률"]
    assert list(back["'=문장"]) == ["'=cmd()", "안녕, \"세상\"\n둘째 줄"]
    assert list(back["확률"]) == ["-0.5", "0.25"]
