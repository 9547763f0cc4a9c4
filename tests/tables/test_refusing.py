"""Files that can't be read: one sentence in both languages says what is wrong; no traceback, no gigabytes."""

from __future__ import annotations

import os
import resource
import struct
from pathlib import Path

import pytest

from emotion_core.messages import LANGUAGES, EmotionError
from emotion_core.tables import TableFile, change, detect, source, unpacking
from tests.tables.files import NAMES, ROWS, archive, delimited, locked_xls, locked_xlsx, ods, raw_xlsx, xls, xlsx

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
CELL = '<c r="A1" t="inlineStr"><is><t>좋다</t></is></c>'
SHARED = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 100_001))
FAR_ODS = ('<table:table-row table:number-rows-repeated="1000000"><table:table-cell office:value-type="float" '
           'office:value="1" table:number-columns-repeated="16000"/></table:table-row>')

BAD: dict[str, tuple[str, bytes, str]] = {
    "nothing": ("a.csv", b"", "empty"),
    "blank lines": ("a.csv", b"\r\n \r\n\t\r\n" * 1000, "empty"),
    "a mark alone": ("a.csv", b"\xef\xbb\xbf", "empty"),
    "a utf-16 mark alone": ("a.csv", b"\xff\xfe\r\x00\n\x00", "empty"),
    "nuls alone": ("a.csv", bytes(5000), "empty"),
    "commas alone": ("a.csv", b",,,\r\n" * 20, "empty"),
    "an empty sheet": ("a.xlsx", xlsx(("S", [])), "empty"),
    "empty cells": ("a.xlsx", xlsx(("S", [["", " "], [" "]])), "empty"),
    "an empty ods": ("a.ods", ods(("S", [])), "empty"),
    "header alone": ("a.csv", delimited([]).encode(), "header_only"),
    "header alone, hangul, cp949": ("a.csv", "문장;감정\r\n\r\n".encode("cp949"), "header_only"),
    "header alone in a sheet": ("a.xlsx", xlsx(("S", [["2024년 결과"], NAMES])), "header_only"),
    "one column's header alone": ("a.csv", "문장\n".encode(), "header_only"),
    "a picture": ("a.csv", PNG, "binary"),
    "a picture called xlsx": ("a.xlsx", PNG, "binary"),
    "random bytes": ("a.csv", os.urandom(20_000), "binary"),
    "a program": ("a.csv", b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00" * 500, "binary"),
    "a pdf": ("a.txt", b"%PDF-1.7\n%text\n" * 50, "binary"),
    "a gzip": ("a.csv", b"\x1f\x8b\x08\x00" + os.urandom(500), "binary"),
    "rtf": ("a.txt", b"{\\rtf1\\ansi text}", "binary"),
    "doubles": ("a.csv", struct.pack("<500d", *(1.1 * n for n in range(500))), "binary"),
    "a web page called xls": ("a.xls", "<html><table><tr><td>문장</td></tr></table></html>".encode(), "web_page"),
    "excel's xml": ("a.xls", b'<?xml version="1.0"?>\n<Workbook/>', "web_page"),
    "a locked xlsx": ("a.xlsx", locked_xlsx(), "password"),
    "a locked xls": ("a.xls", locked_xls(), "password"),
    "a locked ods": ("a.ods", ods(locked=True), "password"),
    "a cut xlsx": ("a.xlsx", xlsx()[:-200], "workbook"),
    "half an xlsx": ("a.xlsx", xlsx()[: len(xlsx()) // 2], "workbook"),
    "four bytes of an xlsx": ("a.xlsx", b"PK\x03\x04", "workbook"),
    "a cut xls": ("a.xls", xls()[:3000], "workbook"),
    "an xls of nothing": ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "workbook"),
    "bytes turned in an xlsx": ("a.xlsx", xlsx().replace(b"sheet1", b"shoot9"), "workbook"),
    "an archive of texts": ("a.xlsx", archive({"a.csv": delimited()}), "workbook"),
    "a word document": ("a.xlsx", archive({"word/document.xml": "<w/>", "[Content_Types].xml": "<T/>"}), "workbook"),
    "broken xml": ("a.xlsx", raw_xlsx(f'<row r="1">{CELL}<c r="B1"><v>'), "workbook"),
    "an archive that unpacks to gigabytes": ("a.xlsx", raw_xlsx(f'<row r="1">{CELL}</row>', padding=bytes(800_000_000)),
                                             "bomb"),
    "a cell at the end of the sheet": ("a.xlsx", raw_xlsx(f'<row r="1">{CELL}</row><row r="1048576"><c r="XFD1048576">'
                                                          "<v>2</v></c></row>"), "bomb"),
    "an ods of endless rows": ("a.ods", ods(("S", [NAMES]), extra=FAR_ODS), "bomb"),
    "one long text in every cell": ("a.xlsx", raw_xlsx(SHARED, f"<si><t>{'가' * 30_000}</t></si>"), "bomb"),
    "300 columns": ("a.csv", delimited([["가"] * 300], [f"열{n}" for n in range(300)]).encode(), "columns"),
    "300 columns in a sheet": ("a.xlsx", xlsx(("S", [[f"열{n}" for n in range(300)], ["가"] * 300])), "columns"),
    "a cell of 5 MB": ("a.csv", f"Sentence,Emotion\n{'가' * 5_000_000},슬픔\n".encode(), "cell"),
    "a quoted cell of 5 MB": ("a.csv", f'Sentence,Emotion\n"{"a" * 5_000_000}",슬픔\n'.encode(), "cell"),
    "a line of 5 MB": ("a.txt", b"a" * 5_000_000, "cell"),
    "a tabbed cell of 5 MB": ("a.tsv", f"문장\t감정\n{'가' * 2_000_000}\t슬픔\n".encode(), "cell"),
    "a line of 20 MB": ("a.csv", b"a,b\n" + b"a" * 20_000_000, "cell"),
    "a cell of 5 MB in a sheet": ("a.xlsx", raw_xlsx('<row r="1"><c r="A1" t="s"><v>0</v></c></row>',
                                                     f"<si><t>{'a' * 5_000_000}</t></si>"), "cell"),
    "an unclosed quote": ("a.csv", 'Sentence,Emotion\n좋다,행복\n"싫다,분노\n그래,중립\n'.encode(), "quote"),
    "an unclosed quote in the last line": ("a.csv", 'Sentence,Emotion\n좋다,행복\n"싫다,분노\n'.encode(), "quote"),
    "an unclosed quote before others": ("a.csv", '문장,감정\n"좋다,행복\n"싫다",분노\n"네",중립\n'.encode(), "quote"),
    "an unclosed quote after a megabyte": ("a.csv", delimited(ROWS * 20_000).encode() + '"싫다,분노\n'.encode()
                                           + delimited(ROWS * 20_000, None).replace('"', "").encode(), "quote"),
}


def read_all(path: Path) -> None:
    for _ in TableFile(detect(path)).rows():
        pass


def check(error: EmotionError, key: str, name: str) -> None:
    assert error.key == f"error.table.{key}"
    for language in LANGUAGES:
        said = error.text(language)
        assert name in said and "\n" not in said and "{" not in said
        assert said.rstrip(")").endswith(".")


@pytest.mark.parametrize("case", BAD)
def test_one_sentence_says_what_is_wrong(case: str, tmp_path: Path) -> None:
    name, content, key = BAD[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EmotionError) as caught:
        read_all(tmp_path / name)
    check(caught.value, key, name)


def test_the_sentence_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('Sentence,Emotion\n"가\n나",행복\n다,분노\n"라,중립\n', "utf-8")
    with pytest.raises(EmotionError) as caught:
        read_all(path)
    assert caught.value.values["line"] == 5
    path.write_text(f"Sentence,Emotion\n가,행복\n{'가' * 1_000_001},분노\n", "utf-8")
    with pytest.raises(EmotionError) as caught:
        read_all(path)
    assert caught.value.values["line"] == 3


def test_300_columns_are_counted(tmp_path: Path) -> None:
    for name in ("300 columns", "300 columns in a sheet"):
        path = tmp_path / BAD[name][0]
        path.write_bytes(BAD[name][1])
        with pytest.raises(EmotionError) as caught:
            read_all(path)
        assert caught.value.values["found"] == 300


def test_a_file_over_the_limit_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(delimited().encode())
    read_all(path)
    monkeypatch.setattr(source, "LARGEST_FILE", 50)
    with pytest.raises(EmotionError) as caught:
        detect(path)
    check(caught.value, "too_large", "a.csv")
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as file:
        file.truncate(10_000_000_000)  # holes: nothing is written, and nothing may be read
    with pytest.raises(EmotionError) as caught:
        detect(huge)
    check(caught.value, "too_large", "huge.csv")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, key in ((tmp_path / "none.csv", "missing"), (tmp_path, "missing"), (tmp_path / "pipe", "missing"),
                      (tmp_path / ("가" * 300), "unreadable")):
        with pytest.raises(EmotionError) as caught:
            detect(path)
        check(caught.value, key, path.name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(delimited().encode())
    path.chmod(0)
    with pytest.raises(EmotionError) as caught:
        detect(path)
    check(caught.value, "unreadable", "a.csv")


def test_options_that_cannot_be(tmp_path: Path) -> None:
    text, book = tmp_path / "a.csv", tmp_path / "a.xlsx"
    text.write_bytes(delimited().encode())
    book.write_bytes(xlsx())
    for options, key in (({"encoding": "koi"}, "encoding"), ({"encoding": "hex"}, "encoding"),
                         ({"encoding": "a\0b"}, "encoding"), ({"delimiter": ",,"}, "delimiter"),
                         ({"delimiter": '"'}, "delimiter"), ({"delimiter": "\n"}, "delimiter")):
        with pytest.raises(EmotionError) as caught:
            change(detect(text), **options)
        assert caught.value.key == f"error.table.{key}"
        assert all(caught.value.text(language) for language in LANGUAGES)
    with pytest.raises(EmotionError) as caught:
        change(detect(book), sheet="없음")
    assert caught.value.key == "error.table.sheet" and caught.value.values["names"] == "Sheet1"


@pytest.mark.parametrize("encoding", ["ascii", "utf-7", "utf-16", "utf-32", "cp949", "punycode", "idna"])
def test_a_wrong_encoding_garbles_but_never_breaks(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(delimited(ROWS * 40).encode())
    try:
        for _ in TableFile(change(detect(path), encoding=encoding)).rows():
            pass
    except EmotionError as error:
        assert error.text("ko")


def test_every_way_to_cut_a_workbook_is_refused_or_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    for whole in (xlsx(), xls(), ods()):
        for share in range(1, 8):
            path.write_bytes(whole[: len(whole) * share // 8])
            with pytest.raises(EmotionError):
                read_all(path)


def test_a_system_that_knows_no_such_limit_reads_workbooks_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:  # as macOS does
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    unpacking._limit_memory()


def test_a_sheet_is_unpacked_where_it_can_do_no_harm() -> None:
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert peak < unpacking._MOST_MEMORY * 1.05
