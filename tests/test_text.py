"""Cleaning a sentence."""

from __future__ import annotations

import unicodedata

import pytest

from emotion_core.text import clean


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  아파요 \n", "아파요"),
        ("오늘\t\t정말\r\n행복해", "오늘 정말 행복해"),
        (unicodedata.normalize("NFD", "행복해요"), "행복해요"),
        ("무\u200b서\ufeff워", "무서워"),
        ("아\x00프\x07다", "아프다"),
        ("슬\ud800퍼", "슬퍼"),
        ("전각\u3000띄어쓰기\u00a0와\u3164채움", "전각 띄어쓰기 와 채움"),
        ("👨\u200d👩\u200d👧 가족", "👨\u200d👩\u200d👧 가족"),
        ("ㅋㅋㅋ ㅠㅠ", "ㅋㅋㅋ ㅠㅠ"),
        ("<b>굵게</b> & *별*", "<b>굵게</b> & *별*"),
    ],
)
def test_clean(raw: str, expected: str) -> None:
    assert clean(raw) == expected
    assert clean(expected) == expected


@pytest.mark.parametrize("raw", ["", "   ", "\n\t", "\u200b\u200b", "\u3164", "\x00", "\u200d", "\u2800\ufe0f"])
def test_nothing_visible_is_empty(raw: str) -> None:
    assert clean(raw) == ""
