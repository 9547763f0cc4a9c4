"""What a scoring job has found so far, as plain arrays that a page can filter: a million rows in some 150 MB."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import evaluation
from ..labels import LABELS
from . import job
from .rows import Scored
from .totals import Totals


@dataclass(frozen=True)
class Filter:
    """Which rows to look at. `truth` and `predicted` are label ids or None for all; probability is the top one's."""

    truth: int | None = None
    predicted: int | None = None
    low: float = 0.0
    high: float = 1.0
    text: str = ""
    only_wrong: bool = False


class Results:
    """Rows that were scored, in the order of the file.

    row: int64 (n,), from 1; truth: int8 (n,), negative where unknown; predicted: int64 (n,);
    probabilities: float32 (n, 7); confidence: float32 (n,), the top probability.
    """

    def __init__(self, folder: Path) -> None:
        """Reads the parts that are there."""
        self.totals = Totals()
        rows, truth, probabilities = [], [], []
        self._texts: list[str] = []
        for part in job.parts(folder):
            self.totals.add(part)
            kept = ~np.isnan(part.logits[:, 0])
            rows.append(part.row[kept])
            truth.append(part.truth[kept])
            probabilities.append(part.probabilities[kept])
            self._texts.extend(_only(part, kept))
        self.row = np.concatenate(rows) if rows else np.empty(0, np.int64)
        self.truth = np.concatenate(truth) if truth else np.empty(0, np.int8)
        self.probabilities = np.concatenate(probabilities) if rows else np.empty((0, len(LABELS)), np.float32)
        self.predicted = self.probabilities.argmax(axis=1) if len(self.row) else np.empty(0, np.int64)
        self.confidence = self.probabilities.max(axis=1) if len(self.row) else np.empty(0, np.float32)

    @property
    def labelled(self) -> bool:
        """Whether any row has a true emotion."""
        return bool((self.truth >= 0).any())

    @functools.cached_property
    def _surest(self) -> np.ndarray:
        """All places, the most confident first; sorted once, since a page asks at every click."""
        return np.argsort(-self.confidence, kind="stable")

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """The confusion matrix of the rows with a true emotion, see `evaluation`."""
        return evaluation.confusion_matrix(self.totals.truth, self.totals.probabilities.argmax(axis=1))

    @functools.cached_property
    def intervals(self) -> dict[str, evaluation.Interval]:
        """Accuracy and F1 with their bootstrap intervals."""
        return evaluation.intervals(self.matrix)

    @functools.cached_property
    def reliability(self) -> evaluation.Reliability:
        """How honest the probabilities are."""
        return evaluation.reliability(self.totals.truth, self.totals.probabilities)

    @functools.cached_property
    def coverage(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Threshold, coverage and accuracy, see `evaluation.coverage_curve`."""
        return evaluation.coverage_curve(self.totals.truth, self.totals.probabilities)

    def text(self, place: int) -> str:
        """The sentence at `place`, at most `job.SHOWN_CHARACTERS` of it."""
        return self._texts[place]

    def select(self, wanted: Filter, surest_first: bool = True) -> np.ndarray:
        """Places of the rows that `wanted` lets through, the most confident first (or last), int64 (m,)."""
        keep = (self.confidence >= wanted.low) & (self.confidence <= wanted.high)
        if wanted.truth is not None:
            keep &= self.truth == wanted.truth
        if wanted.predicted is not None:
            keep &= self.predicted == wanted.predicted
        if wanted.only_wrong:
            keep &= (self.truth >= 0) & (self.truth != self.predicted)
        places = self._surest[keep[self._surest]]
        if needle := wanted.text.casefold().strip():
            places = np.array([place for place in places if needle in self._texts[place].casefold()], np.int64)
        return places if surest_first else places[::-1]


def _only(part: Scored, kept: np.ndarray) -> list[str]:
    return [text for text, keep in zip(part.text, kept.tolist(), strict=True) if keep]
