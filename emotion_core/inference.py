"""The classifier: one sentence or a million through the same code.

`EmotionClassifier.predict_many` is the one road; a single sentence is a batch of
one. Not for metrics (`evaluation`) or for saying a result in words (`phrasing`).
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import models
from .labels import LABELS
from .messages import EmotionError
from .precision import is_free
from .text import clean

if TYPE_CHECKING:
    from .cascade import Cascade

WINDOW = 2048
"""Sentences looked at together: sorted by length inside, so memory is bounded and padding small."""
CHARACTERS_A_TOKEN = 16
"""No piece of a Korean vocabulary is longer, so text past max_length times this is cut unread."""


@dataclass(frozen=True)
class EmotionScore:
    """One emotion of one sentence."""

    label: str
    probability: float
    logit: float


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the model says of one sentence.

    `text` is the sentence as given; `logits` and `probabilities` are float32 of
    shape (7,), label-id order; `truncated` says that the end of the sentence
    was longer than the model takes and was not read.
    """

    text: str
    logits: np.ndarray
    probabilities: np.ndarray
    truncated: bool = False

    @property
    def top(self) -> EmotionScore:
        """The emotion with the highest logit."""
        return self.ranked[0]

    @property
    def second(self) -> EmotionScore | None:
        """The next highest, if its logit is at least 0: the notebook's rule."""
        score = self.ranked[1]
        return score if score.logit >= 0 else None

    @property
    def ranked(self) -> list[EmotionScore]:
        """All seven emotions, the likeliest first; of equals the lower id first."""
        order = np.argsort(-self.logits, kind="stable")
        return [EmotionScore(LABELS[i], float(self.probabilities[i]), float(self.logits[i])) for i in order]


@dataclass(frozen=True)
class Skipped:
    """A sentence of `predict_many` that was not scored; `reason` is a key of the message catalogue."""

    text: str
    reason: str


class EmotionClassifier:
    """A loaded model that reads sentences. Safe to share between threads."""

    def __init__(self, loaded: models.LoadedModel, precision: str = "auto") -> None:
        from .engine import build  # with torch, which importing the package doesn't load

        self.name = loaded.name
        self.device = loaded.device
        self.max_length = loaded.max_length
        self._tokenizer = loaded.tokenizer
        self._engine = build(loaded.model, loaded.device, self._tokenizer.pad_token_id or 0, precision)
        self._order = loaded.order
        self._tokenizing = threading.Lock()  # a tokenizer keeps its truncation setting between calls
        self._may_round = is_free(precision)
        self._preparing = threading.Lock()
        self._tried, self._faster = False, None

    @classmethod
    def load(cls, source: str | os.PathLike[str] = models.BUNDLED, device: str | None = None,
             precision: str = "auto") -> EmotionClassifier:
        """Load a name under `weights/`, a folder or a Hugging Face id, on `device` or the best one here.

        `precision`: "float32", "bfloat16", or "auto" for the faster one here (measured at first use and
        remembered, see `precision`), with int8 products where they are faithful and faster still (see `cascade`).
        Raises EmotionError for another, and as `models.load` does.
        """
        return cls(models.load(source, device, to_score=True), precision)

    @property
    def precision(self) -> str:
        """The number format that the model computes a sentence in: "float32", "bfloat16" or, on older GPUs, "float16".
        """
        return str(self._engine.dtype).removeprefix("torch.")

    def predict(self, sentence: str) -> Prediction:
        """Score one sentence. Raises EmotionError when nothing visible is in it."""
        result = next(self.predict_many([sentence]))
        if isinstance(result, Skipped):
            raise EmotionError(result.reason)
        return result

    def predict_many(self, sentences: Iterable[str]) -> Iterator[Prediction | Skipped]:
        """Score any number of sentences: results in input order, memory bounded by `WINDOW`.

        A sentence with nothing visible in it comes back as `Skipped`. Identical
        sentences of a window are scored once.
        """
        source = iter(sentences)
        while window := list(itertools.islice(source, WINDOW)):
            yield from self._score_window(window)

    def warm_up(self) -> None:
        """Do now what the first sentence would wait for."""
        self._score_distinct(["가"])

    def truncates(self, sentence: str) -> bool:
        """Whether the end of `sentence` is longer than the model takes and would not be read."""
        return self._tokenize([sentence])[1][0]

    def _score_window(self, window: list[str]) -> list[Prediction | Skipped]:
        cleaned = [clean(sentence) for sentence in window]
        distinct = [text for text in dict.fromkeys(cleaned) if text]
        scored = dict(zip(distinct, self._score_distinct(distinct), strict=True))
        return [
            Prediction(sentence, *scored[text]) if text else Skipped(sentence, "error.sentence.empty")
            for sentence, text in zip(window, cleaned, strict=True)
        ]

    def _score_distinct(self, texts: list[str]) -> list[tuple[np.ndarray, np.ndarray, bool]]:
        """(logits, probabilities, truncated) of each text."""
        from .engine import logits_of  # with torch

        ids, truncated = self._tokenize(texts)
        faster = self._cascade() if ids and self._may_round else None
        logits = (faster.logits_of(ids) if faster else logits_of(self._engine, ids)).numpy()[:, self._order]
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True)) if len(texts) else logits
        probabilities = shifted / shifted.sum(axis=1, keepdims=True)
        return list(zip(logits, probabilities, truncated, strict=True))

    def _cascade(self) -> Cascade | None:
        """The faster way to the same emotions, prepared at its first use, or None where there is none."""
        from . import cascade  # with torch

        with self._preparing:
            if not self._tried:
                self._faster = cascade.prepare(self._engine, self._tokenize(cascade.sample())[0])
                self._tried = True
            return self._faster

    def _tokenize(self, texts: list[str]) -> tuple[list[list[int]], list[bool]]:
        """Token ids with special ones, cut to `max_length`, and which were cut."""
        if not texts:
            return [], []
        readable = self.max_length * CHARACTERS_A_TOKEN
        with self._tokenizing:
            whole = self._tokenizer([text[:readable] for text in texts], verbose=False)["input_ids"]
            fixed = max(1, self._tokenizer.num_special_tokens_to_add())
        room = self.max_length
        # Encoders end a sentence with its special tokens after the first; keep them when cutting.
        ids = [row if len(row) <= room else row[: room - fixed + 1] + row[len(row) - fixed + 1 :] for row in whole]
        cut = [len(row) > room or len(text) > readable for row, text in zip(whole, texts, strict=True)]
        return ids, cut
