"""Small things said on several pages: a length of time, a name as it was typed, why something failed."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping
from typing import Any

from emotion_core import EmotionError
from emotion_core.messages import message

from .language import current, say

_SIGNS = "\\`*_{}[]()#+-.!|<>~:$"


def duration(seconds: float) -> str:
    """A length of time as a person says it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return say("time.hours", hours=hours, minutes=minutes)
    return say("time.minutes", minutes=minutes, seconds=rest) if minutes else say("time.seconds", seconds=rest)


def bold(key: str) -> str:
    """The catalogue's text of `key` as a small heading."""
    return f"**{say(key)}**"


def plain(name: str) -> str:
    """`name` with markdown's signs escaped."""
    return "".join(f"\\{sign}" if sign in _SIGNS else sign for sign in name)


def sentence(error: EmotionError) -> str:
    """`error` in the reader's language; the names it quotes are a stranger's, so never markdown."""
    return told(error.key, error.values)


def when(moment: float) -> str:
    """A point in time, local."""
    return f"{datetime.datetime.fromtimestamp(moment):%Y-%m-%d %H:%M}"


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """`names` by id, with the id behind those that are there twice: a select box tells its options by their text."""
    counts = Counter(names.values())
    return {one: f"{name} ({one})" if counts[name] > 1 else name for one, name in names.items()}


def reason(error: tuple[str, Mapping[str, Any]], otherwise: str) -> str:
    """The sentence of an error that was written to the disk; `otherwise`, a key, where another version wrote it."""
    try:
        return told(*error)
    except (KeyError, IndexError, ValueError):
        return say(otherwise)


def told(key: str, values: Mapping[str, Any]) -> str:
    """The catalogue's text of `key`, with markdown's signs in its values escaped."""
    return message(key, current(), **{name: plain(value) if isinstance(value, str) else value
                                      for name, value in values.items()})
