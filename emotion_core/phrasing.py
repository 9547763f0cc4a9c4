"""Says a prediction in a sentence, as the notebook printed it and a Korean would say it now."""

from __future__ import annotations

from .inference import Prediction
from .labels import display_name
from .messages import message


def has_final_consonant(word: str) -> bool:
    """Whether the last Hangul syllable of `word` is closed (받침), which decides its particles."""
    code = ord(word[-1]) - 0xAC00
    return 0 <= code < 11172 and code % 28 != 0


def describe(prediction: Prediction, language: str) -> str:
    """`prediction` in one sentence; the second emotion only by the rule of `Prediction.second`."""
    top, second = prediction.top.label, prediction.second
    if second is None:
        return message("sentence.one", language, first=display_name(top, language))
    linked = f"{top}이고" if has_final_consonant(top) else f"{top}고"
    first = linked if language == "ko" else display_name(top, language)
    return message("sentence.two", language, first=first, second=display_name(second.label, language))
