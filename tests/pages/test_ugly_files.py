"""Ugly files on the batch page: each is read as it was meant, or gets one sentence; the page goes on."""

from __future__ import annotations

import io
import shutil
import unicodedata
from pathlib import Path

import pytest
import xlsxwriter
from streamlit.testing.v1 import AppTest

from emotion_core.messages import LANGUAGES, message
from pages.shared.wording import plain
from tests.conftest import ROOT
from tests.tables.files import archive, delimited, locked_xlsx, ods, raw_xlsx, xls, xlsx

ROWS = [[f"문장 {n} 입니다", "행복" if n % 2 else "슬픔"] for n in range(6)]
NAMES = ["문장", "감정"]
BOTH = [*ROWS[:2], ["다른 문장", "슬픔"]]


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def formulas() -> bytes:
    """A workbook whose every cell is a formula, one of them an error, which counts as empty."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet()
        for line, row in enumerate([NAMES, *ROWS]):
            for place, value in enumerate(row):
                sheet.write_formula(line, place, f'=CONCATENATE("{value}")', None, value)
        sheet.write_formula(len(ROWS) + 1, 1, "=1/0", None, "#DIV/0!")
    return out.getvalue()


BAD: dict[str, tuple[str, bytes, str, dict[str, object]]] = {
    "password": ("a.xlsx", locked_xlsx(), "password", {}),
    "password, ods": ("a.ods", ods(locked=True), "password", {}),
    "damaged": ("a.xlsx", xlsx()[:-200], "workbook", {}),
    "damaged xls": ("a.xls", xls()[:3000], "workbook", {}),
    "an archive": ("a.xlsx", archive({"a.csv": delimited()}), "workbook", {}),
    "bomb": ("a.xlsx", raw_xlsx('<row r="1"><c r="A1"><v>1</v></c></row>', padding=bytes(800_000_000)), "bomb",
             {"limit": 700}),
    "300 columns": ("a.csv", delimited([["가"] * 300], [f"열{n}" for n in range(300)]).encode(), "columns",
                    {"found": 300, "limit": 200}),
    "5 MB field": ("a.csv", f"문장,감정\n{'가' * 1_700_000},슬픔\n".encode(), "cell", {"limit": 1_000_000, "line": 2}),
    "unclosed quote": ("a.csv", '문장,감정\n좋다,행복\n"싫다,분노\n그래,중립\n'.encode(), "quote", {"line": 3}),
    "nuls": ("a.csv", bytes(5000), "empty", {}),
    "nuls and bytes": ("a.csv", delimited().encode() + bytes(range(256)) * 3, "binary", {}),
    "a picture": ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "binary", {}),
    "html": ("a.xls", "<html><table><tr><td>문장</td></tr></table></html>".encode(), "web_page", {}),
    "header only": ("a.csv", "문장,감정\n".encode(), "header_only", {}),
    "a header's one cell": ("a.csv", "문장".encode(), "header_only", {}),
    "empty": ("a.csv", b"", "empty", {}),
    "blank lines": ("a.csv", b"\n\r\n  \n\t\n" * 50, "empty", {}),
    "delimiters": ("a.csv", b";;;;\n" * 10, "empty", {}),
    "a thousand empty sheets": ("a.xlsx", xlsx(*((f"시트{n}", []) for n in range(1000))), "empty", {}),
    "a path for a name": ("../../x.csv", b"", "empty", {}),
    "markdown for a name": ("**a** [b](c) $x$ :red[d].csv", b"", "empty", {}),
    "placeholders for a name": ("{file} {0} %s.csv", b"", "empty", {}),
}
# name, content, (rows, columns, rows with a label), the first row as the preview shows it
GOOD: dict[str, tuple[str, bytes, tuple[int, int, int], list[str]]] = {
    "xlsx called csv": ("a.csv", xlsx(("S", [NAMES, *ROWS])), (6, 2, 6), ROWS[0]),
    "csv called xlsx": ("a.xlsx", delimited(ROWS).encode(), (6, 2, 6), ROWS[0]),
    "csv called doc": ("a.doc", delimited(ROWS).encode("cp949"), (6, 2, 6), ROWS[0]),
    "no suffix": ("파일", delimited(ROWS).encode(), (6, 2, 6), ROWS[0]),
    "utf-16 le": ("a.csv", delimited(ROWS).encode("utf-16-le"), (6, 2, 6), ROWS[0]),
    "utf-16 be": ("a.csv", delimited(ROWS).encode("utf-16-be"), (6, 2, 6), ROWS[0]),
    "mixed ends": ("a.csv", (delimited(ROWS[:3], end="\r") + delimited(ROWS[3:], None, end="\n")).encode(), (6, 2, 6),
                   ROWS[0]),
    "nuls in sentences": ("a.csv", delimited(ROWS * 9).replace("문장 1", "문\0장 1").encode(), (54, 2, 54), ROWS[0]),
    "one cell": ("a.csv", "좋다".encode(), (1, 1, 0), ["좋다"]),
    "one cell in a sheet": ("a.xlsx", xlsx(("S", [["좋다"]])), (1, 1, 0), ["좋다"]),
    "a number": ("a.csv", b"1", (1, 1, 0), ["1"]),
    "numbers in a sheet": ("a.xlsx", xlsx(("S", [[1, 2], [3, 4.5]])), (2, 2, 0), ["1", "2"]),
    "semicolons": ("a.csv", delimited(ROWS, NAMES, delimiter=";").encode("cp949"), (6, 2, 6), ROWS[0]),
    "bars": ("a.txt", delimited(ROWS, NAMES, delimiter="|").encode(), (6, 2, 6), ROWS[0]),
    "the last of a thousand sheets": ("a.xlsx", xlsx(*((f"시트{n}", [["x", n]]) for n in range(999)),
                                                     ("자료", [NAMES, *ROWS])), (6, 2, 6), ROWS[0]),
    "formulas": ("a.xlsx", formulas(), (6, 2, 6), ROWS[0]),
    "formulas for names": ("a.csv", delimited(ROWS, ["=문장()", "=1+1"]).encode(), (6, 2, 6), ROWS[0]),
    "names twice": ("a.csv", delimited([[*row, row[0]] for row in ROWS], [*NAMES, "문장"]).encode(), (6, 3, 6),
                    [*ROWS[0], ROWS[0][0]]),
    "long names that begin alike": ("a.csv", delimited([[*row, "x"] for row in ROWS], ["문장" * 5000, "감정",
                                                                                    "문장" * 4000]).encode(),
                                    (6, 3, 6), [*ROWS[0], "x"]),
    "nfd beside nfc": ("a.csv", delimited([[text, nfd(label) if n else label] for n, (text, label) in enumerate(BOTH)],
                                          [nfd("문장"), "감정"]).encode(), (3, 2, 3), BOTH[0]),
    "ids and blanks": ("a.csv", delimited([["하나", "3.0"], ["둘", " 슬픔 "], ["셋", "0.0"], ["넷", "\u200b행복\ufeff"],
                                           ["다섯", "7"]], NAMES).encode(), (5, 2, 4), ["하나", "3.0"]),
    "a row of 5000 cells": ("a.csv", delimited(ROWS).encode() + b"," * 5000 + b"\n", (6, 2, 6), ROWS[0]),
    "half a surrogate": ("a.csv", delimited(ROWS).encode() + b"\xed\xa0\x80,\n", (7, 2, 6), ROWS[0]),
    "an emoji name": ("😀 내 파일 🎉.csv", delimited(ROWS).encode(), (6, 2, 6), ROWS[0]),
    "a path for a name": ("../../x.csv", delimited(ROWS).encode(), (6, 2, 6), ROWS[0]),
    "a long name": ("가" * 300 + ".csv", delimited(ROWS).encode(), (6, 2, 6), ROWS[0]),
    "a nul in the name": ("a\0b.csv", delimited(ROWS).encode(), (6, 2, 6), ROWS[0]),
}


def page(tiny_folder: Path, weights: Path, language: str) -> AppTest:
    """The batch page in a language."""
    shutil.copytree(tiny_folder, weights / "bundled")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.session_state["language"] = language
    return app.run().switch_page("pages/batch.py").run()


def upload(app: AppTest, name: str, content: bytes) -> None:
    app.file_uploader[0].clear().upload(name, content, "text/csv")
    app.run()
    assert not app.exception


def can_start(app: AppTest, language: str) -> bool:
    return message("batch.start", language, model="bundled") in [button.label for button in app.button]


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_sentence_each(language: str, tiny_folder: Path, weights: Path) -> None:
    app = page(tiny_folder, weights, language)
    for case, (name, content, key, values) in BAD.items():
        upload(app, name, content)
        shown = [one.value for one in app.error]
        assert shown == [message(f"error.table.{key}", language, file=plain(name), **values)], case
        assert not can_start(app, language) and not app.warning, case
    upload(app, "good.csv", delimited(ROWS).encode())
    assert not app.error and can_start(app, language)
    assert not any(path.name in ("x.csv", "good.csv") for path in weights.parent.rglob("*"))


def test_read_as_they_were_meant(tiny_folder: Path, weights: Path) -> None:
    app = page(tiny_folder, weights, "ko")
    for case, (name, content, (rows, columns, labelled), first) in GOOD.items():
        upload(app, name, content)
        assert not app.error and can_start(app, "ko"), case
        plan = next(one.value for one in app.markdown if one.value.startswith("- "))
        said = {0: message("batch.plan_unlabelled", "ko"),
                rows: message("batch.plan_all_labelled", "ko", labelled=labelled)}.get(
            labelled, message("batch.plan_labelled", "ko", labelled=labelled, rest=rows - labelled))
        assert message("batch.plan_rows", "ko", rows=rows, columns=columns) in plan and said in plan, (case, plan)
        preview = app.dataframe[0].value
        assert preview.iloc[0].tolist() == first and max(map(len, preview.columns)) <= 66, case


@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_that_are_markdown_are_no_markdown(language: str, tiny_folder: Path, weights: Path) -> None:
    app = page(tiny_folder, weights, language)
    labels = ["**별로** [x](y)", "$a$ :red[b]"]
    upload(app, "a.csv", delimited([["좋다", labels[0]], ["싫다", labels[1]]], NAMES).encode())
    names = plain(", ".join(labels))
    assert [one.value for one in app.error] == [message("error.table.labels_unknown", language, names=names)]
    boxes = [box.label for box in app.selectbox]
    assert all(message("table.map", language, label=plain(label), count=1) in boxes for label in labels)
    assert not can_start(app, language)
