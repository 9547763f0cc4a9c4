"""Which row names the columns, which column holds the sentences and which the emotions: by name, else by content."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ..labels import find_label

# The names people give them, the surest first; matched without case, blanks, signs and a number at the end.
_TEXT_NAMES = ("sentence", "sentences", "text", "texts", "문장", "발화", "발화문", "내용", "본문", "댓글", "리뷰",
               "review", "reviews", "comment", "comments", "document", "content", "contents", "utterance", "message",
               "tweet", "후기", "대화", "대사", "텍스트", "원문", "글", "의견", "답변", "응답", "질문", "body", "제목",
               "title")
_LABEL_NAMES = ("emotion", "emotions", "감정", "label", "labels", "레이블", "라벨", "정답", "감성", "sentiment",
                "class", "target", "emotionlabel", "감정분류")
# "review_id" has a text's name in it and holds none.
_NO_TEXT = re.compile("(id|no|num|number|count|date|time|url|len|length|idx|index|score|길이|번호|날짜|일시|개수|수)$")
# What a model said, ours too, is no truth to measure it by.
_NO_LABEL = re.compile("예측|확률|predict|^pred|probability|^첫번째|^두번째|^firstemotion|^secondemotion")
_LABEL_SHARE = 0.6  # of a column's cells that must be labels for it to be taken by content
_TITLE_ROWS = 15  # above the header, at most
_LONGEST_NAME = 40
_SENTENCE_END = re.compile(r"[.!?~…ㅋㅎㅠㅜ]\s*$")
_NUMBER = re.compile(r"\s*[+-]?[\d.,]+%?\s*")


def guess_columns(names: Sequence[str], rows: Sequence[Sequence[object]]) -> tuple[int, int | None]:
    """(place of the text column, place of the label column or None), from the names and some rows."""
    columns = [[row[place] for row in rows if place < len(row)] for place in range(len(names))]
    label = _guess_label(names, columns)
    return _guess_text(names, columns, label), label


def find_header(rows: Sequence[Sequence[object]]) -> int | None:
    """The place of the row that names the columns, or None where the table begins with data.

    Rows above it are a title or notes; they are recognised by having fewer cells than a row of known names.
    """
    most = 0
    for place, row in enumerate(rows[:_TITLE_ROWS]):
        filled = _filled(row)
        if names_columns(row) and (place == 0 or filled > most) and not any(map(_is_sentence, row)):
            return place
        most = max(most, filled)
    return 0 if rows and _looks_named(rows[0], rows[1:]) else None


def names_columns(row: Sequence[object]) -> bool:
    """Whether a row has one of the names that people give to sentences and emotions, or two that contain one."""
    keys = [_key(cell) for cell in row]
    known = (*_TEXT_NAMES, *_LABEL_NAMES)
    contained = sum(any(name in key for name in known if len(name) > 1) for key in keys if len(key) <= 20)
    return contained > 1 or any(key in known for key in keys)


def _looks_named(first: Sequence[object], rest: Sequence[Sequence[object]]) -> bool:
    """Whether a row of unknown names is one: short, no number, no emotion, no sentence, and not met again below."""
    if not rest or _filled(first) < 2:
        return False  # a lone sentence, or a list of sentences
    for place, cell in enumerate(first):
        text = str(cell).strip()
        if not isinstance(cell, str) or len(text) > _LONGEST_NAME or _NUMBER.fullmatch(text):
            return False
        again = any(place < len(row) and text and str(row[place]).strip() == text for row in rest)
        if again or find_label(text) or _is_sentence(text):
            return False
    return True


def _is_sentence(cell: object) -> bool:
    if not isinstance(cell, str) or _key(cell) in (*_TEXT_NAMES, *_LABEL_NAMES):
        return False
    return len(cell.split()) > 4 or bool(_SENTENCE_END.search(cell))


def _guess_label(names: Sequence[str], columns: list[list[object]]) -> int | None:
    possible = [place for place, name in enumerate(names) if not _NO_LABEL.search(_key(name))]
    if len(names) < 2 or not possible:
        return None
    named = [place for place in _by_name(names, _LABEL_NAMES) if place in possible]
    shares = {place: _label_share(columns[place]) for place in possible}
    for place in named:
        if shares[place] > 0:
            return place
    best = max(possible, key=shares.__getitem__)
    if shares[best] >= _LABEL_SHARE and (not _only_numbers(columns[best]) or _are_ids(columns[best])):
        return best
    return named[0] if named else None


def _guess_text(names: Sequence[str], columns: list[list[object]], label: int | None) -> int:
    letters = [_textness(column) for column in columns]
    others = [place for place in range(len(names)) if place != label]
    named = [place for place in _by_name(names, _TEXT_NAMES) if place != label]
    for place in named:
        if letters[place] > 0 and letters[place] >= 0.3 * max(letters[other] for other in named):
            return place
    if named and not any(letters):
        return named[0]
    return max(others, key=letters.__getitem__, default=0)


def _by_name(names: Sequence[str], known: Sequence[str]) -> list[int]:
    """Places of the columns with a known name, the surest first; then of those that contain one ("감정_대분류")."""
    keys = [_key(name) for name in names]
    exact = [place for name in known for place, key in enumerate(keys) if key == name]
    contained = [place for name in known for place, key in enumerate(keys)
                 if len(name) > 1 and name in key and not (known is _TEXT_NAMES and _NO_TEXT.search(key))]
    return list(dict.fromkeys([*exact, *contained]))


def _key(name: object) -> str:
    return re.sub(r"[\W_]+|\d+$", "", unicodedata.normalize("NFKC", str(name)).lower())


def _filled(row: Sequence[object]) -> int:
    return sum(str(cell).strip() != "" for cell in row)


def _label_share(column: list[object]) -> float:
    filled = [cell for cell in column if str(cell).strip()]
    return sum(find_label(cell) is not None for cell in filled) / len(filled) if filled else 0.0


def _only_numbers(column: list[object]) -> bool:
    return all(_NUMBER.fullmatch(str(cell)) for cell in column if str(cell).strip())


def _are_ids(column: list[object]) -> bool:
    """Whether numbers are label ids rather than stars or answers on a scale: 0 or 6 is among them, and a third."""
    found = {find_label(cell) for cell in column}
    return len(found) > 2 and bool(found & {"공포", "혐오"})


def _textness(column: list[object]) -> float:
    """Mean letters a cell; Hangul counts most."""
    texts = [str(cell) for cell in column if isinstance(cell, str)]
    hangul = sum(len(re.findall("[가-힣ㄱ-ㅎㅏ-ㅣᄀ-ᇿ]", text)) for text in texts)
    letters = sum(sum(c.isalpha() for c in text) for text in texts)
    return (10 * hangul + letters) / max(1, len(column))
