"""Emotion of Korean sentences: one package for the app, a shell and Python.

    from emotion_core import EmotionClassifier
    EmotionClassifier.load("bundled").predict("아파요").top.label

Floors, each standing only on those above it in this list: `labels`, `messages` ·
`text`, `tables` · `models` · `inference` · `phrasing`, `figures` · `cli`.
Importing the package is cheap; torch is loaded when a model is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .labels import LABELS
from .messages import EmotionError

if TYPE_CHECKING:
    from .inference import EmotionClassifier, EmotionScore, Prediction, Skipped

__version__ = "0.1.0"
__all__ = ["LABELS", "EmotionClassifier", "EmotionError", "EmotionScore", "Prediction", "Skipped"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from . import inference

        return getattr(inference, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
