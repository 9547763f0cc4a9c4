"""Cleans a sentence before a tokenizer sees it: one place for every road in.

Not for reading files (`tables`) and not for tokenizing (`models`).
"""

from __future__ import annotations

import re
import unicodedata

# Zero-width and directional characters, soft hyphen and the blank Hangul fillers. The zero-width
# joiner and variation selectors stay out of it: they hold emoji together.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff]"
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
_BLANK = re.compile("[\\s\u2800\u3164\uffa0]+")
_EMOJI_GLUE = "\u200d\ufe0e\ufe0f "


def clean(text: str) -> str:
    """`text` with Hangul composed, nothing invisible in it and whitespace collapsed.

    NFC (macOS stores Hangul decomposed); control characters, lone surrogates and
    zero-width characters removed; every run of blanks one space; ends stripped.
    Returns "" when nothing visible is left.
    """
    text = _INVISIBLE.sub("", _CONTROL.sub("", text))
    text = _BLANK.sub(" ", unicodedata.normalize("NFC", text)).strip()
    return text if text.strip(_EMOJI_GLUE) else ""
