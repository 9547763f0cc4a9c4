"""Which column holds the sentences and which the emotions: by name, else by content."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ..labels import find_label

# The names people give them, the surest first; matched without case, blanks and signs.
_TEXT_NAMES = ("sentence", "sentences", "text", "문장", "발화", "발화문", "내용", "본문", "댓글", "리뷰", "review",
               "comment", "comments", "document", "content", "contents", "utterance", "message",
               "후기", "대화", "텍스트", "글", "의견", "답변", "응답", "제목", "title")
_LABEL_NAMES = ("emotion", "emotions", "감정", "label", "labels", "레이블", "라벨", "정답", "감성", "sentiment",
                "class", "target", "emotionlabel", "감정분류")
_LABEL_SHARE = 0.6  # of a column's cells that must be labels for it to be taken by content


def guess_columns(names: Sequence[str], rows: Sequence[Sequence[object]]) -> tuple[int, int | None]:
    """(place of the text column, place of the label column or None), from the names and some rows."""
    label = _by_name(names, _LABEL_NAMES)
    if label is None:
        shares = [_label_share(column) for column in _columns(names, rows)]
        if shares and max(shares) >= _LABEL_SHARE and len(names) > 1:
            label = shares.index(max(shares))
    text = _by_name(names, _TEXT_NAMES, but=label)
    if text is None:
        lengths = [_textness(column) for column in _columns(names, rows)]
        order = sorted(range(len(names)), key=lambda place: -lengths[place])
        text = next((place for place in order if place != label), 0)
    return text, label if label != text else None


def is_header(first: Sequence[object], rest: Sequence[Sequence[object]]) -> bool:
    """Whether a table's first row names its columns rather than being data."""
    keys = [_key(cell) for cell in first]
    if any(key in _TEXT_NAMES or key in _LABEL_NAMES for key in keys):
        return True
    if not rest or len(first) == 1:
        return False  # a lone sentence, or a list of sentences
    if any(isinstance(cell, int | float) or find_label(cell) for cell in first):
        return False
    return all(len(str(cell)) <= 40 for cell in first)


def _by_name(names: Sequence[str], known: Sequence[str], but: int | None = None) -> int | None:
    keys = [_key(name) for name in names]
    for name in known:
        for place, key in enumerate(keys):
            if key == name and place != but:
                return place
    for name in known:  # "감정_대분류", "review_text"
        for place, key in enumerate(keys):
            if len(name) > 1 and place != but and name in key:
                return place
    return None


def _key(name: object) -> str:
    return re.sub(r"[\W_]+|\d+$", "", unicodedata.normalize("NFC", str(name)).lower())


def _columns(names: Sequence[str], rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [[row[place] for row in rows if place < len(row)] for place in range(len(names))]


def _label_share(column: list[object]) -> float:
    filled = [cell for cell in column if str(cell).strip()]
    return sum(find_label(cell) is not None for cell in filled) / len(filled) if filled else 0.0


def _textness(column: list[object]) -> float:
    """Mean letters a cell; Hangul counts most."""
    texts = [str(cell) for cell in column if isinstance(cell, str)]
    hangul = sum(len(re.findall("[가-힣ㄱ-ㅎㅏ-ㅣᄀ-ᇿ]", text)) for text in texts)
    letters = sum(sum(c.isalpha() for c in text) for text in texts)
    return (10 * hangul + letters) / max(1, len(column))
