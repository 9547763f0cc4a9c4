"""What the bytes of a text file are: byte-order mark, UTF-16 by its NULs, UTF-8, CP949, in this order."""

from __future__ import annotations

import codecs
from pathlib import Path

from ..messages import EmotionError

ENCODINGS = ("utf-8", "cp949", "utf-16-le", "utf-16-be")
"""What `detect_encoding` answers; a byte-order mark is skipped in reading whatever it is."""

_BLOCK = 1 << 20
_SNIFFED = 1 << 16
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Files that are no text, by their first bytes; workbooks are recognised before this is asked.
_BINARY = (b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\x7fELF", b"MZ",
           b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"BZh", b"\xfd7zXZ", b"SQLite format", b"PAR1", b"\x28\xb5\x2f\xfd")
_BLANKS = frozenset(b"\t\n\r\f\x1a")


def detect_encoding(path: Path) -> str | None:
    """One of ENCODINGS, or None where the bytes are neither UTF-8 nor CP949 throughout.

    Raises EmotionError for a file that is empty or no text.
    """
    with path.open("rb") as file:
        head = file.read(_SNIFFED)
    if not head.strip(b"\0 \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise EmotionError("error.table.empty", file=path.name)
    if head.startswith(_BINARY):
        raise EmotionError("error.table.binary", file=path.name)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if encoding := _utf16_by_nuls(head):
        return encoding
    if _control_share(head) > 0.02:
        raise EmotionError("error.table.binary", file=path.name)
    return next((encoding for encoding in ("utf-8", "cp949") if _decodes(path, encoding)), None)


def _utf16_by_nuls(head: bytes) -> str | None:
    """UTF-16 without a mark: blanks, digits and commas have a NUL in every other place."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    pairs = max(1, len(head) // 2)
    if max(even, odd) / pairs < 0.02 or min(even, odd) > max(even, odd) / 8:
        return None
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    text = head[: len(head) // 2 * 2].decode(encoding, errors="replace")
    return encoding if text.count("\ufffd") <= 1 and ("\n" in text or "\r" in text or "," in text) else None


def _control_share(head: bytes) -> float:
    return sum(byte < 32 and byte not in _BLANKS for byte in head) / len(head)


def _decodes(path: Path, encoding: str) -> bool:
    """Whether the whole file is `encoding`; an incremental decoder, since a block may end inside a character."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
