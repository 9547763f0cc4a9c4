"""Builds the files that people bring, good and bad, as bytes."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

import xlsxwriter
import xlwt
from xlwt.CompoundDoc import XlsDoc

ROWS = [["오늘 정말 행복해요", "행복"], ["뷁! 너무 무서웠어, 진짜", "공포"], ['그가 "안녕" 하고 웃었다', "중립"]]
NAMES = ["Sentence", "Emotion"]
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def delimited(rows: Sequence[Sequence[str]] = ROWS, names: Sequence[str] | None = NAMES, delimiter: str = ",",
              quote: str = '"', always: bool = False, end: str = "\r\n") -> str:
    """A delimited text; a cell is quoted where it must be, or always."""
    def cell(text: str) -> str:
        if always or any(mark in text for mark in (delimiter, quote, "\n", "\r")):
            return quote + text.replace(quote, quote * 2) + quote
        return text

    lines = [*([names] if names else []), *rows]
    return "".join(delimiter.join(map(cell, line)) + end for line in lines)


def xlsx(*sheets: tuple[str, Sequence[Sequence[object]]], hidden: Sequence[str] = (),
         merged: Sequence[tuple[str, str, object]] = ()) -> bytes:
    """A workbook of sheets; `merged` are (sheet, range, value)."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        for name, rows in sheets or [("Sheet1", [NAMES, *ROWS])]:
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
            for where, cells, value in merged:
                if where == name:
                    sheet.merge_range(cells, value)
            if name in hidden:
                sheet.hide()
        visible = next((sheet for sheet in book.worksheets() if not sheet.hidden), None)
        if visible:
            visible.activate()
            visible.set_first_sheet()
    return out.getvalue()


def xls(rows: Sequence[Sequence[object]] = (NAMES, *ROWS)) -> bytes:
    """An Excel 97 workbook."""
    return _xls_book(rows, None)


def locked_xls() -> bytes:
    """An Excel 97 workbook that says it is encrypted: a FILEPASS record behind the first one."""
    return _xls_book([NAMES], struct.pack("<HHHHH", 0x2F, 6, 1, 1, 1))


def _xls_book(rows: Sequence[Sequence[object]], record: bytes | None) -> bytes:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Sheet1")
    for number, row in enumerate(rows):
        for place, value in enumerate(row):
            sheet.write(number, place, value)
    stream = book.get_biff_data()
    if record:
        first = 4 + struct.unpack_from("<H", stream, 2)[0]
        stream = stream[:first] + record + stream[first:]
    out = io.BytesIO()
    XlsDoc().save(out, stream)
    return out.getvalue()


def locked_xlsx() -> bytes:
    """What Excel writes for an XLSX with a password: an OLE file with the stream EncryptedPackage."""
    out = io.BytesIO()
    XlsDoc().save(out, b"\x00" * 8192)
    old = "Workbook\0".encode("utf-16-le")
    new = "EncryptedPackage\0".encode("utf-16-le")
    data = bytearray(out.getvalue())
    place = data.index(old)
    data[place : place + len(new)] = new
    struct.pack_into("<H", data, place + 64, len(new))
    return bytes(data)


def ods(*sheets: tuple[str, Sequence[Sequence[object]]], locked: bool = False, extra: str = "") -> bytes:
    """An OpenDocument spreadsheet; `extra` is put behind the last sheet's rows."""
    def cell(value: object) -> str:
        if isinstance(value, int | float):
            return f'<table:table-cell office:value-type="float" office:value="{value}"/>'
        paragraphs = "".join(f"<text:p>{escape(part)}</text:p>" for part in str(value).split("\n"))
        return f'<table:table-cell office:value-type="string">{paragraphs}</table:table-cell>' if value else (
            "<table:table-cell/>")

    tables = "".join(
        f"<table:table table:name={quoteattr(name)}>"
        + "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
        + f"{extra}</table:table>" for name, rows in sheets or [("시트1", [NAMES, *ROWS])])
    office = "urn:oasis:names:tc:opendocument:xmlns"
    content = (f'<?xml version="1.0" encoding="UTF-8"?><office:document-content xmlns:office="{office}:office:1.0" '
               f'xmlns:table="{office}:table:1.0" xmlns:text="{office}:text:1.0" office:version="1.2"><office:body>'
               f"<office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>")
    mark = '<manifest:encryption-data manifest:checksum="x"/>' if locked else ""
    manifest = (f'<?xml version="1.0"?><manifest:manifest xmlns:manifest="{office}:manifest:1.0"><manifest:file-entry '
                'manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/>'
                '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml">'
                f"{mark}</manifest:file-entry></manifest:manifest>")
    return archive({"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": content,
                    "META-INF/manifest.xml": manifest})


def archive(members: dict[str, str | bytes]) -> bytes:
    """A ZIP."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return out.getvalue()


def raw_xlsx(rows: str, strings: str = "", padding: bytes = b"") -> bytes:
    """A workbook from the XML of its rows and shared strings, for what no spreadsheet would write."""
    relation = f"{_RELATIONS}/"
    members: dict[str, str | bytes] = {
        "[Content_Types].xml":
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
            'ContentType="application/xml"/></Types>',
        "_rels/.rels":
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
            f'Id="rId1" Type="{relation}officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml":
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets><sheet name="S" sheetId="1" r:id="rId1"/>'
            "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels":
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
            f'Id="rId1" Type="{relation}worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" '
            f'Type="{relation}sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        "xl/sharedStrings.xml": f'<sst xmlns="{_MAIN}">{strings}</sst>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData></worksheet>',
    }
    return archive(members | ({"padding.bin": padding} if padding else {}))
