"""The figures of a file that is being scored, and the report made from them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import evaluation
from ..labels import LABELS, NUM_LABELS
from ..messages import message
from .rows import UNKNOWN_LABEL, Scored


@dataclass
class Totals:
    """Figures that grow as rows are scored, without keeping the rows: (n, 7) floats are kept only of labelled ones."""

    rows: int = 0
    scored: int = 0
    skipped_count: int = 0
    skipped: list[tuple[int, str]] = field(default_factory=list)
    unknown_labels: int = 0
    truncated: int = 0
    _truth: list[np.ndarray] = field(default_factory=list)
    _probabilities: list[np.ndarray] = field(default_factory=list)

    def add(self, part: Scored) -> None:
        """Count `part`."""
        self.rows += len(part.row)
        for row, reason in zip(part.row, part.reason, strict=True):
            if reason:
                self.skipped_count += 1
                if len(self.skipped) < 100:
                    self.skipped.append((int(row), reason))
        self.scored = self.rows - self.skipped_count
        self.unknown_labels += int((part.truth == UNKNOWN_LABEL).sum())
        self.truncated += int(part.truncated.sum())
        judged = (part.truth >= 0) & ~np.isnan(part.logits[:, 0])
        self._truth.append(part.truth[judged])
        self._probabilities.append(part.probabilities[judged])

    @property
    def truth(self) -> np.ndarray:
        """Label ids of the rows that have one and were scored."""
        return np.concatenate(self._truth) if self._truth else np.empty(0, np.int8)

    @property
    def probabilities(self) -> np.ndarray:
        """Their probabilities, float32 (n, 7)."""
        return np.concatenate(self._probabilities) if self._probabilities else np.empty((0, NUM_LABELS), np.float32)

    def report(self, model: str, seconds: float, language: str) -> dict[str, object]:
        """The report as `python -m emotion_core evaluate` prints it."""
        matrix = evaluation.confusion_matrix(self.truth, self.probabilities.argmax(axis=1))
        labelled = matrix.sum() > 0
        return {
            "rows": self.rows,
            "scored": self.scored,
            "skipped": [{"row": row, "reason": message(reason, language)} for row, reason in self.skipped],
            "skipped_count": self.skipped_count,
            "truncated": self.truncated,
            "labelled": int(matrix.sum()),
            "unknown_labels": self.unknown_labels,
            "accuracy": evaluation.accuracy(matrix) if labelled else None,
            "macro_f1": evaluation.macro_f1(matrix) if labelled else None,
            "weighted_f1": evaluation.weighted_f1(matrix) if labelled else None,
            "intervals": {name: [found.low, found.high] for name, found in evaluation.intervals(matrix).items()}
            if labelled else None,
            "expected_calibration_error":
                evaluation.reliability(self.truth, self.probabilities).expected_calibration_error if labelled else None,
            "per_class": {one.label: {"precision": one.precision, "recall": one.recall, "f1": one.f1,
                                      "support": one.support} for one in evaluation.per_class(matrix)}
            if labelled else None,
            "labels": list(LABELS) if labelled else None,
            "confusion_matrix": matrix.tolist() if labelled else None,
            "model": model,
            "seconds": round(seconds, 3),
        }
