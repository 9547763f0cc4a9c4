"""What the bytes of a text file are: byte-order mark, UTF-16 by its NULs, UTF-8, CP949, in this order."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from ..messages import EmotionError

ENCODINGS = ("utf-8", "cp949", "utf-16-le", "utf-16-be")
"""What `detect_encoding` answers; a byte-order mark is skipped in reading whatever it is."""

_BLOCK = 1 << 20
_SNIFFED = 1 << 16
_COMPARED = 4  # blocks in which the errors of two encodings are counted
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Files that are no text though few of their bytes are control characters; the others are told by those.
_BINARY = (b"%PDF-", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!\x1a", b"\x7fELF",
           b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\xfd7zXZ", b"SQLite format", b"\x28\xb5\x2f\xfd", b"{\\rtf")
_WEB_PAGE = re.compile(rb"\s*<(!doctype html|html|head|meta|table|body|\?xml|style)\b", re.IGNORECASE)
_BLANKS = frozenset(b"\t\n\r\f\x1a")
_PLAIN = re.compile("[\\s!-~가-힣ㄱ-ㆎ\u2000-\u303f\uff01-\uff5e\ufeff]")
_MOST_CONTROL = 0.02


def detect_encoding(path: Path) -> str | None:
    """One of ENCODINGS, or None where the bytes are neither UTF-8 nor CP949 throughout.

    Raises EmotionError for a file that is empty or no text.
    """
    head = next((block for block in _blocks(path) if block.strip(b"\0 \t\r\n\x1a\xef\xbb\xbf\xff\xfe")), b"")
    if not head:
        raise EmotionError("error.table.empty", file=path.name)
    with path.open("rb") as file:
        head = file.read(_SNIFFED)
    if head.startswith(_BINARY):
        raise EmotionError("error.table.binary", file=path.name)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if encoding := _utf16_by_nuls(head):
        return encoding
    if _WEB_PAGE.match(head):
        raise EmotionError("error.table.web_page", file=path.name)
    if _control_share(head) > _MOST_CONTROL:
        raise EmotionError("error.table.binary", file=path.name)
    return next((encoding for encoding in ("utf-8", "cp949") if _decodes(path, encoding)), None)


def likeliest(path: Path) -> str:
    """The encoding with the fewer errors, for a file that `detect_encoding` has no answer for."""
    return min(("utf-8", "cp949"), key=lambda encoding: _errors(path, encoding))


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _utf16_by_nuls(head: bytes) -> str | None:
    """UTF-16 without a mark: blanks, digits and line ends have a NUL in every other place, and the rest is Korean."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) == 0 or min(even, odd) > max(even, odd) / 8:
        return None
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    text = head[: len(head) // 2 * 2].decode(encoding, errors="replace")
    return encoding if len(_PLAIN.findall(text)) > 0.9 * len(text) else None


def _control_share(head: bytes) -> float:
    return sum(byte < 32 and byte not in _BLANKS for byte in head) / len(head)


def _decodes(path: Path, encoding: str) -> bool:
    """Whether the whole file is `encoding`; an incremental decoder, since a block may end inside a character."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    try:
        for block in _blocks(path):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _errors(path: Path, encoding: str) -> int:
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    return sum(decoder.decode(block).count("\ufffd") for block, _ in zip(_blocks(path), range(_COMPARED), strict=False))
