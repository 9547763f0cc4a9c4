"""Every text a person reads, in Korean and English, from one catalogue.

`catalogue.json` maps a key to {"ko": …, "en": …}. The library raises an
`EmotionError` with a key and the values; the edge (a page, the shell) asks for
it in the reader's language. Not for building sentences around an emotion's
name, which need Korean particles: that is `phrasing`.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

LANGUAGES = ("ko", "en")


@functools.cache
def catalogue() -> dict[str, dict[str, str]]:
    """The whole catalogue: key → language → text with {placeholders}."""
    return json.loads((Path(__file__).parent / "catalogue.json").read_text("utf-8"))


def message(key: str, language: str, **values: object) -> str:
    """The text of `key` in `language`, with its placeholders filled. Raises KeyError for an unknown key."""
    return catalogue()[key][language].format(**values)


def shell_language() -> str:
    """ "en" where EMOTION_LANGUAGE or the locale says English, else "ko"."""
    for variable in ("EMOTION_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(variable):
            return "en" if value.lower().startswith("en") else "ko"
    return "ko"


class EmotionError(Exception):
    """Something a person can do something about: what was wrong, what was expected, the next step.

    `key` names the catalogue's entry, `values` fill it. `str()` speaks the
    shell's language; `.text(language)` any.
    """

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.values = values

    @property
    def stored(self) -> tuple[str, dict[str, int | float | str]]:
        """Key and values as JSON takes them."""
        return self.key, {name: value if isinstance(value, int | float) else str(value)
                          for name, value in self.values.items()}

    def text(self, language: str) -> str:
        """The error in `language`."""
        return message(self.key, language, **self.values)

    def __str__(self) -> str:
        return self.text(shell_language())


def reason_of(error: BaseException) -> str:
    """What another library's error says, in one line of at most 200 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
