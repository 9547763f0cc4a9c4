"""How good predictions are: figures from plain arrays. No model, no file, no drawing.

Truth and predictions are label ids, int (n,); probabilities float (n, 7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .labels import LABELS, NUM_LABELS

BINS = 15
RESAMPLES = 2000
CONFIDENCE = 0.95
_CURVE_POINTS = 200


@dataclass(frozen=True)
class Interval:
    """A figure with its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassFigures:
    """One emotion's figures; each 0 where it is undefined, as scikit-learn's `zero_division=0`."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Reliability:
    """Of each of BINS equal bins of the top probability: rows, mean probability, accuracy.

    float (BINS,), NaN where a bin is empty.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    expected_calibration_error: float


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Counts, int64 (7, 7): rows true, columns predicted, label-id order."""
    flat = np.bincount(truth.astype(np.int64) * NUM_LABELS + predicted, minlength=NUM_LABELS**2)
    return flat.reshape(NUM_LABELS, NUM_LABELS)


def accuracy(matrix: np.ndarray) -> float:
    """Share of right predictions; NaN for an empty matrix."""
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else float("nan")


def per_class(matrix: np.ndarray) -> list[ClassFigures]:
    """Precision, recall, F1 and support of all seven, label-id order."""
    right, predicted, true = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    precision, recall = _ratio(right, predicted), _ratio(right, true)
    f1 = _ratio(2 * right, predicted + true)
    return [ClassFigures(LABELS[i], float(precision[i]), float(recall[i]), float(f1[i]), int(true[i]))
            for i in range(NUM_LABELS)]


def macro_f1(matrix: np.ndarray) -> float:
    """Mean F1 of the emotions that occur in truth or predictions: scikit-learn's `average="macro"`."""
    return float(_macro(matrix[None])[0])


def weighted_f1(matrix: np.ndarray) -> float:
    """Mean F1 weighted by support: scikit-learn's `average="weighted"`."""
    return float(_weighted(matrix[None])[0])


def intervals(matrix: np.ndarray, seed: int = 0) -> dict[str, Interval]:
    """Accuracy, macro-F1 and weighted F1 with 95 % percentile bootstrap intervals (Efron 1979).

    Rows drawn with replacement give a confusion matrix that is multinomial, so it is drawn directly:
    the same distribution, at any number of rows.
    """
    total = int(matrix.sum())
    shares = matrix.ravel() / total
    draws = np.random.default_rng(seed).multinomial(total, shares, RESAMPLES)
    draws = draws.reshape(RESAMPLES, NUM_LABELS, NUM_LABELS)
    found = {
        "accuracy": (accuracy(matrix), np.trace(draws, axis1=1, axis2=2) / total),
        "macro_f1": (macro_f1(matrix), _macro(draws)),
        "weighted_f1": (weighted_f1(matrix), _weighted(draws)),
    }
    tail = (1 - CONFIDENCE) / 2
    return {name: Interval(value, *map(float, np.quantile(drawn, [tail, 1 - tail])))
            for name, (value, drawn) in found.items()}


def reliability(truth: np.ndarray, probabilities: np.ndarray) -> Reliability:
    """Reliability diagram and expected calibration error (Guo et al. 2017, arXiv:1706.04599)."""
    top = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == truth
    place = np.minimum((top * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, top, BINS) / count
        hits = np.bincount(place, right, BINS) / count
    filled = count > 0
    error = float(np.sum(np.abs(hits - confidence)[filled] * count[filled]) / max(1, len(truth)))
    return Reliability(count, confidence, hits, error)


def coverage_curve(truth: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(threshold, coverage, accuracy) when rows below the threshold are left out; float (up to 200,).

    The risk-coverage curve of selective classification (El-Yaniv & Wiener 2010), the surest rows first.
    """
    top = probabilities.max(axis=1)
    order = np.argsort(-top, kind="stable")
    right = (probabilities.argmax(axis=1) == truth)[order]
    hits = np.cumsum(right) / np.arange(1, len(right) + 1)
    last_of_threshold = np.flatnonzero(np.append(np.diff(top[order]) != 0, True))
    points = last_of_threshold[np.unique(np.linspace(0, len(last_of_threshold) - 1, _CURVE_POINTS).astype(int))]
    return top[order][points], (points + 1) / len(right), hits[points]


def covered(truth: np.ndarray, probabilities: np.ndarray, threshold: float) -> tuple[float, float]:
    """(coverage, accuracy) when rows whose top probability is below `threshold` are left out; NaN of no rows."""
    kept = probabilities.max(axis=1) >= threshold
    right = probabilities[kept].argmax(axis=1) == truth[kept]
    return float(kept.mean()), float(right.mean()) if kept.any() else float("nan")


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    return np.divide(over, under, out=np.zeros(np.broadcast(over, under).shape), where=under > 0)


def _f1(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(F1, predicted + true, true) of each class of each matrix, (m, 7)."""
    right = np.diagonal(matrices, axis1=1, axis2=2)
    predicted, true = matrices.sum(axis=1), matrices.sum(axis=2)
    return _ratio(2 * right, predicted + true), predicted + true, true


def _macro(matrices: np.ndarray) -> np.ndarray:
    f1, seen, _ = _f1(matrices)
    return _ratio(f1.sum(axis=1), (seen > 0).sum(axis=1))


def _weighted(matrices: np.ndarray) -> np.ndarray:
    f1, _, true = _f1(matrices)
    return _ratio((f1 * true).sum(axis=1), true.sum(axis=1))
