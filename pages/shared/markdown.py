"""What others wrote, shown on a page as it is: names of files and models, and what an error quotes."""

from __future__ import annotations

from emotion_core import EmotionError
from emotion_core.messages import message

from .language import current

_SIGNS = "\\`*_{}[]()#+-.!|<>~:$&"


def plain(text: str) -> str:
    """`text` with markdown's signs escaped: no link, no picture from elsewhere, no letters lost."""
    return "".join(f"\\{c}" if c in _SIGNS else c for c in text)


def sentence(error: EmotionError) -> str:
    """`error` in the reader's language, its values as they are."""
    values = {name: plain(value) if isinstance(value, str) else value for name, value in error.values.items()}
    return message(error.key, current(), **values)
