"""Files that can be read: whatever their encoding, delimiter, quoting and layout, the same sentences come out."""

from __future__ import annotations

import codecs
import datetime
import io
import unicodedata
from pathlib import Path

import pytest
import xlsxwriter

from emotion_core.labels import find_label
from emotion_core.tables import TableFile, detect, guess_columns
from tests.tables.files import NAMES, ROWS, delimited, ods, xls, xlsx

NEWLINE = [["첫째 줄\n둘째 줄", "슬픔"], ["셋째, 줄", "분노"], ["넷째 줄", "혐오"]]
NO_QUOTES = [["오늘 정말 행복해요", "행복"], ["너무 무서웠어 진짜", "공포"], ["그냥 그래", "중립"]]
MORE = [[text, label, "", "메모", str(number)] for number, (text, label) in enumerate(ROWS)]
AIHUB = ["Sentence", "Emotion", "Unnamed: 2", "Unnamed: 3", "Unnamed: 4", "공포", "5468"]
ONE_COLUMN = [[text] for text, _ in ROWS]


def utf16(text: str, order: str = "le", mark: bool = True) -> bytes:
    return (getattr(codecs, f"BOM_UTF16_{order.upper()}") if mark else b"") + text.encode(f"utf-16-{order}")


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


PAIRS: dict[str, tuple[str, bytes, list[list[str]]]] = {
    # encodings
    "utf-8": ("a.csv", delimited().encode(), ROWS),
    "utf-8 with mark": ("a.csv", delimited().encode("utf-8-sig"), ROWS),
    "utf-8 with two marks": ("a.csv", codecs.BOM_UTF8 + delimited().encode("utf-8-sig"), ROWS),
    "cp949": ("a.csv", delimited().encode("cp949"), ROWS),
    "euc-kr": ("a.csv", delimited(NO_QUOTES).encode("euc-kr"), NO_QUOTES),
    "utf-16 le with mark": ("a.csv", utf16(delimited()), ROWS),
    "utf-16 be with mark": ("a.csv", utf16(delimited(), "be"), ROWS),
    "utf-16 le without": ("a.csv", utf16(delimited(), mark=False), ROWS),
    "utf-16 be without": ("a.csv", utf16(delimited(), "be", mark=False), ROWS),
    "excel's unicode text": ("a.txt", utf16(delimited(delimiter="\t")), ROWS),
    "utf-8 with nul bytes": ("a.csv", delimited().replace("정말", "정\0말").encode(), ROWS),
    "ctrl-z at the end": ("a.csv", delimited().encode() + b"\x1a", ROWS),
    # delimiters
    "semicolons": ("a.csv", delimited(delimiter=";").encode(), ROWS),
    "tabs": ("a.tsv", delimited(delimiter="\t").encode(), ROWS),
    "tabs in a csv": ("a.csv", delimited(delimiter="\t").encode("cp949"), ROWS),
    "bars": ("a.txt", delimited(delimiter="|").encode(), ROWS),
    "excel's sep line": ("a.csv", b"sep=;\r\n" + delimited(delimiter=";").encode(), ROWS),
    "a blank behind commas": ("a.csv", delimited(NO_QUOTES).replace(",", ", ").encode(),
                              [[text, f" {label}"] for text, label in NO_QUOTES]),
    "blanks before quotes": ("a.csv", delimited(always=True).replace('","', '", "').encode(), ROWS),
    # quoting
    "everything quoted": ("a.csv", delimited(always=True).encode(), ROWS),
    "single quotes": ("a.csv", delimited([*NO_QUOTES, ["아, 그래", "중립"]], quote="'", always=True).encode(),
                      [*NO_QUOTES, ["아, 그래", "중립"]]),
    "backslashes": ("a.csv", delimited(always=True).replace('""', '\\"').encode(), ROWS),
    "a newline in a cell": ("a.csv", delimited(NEWLINE).encode(), NEWLINE),
    "a crlf in a cell": ("a.csv", delimited([["가\r\n나", "슬픔"], ["다", "분노"]]).encode("cp949"),
                         [["가\r\n나", "슬픔"], ["다", "분노"]]),
    "quotes inside unquoted": ("a.csv", 'Sentence,Emotion\n그는 "네" 했다,중립\n5" 화면,행복\n'.encode(),
                               [['그는 "네" 했다', "중립"], ['5" 화면', "행복"]]),
    "a writer's quotes between tabs": ("a.tsv", '문장\t감정\n"네" 했다\t중립\n"열린 채\t행복\n끝\t분노\n'.encode(),
                                       [['"네" 했다', "중립"], ['"열린 채', "행복"], ["끝", "분노"]]),
    "a newline between tabs": ("a.tsv", delimited(NEWLINE, delimiter="\t").encode(), NEWLINE),
    # line ends
    "lf": ("a.csv", delimited(end="\n").encode(), ROWS),
    "cr": ("a.csv", delimited(end="\r").encode(), ROWS),
    "mixed ends": ("a.csv", (delimited(ROWS[:1], end="\r") + delimited(ROWS[1:], None, end="\n")).encode(), ROWS),
    "no end": ("a.csv", delimited().rstrip().encode(), ROWS),
    "blank lines": ("a.csv", delimited(end="\n\n").encode(), ROWS),
    "empty rows at the end": ("a.csv", delimited().encode() + b",\r\n" * 30, ROWS),
    # names
    "hangul names": ("a.csv", delimited(names=["문장", "감정"]).encode("cp949"), ROWS),
    "nfd": ("a.csv", nfd(delimited(names=["문장", "감정"])).encode(), [[nfd(t), nfd(e)] for t, e in ROWS]),
    "no header": ("a.csv", delimited(names=None).encode(), ROWS),
    "a title above": ("a.csv", ("2024년 설문 결과\r\n\r\n" + delimited()).encode(), ROWS),
    "one row": ("a.csv", delimited(ROWS[:1]).encode(), ROWS[:1]),
    # workbooks
    "xlsx": ("a.xlsx", xlsx(), ROWS),
    "xls": ("a.xls", xls(), ROWS),
    "ods": ("a.ods", ods(), ROWS),
    "xlsx called csv": ("a.csv", xlsx(), ROWS),
    "xls called xlsx": ("a.xlsx", xls(), ROWS),
    "csv called xlsx": ("a.xlsx", delimited().encode("cp949"), ROWS),
    "title rows": ("a.xlsx", xlsx(("설문", [["2024년 설문 결과"], ["작성자: 홍길동"], [], NAMES, *ROWS])), ROWS),
    "an empty first sheet": ("a.xlsx", xlsx(("빈", []), ("자료", [NAMES, *ROWS])), ROWS),
    "a first sheet of notes": ("a.xlsx", xlsx(("안내", [["이 파일은 이렇게 씁니다."], ["고맙습니다."]]),
                                              ("자료", [NAMES, *ROWS])), ROWS),
    "a hidden first sheet": ("a.xlsx", xlsx(("숨김", [NAMES, ["숨은 문장", "분노"]]), ("자료", [NAMES, *ROWS]),
                                            hidden=["숨김"]), ROWS),
    "several sheets in an ods": ("a.ods", ods(("빈", []), ("자료", [["문장", "감정"], *ROWS])), ROWS),
    "a table not in the corner": ("a.xlsx", xlsx(("S", [[], [], ["", "", *NAMES], *(["", "", *row] for row in ROWS)])),
                                  ROWS),
    "a merged title": ("a.xlsx", xlsx(("S", [[], NAMES, *ROWS]), merged=[("S", "A1:B1", "설문 결과")]), ROWS),
    "labels merged downwards": ("a.xlsx", xlsx(("S", [NAMES, ["하나", ""], ["둘", ""], ["셋", "분노"]]),
                                               merged=[("S", "B2:B3", "슬픔")]),
                                [["하나", "슬픔"], ["둘", "슬픔"], ["셋", "분노"]]),
    "a newline in an ods": ("a.ods", ods(("S", [NAMES, *NEWLINE])), NEWLINE),
    # labels
    "labels with blanks": ("a.csv", delimited([["하나", " 슬픔 "], ["둘", "\t기쁨"]]).encode(),
                           [["하나", " 슬픔 "], ["둘", "\t기쁨"]]),
    "labels as 3.0": ("a.csv", delimited([["하나", "3.0"], ["둘", "5.0"]]).encode(), [["하나", "3.0"], ["둘", "5.0"]]),
    "more columns": ("a.csv", delimited(MORE, names=["Sentence", "Emotion", "", "비고", "no"]).encode(), ROWS),
    "ai hub": ("a.csv", delimited([[*row, "", "", "", "놀람", "5898"] for row in ROWS], names=AIHUB).encode(), ROWS),
    "columns the other way round": ("a.csv", delimited([row[::-1] for row in ROWS], names=["감정", "내용"]).encode(),
                                    ROWS),
    "names that say nothing": ("a.csv", delimited(names=["가", "나"]).encode(), ROWS),
    "a row too short and one too long": ("a.csv", "Sentence,Emotion\n하나,슬픔\n둘\n셋,분노,남음\n넷,행복\n".encode(),
                                         [["하나", "슬픔"], ["둘", ""], ["셋", "분노"], ["넷", "행복"]]),
    "the same name twice": ("a.csv", delimited([[t, e, t] for t, e in ROWS], names=["문장", "감정", "문장"]).encode(),
                            ROWS),
}

SINGLES: dict[str, tuple[str, bytes, list[str]]] = {
    "txt": ("a.txt", "오늘 좋다, 정말\n싫다, 진짜\n\n음, 네\n".encode(), ["오늘 좋다, 정말", "싫다, 진짜", "음, 네"]),
    "txt in cp949": ("a.txt", "오늘 좋다\r\n펲시 맛있다\r\n".encode("cp949"), ["오늘 좋다", "펲시 맛있다"]),
    "txt in utf-16": ("a.txt", utf16("오늘 좋다\r\n싫다\r\n", mark=False), ["오늘 좋다", "싫다"]),
    "txt of one line": ("a.txt", "오늘 좋다".encode(), ["오늘 좋다"]),
    "txt with quotes": ("a.txt", '"네" 했다\n"열린 채\n"다 감싼"\n'.encode(), ['"네" 했다', '"열린 채', "다 감싼"]),
    "txt that begins with mz": ("a.txt", "MZ세대라서 좋다\n싫다\n".encode(), ["MZ세대라서 좋다", "싫다"]),
    "txt with a question first": ("a.txt", "글 제목?\n그래\n".encode(), ["글 제목?", "그래"]),
    "one column": ("a.csv", delimited(ONE_COLUMN, names=["문장"]).encode(), [text for text, _ in ROWS]),
    "one column, one comma each": ("a.csv", "Sentence\n아,그래\n네,그래\n".encode(), ["아,그래", "네,그래"]),
    "one column with a newline": ("a.csv", 'text\n"첫째\n둘째"\n셋째\n'.encode(), ["첫째\n둘째", "셋째"]),
    "one column without a name": ("a.csv", "오늘 좋다\n싫다\n".encode(), ["오늘 좋다", "싫다"]),
    "one column in an xlsx": ("a.xlsx", xlsx(("S", [["오늘 좋다"], ["싫다"]])), ["오늘 좋다", "싫다"]),
    "a bad byte in utf-8": ("a.txt", "오늘 좋다\n".encode() * 9 + b"\xec\x95\n", ["오늘 좋다"] * 9 + ["�"]),
    "a character cut off at the end": ("a.txt", "오늘 좋다\n싫다".encode()[:-1], ["오늘 좋다", "싫�"]),
}


def read(folder: Path, name: str, content: bytes) -> TableFile:
    path = folder / name
    path.write_bytes(content)
    return TableFile(detect(path))


@pytest.mark.parametrize("case", PAIRS)
def test_sentences_and_labels_come_out(case: str, tmp_path: Path) -> None:
    name, content, expected = PAIRS[case]
    table = read(tmp_path, name, content)
    rows = list(table.rows())
    text, label = guess_columns(table.columns, rows)
    assert label is not None
    assert [[row[text], row[label]] for row in rows] == expected


@pytest.mark.parametrize("case", SINGLES)
def test_sentences_without_labels_come_out(case: str, tmp_path: Path) -> None:
    name, content, expected = SINGLES[case]
    table = read(tmp_path, name, content)
    rows = list(table.rows())
    assert guess_columns(table.columns, rows) == (0, None)
    assert [row[0] for row in rows] == expected


def test_what_was_detected_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, "a.csv", delimited(delimiter=";").encode("cp949")).source
    assert (found.encoding, found.delimiter, found.header, found.certain) == ("cp949", ";", True, True)
    assert not read(tmp_path, "b.csv", delimited().encode() + b"\xff\n").source.certain
    sheets = xlsx(("빈", []), ("숨김", [["x"]]), ("자료", [NAMES, *ROWS]), hidden=["숨김"])
    book = read(tmp_path, "c.xlsx", sheets).source
    assert (book.sheet, book.sheets) == ("자료", ("빈", "자료", "숨김"))


def test_names_are_composed_unique_and_never_blank(tmp_path: Path) -> None:
    names = [nfd("문장"), "감정", "감정", "", " a\nb "]
    table = read(tmp_path, "a.csv", delimited([["가", "슬픔", "", "", "1"]], names=names).encode())
    assert table.columns == ("문장", "감정", "감정 (2)", "(D)", "a b")


def test_rows_too_short_and_too_long_are_counted(tmp_path: Path) -> None:
    table = read(tmp_path, "a.csv", "Sentence,Emotion\n하나,슬픔\n둘\n셋,분노,남음\n넷,행복\n다섯,행복,\n".encode())
    for _ in range(2):  # a second pass counts anew
        assert len(list(table.rows())) == 5
        assert (table.short, table.long) == (1, 1)


def test_blank_rows_between_stay_so_that_rows_keep_their_numbers(tmp_path: Path) -> None:
    csv = read(tmp_path, "a.csv", "Sentence,Emotion\n하나,슬픔\n,\n셋,분노\n,\n".encode())
    book = read(tmp_path, "a.xlsx", xlsx(("S", [NAMES, ["하나", "슬픔"], [], ["셋", "분노"], ["", ""]])))
    for table in (csv, book):
        assert list(table.rows()) == [["하나", "슬픔"], ["", ""], ["셋", "분노"]]


def test_values_of_a_workbook_keep_what_the_sheet_shows(tmp_path: Path) -> None:
    values = ["오늘 좋다", 3, 3.5, True, "007", "=1+1", "3.0", 12345678901234]
    table = read(tmp_path, "a.xlsx", xlsx(("S", [["문장", *"bcdefgh"], values])))
    assert list(table.rows()) == [values]
    assert [type(cell) for cell in next(table.rows())] == [str, int, float, bool, str, str, str, int]


def test_dates_are_written_as_people_read_them(tmp_path: Path) -> None:
    rows = [["문장", "날"], ["좋다", datetime.datetime(2026, 11, 24)], ["싫다", datetime.datetime(2026, 11, 24, 9, 30)]]
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"default_date_format": "yyyy-mm-dd"}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    table = read(tmp_path, "a.xlsx", out.getvalue())
    assert [row[1] for row in table.rows()] == ["2026-11-24", "2026-11-24 09:30:00"]


def test_a_workbook_that_changed_is_read_anew(tmp_path: Path) -> None:
    assert len(list(read(tmp_path, "a.xlsx", xlsx()).rows())) == 3
    assert len(list(read(tmp_path, "a.xlsx", xlsx(("S", [NAMES, *ROWS, *ROWS]))).rows())) == 6


def test_every_label_read_is_one_that_is_known() -> None:
    for _, _, expected in PAIRS.values():
        assert all(find_label(label) or not label for _, label in expected)
