"""The seven emotions: their ids, names in two languages, colours and aliases.

Not for reading label columns of files; that is `tables`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

LABELS: tuple[str, ...] = ("공포", "놀람", "분노", "슬픔", "중립", "행복", "혐오")
"""Label names by id: the order of scikit-learn's LabelEncoder on AI Hub's data."""

NUM_LABELS = len(LABELS)

ENGLISH: tuple[str, ...] = ("fear", "surprise", "anger", "sadness", "neutral", "happiness", "disgust")
"""English names by id."""

COLOURS: Mapping[str, str] = MappingProxyType({
    "공포": "#7B3F98",
    "놀람": "#C96A14",
    "분노": "#A3173A",
    "슬픔": "#1A66DC",
    "중립": "#8790A5",
    "행복": "#DDB40A",
    "혐오": "#2FB384",
})
"""One colour an emotion, everywhere; a test holds them apart for the three kinds of colour blindness."""

_ALIASES: Mapping[str, str] = MappingProxyType({
    **{label: label for label in LABELS},
    **dict(zip(ENGLISH, LABELS, strict=True)),
    **{str(i): label for i, label in enumerate(LABELS)},
    **{f"label_{i}": label for i, label in enumerate(LABELS)},
    "기쁨": "행복",
    "joy": "행복",
})


def find_label(name: object) -> str | None:
    """The label that `name` stands for, or None.

    Takes a label, an alias, an English name or an id as int, float or text
    ("3", "3.0"), in any case, Unicode composition and with spaces around it.
    """
    text = unicodedata.normalize("NFKC", str(name)).strip().lower()
    return _ALIASES.get(text.removesuffix(".0"))


def display_name(label: str, language: str) -> str:
    """`label` as a reader of `language` ("ko" or "en") calls it."""
    return label if language == "ko" else ENGLISH[LABELS.index(label)]
