"""Tables written for a spreadsheet."""

from __future__ import annotations

import builtins
import csv
import errno
import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import python_calamine

from emotion_core.tables import TableFile, detect, safe_cell, to_csv, writing
from emotion_core.tables.writing import EXCEL_CELL, excel_text, write_csv, write_xlsx

SIGNS = "=+-@＝＋－＠"
DANGEROUS = [*(sign + "1+1" for sign in SIGNS), "=cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\0=1",
             "\t안녕", "\r안녕", " =1", "  +82", "\u3000＝1", "\u00a0=1", "\u200b=1", "\ufeff=1", " \u200b @x", "-"]
HARMLESS = ["아파요", "1=1", "a-b", "", " 안녕", "'=1", '"=1"', "007", "2026-11-24", "12345678901234567890", "1e5",
            "NA", "None", "null", "https://example.org/", "😂", "가\u0301", "  두 칸  ", "줄\n바꿈", "쉼표, 따옴표\""]


@pytest.mark.parametrize("cell", DANGEROUS)
def test_cells_that_would_be_executed_get_an_apostrophe(cell: str) -> None:
    assert safe_cell(cell) == "'" + cell


@pytest.mark.parametrize("cell", [*HARMLESS, 3, -0.5, -7, None])
def test_other_cells_stay_as_they_are(cell: object) -> None:
    assert safe_cell(cell) is cell


def test_csv_has_a_byte_order_mark_and_safe_headers() -> None:
    table = pd.DataFrame({"=문장": ["=cmd()", "안녕, \"세상\"\n둘째 줄"], "확률": [-0.5, 0.25]})
    data = to_csv(table)
    assert data.startswith("\ufeff".encode())
    back = pd.read_csv(io.BytesIO(data), encoding="utf-8-sig", dtype=str)
    assert list(back.columns) == ["'=문장", "확률"]
    assert list(back["'=문장"]) == ["'=cmd()", "안녕, \"세상\"\n둘째 줄"]
    assert list(back["확률"]) == ["-0.5", "0.25"]


def test_a_csv_keeps_values_and_counts_what_it_made_safe(tmp_path: Path) -> None:
    rows = [[cell, -0.5, True] for cell in HARMLESS + [cell for cell in DANGEROUS if "\0" not in cell]]
    path = tmp_path / "a.csv"
    assert write_csv(path, ["문장", "@수", "참"], rows) == len(DANGEROUS) - 1 + 1
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as file:
        back = list(csv.reader(file))
    assert back[0] == ["문장", "'@수", "참"]
    assert [row[0] for row in back[1:]] == [*HARMLESS, *("'" + cell for cell in DANGEROUS if "\0" not in cell)]
    assert {tuple(row[1:]) for row in back[1:]} == {("-0.5", "True")}


def cells(path: Path) -> list[list[object]]:
    return python_calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()


def test_an_xlsx_keeps_every_value_as_text_and_numbers_as_numbers(tmp_path: Path) -> None:
    rows = [[cell, -0.5, 7, True] for cell in [*DANGEROUS, *HARMLESS] if cell]
    path = tmp_path / "a.xlsx"
    assert write_xlsx(path, ["=문장", "수", "n", "b"], rows) == 0
    found = cells(path)
    assert found[0] == ["=문장", "수", "n", "b"]
    for wrote, read in zip(rows, found[1:], strict=True):
        assert str(read[0]).replace("\r\n", "\n") == wrote[0] and read[1:] == [-0.5, 7, True]
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        assert "<f>" not in sheet and "hyperlink" not in sheet
        assert not any("hyperlink" in name or "externalLink" in name for name in archive.namelist())


@pytest.mark.parametrize("text", [
    "<r>x</r>", "<r><t>굵게</t></r>", "<r></sheetData></r>", "<r>", "</r>", "<b>&amp;</b>", "]]>", "_x0041_", "&#0;",
    "종\x07소리", "\x01\x02\x1f", "a\x0bb",
])
def test_text_that_looks_like_xml_stays_text(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    assert write_xlsx(path, ["a", text], [[text, "끝"], ["다음", text]]) == 0
    assert cells(path) == [["a", text], [text, "끝"], ["다음", text]]


def test_what_an_xlsx_cannot_hold_is_replaced_or_cut_and_counted(tmp_path: Path) -> None:
    long, emoji = "가" * 40_000, "😂" * 20_000
    path = tmp_path / "a.xlsx"
    assert write_xlsx(path, ["a", "b", "c"], [[long, emoji, "x\ud800\ufffey"]]) == 3
    assert cells(path)[1] == ["가" * EXCEL_CELL, "😂" * (EXCEL_CELL // 2), "x\ufffd\ufffdy"]
    assert excel_text("가" * EXCEL_CELL) == "가" * EXCEL_CELL


def test_more_rows_than_a_sheet_has_go_to_further_sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "EXCEL_ROWS", 3)
    for count, sheets in ((0, [[]]), (2, [[0, 1]]), (3, [[0, 1], [2]]), (4, [[0, 1], [2, 3]])):
        write_xlsx(tmp_path / "a.xlsx", ["a", "수"], ([f"가{n}", n] for n in range(count)))
        book = python_calamine.CalamineWorkbook.from_path(str(tmp_path / "a.xlsx"))
        found = [book.get_sheet_by_index(place).to_python() for place in range(len(book.sheet_names))]
        assert found == [[["a", "수"], *([f"가{n}", n] for n in rows)] for rows in sheets]
        assert book.sheet_names == ["emotions", "emotions 2"][: len(sheets)]


def test_a_full_disk_is_an_oserror_from_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError) as caught:
        write_xlsx(tmp_path / "a.xlsx", ["a"], [["가"]])
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.setattr(builtins, "open", full)
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError) as caught:
        write_csv(tmp_path / "a.csv", ["a"], [["가"]])
    assert caught.value.errno == errno.ENOSPC


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    rows = [["오늘 좋다", "007", "2026-11-24"], ["줄\n바꿈, 쉼표", "12345678901234567890", "x"]]
    for name, write in (("a.csv", write_csv), ("a.xlsx", write_xlsx)):
        write(tmp_path / name, ["문장", "번호", "날"], rows)
        table = TableFile(detect(tmp_path / name))
        assert table.columns == ("문장", "번호", "날") and list(table.rows()) == rows
