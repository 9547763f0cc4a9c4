"""Figures against scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from sklearn.metrics import confusion_matrix as sklearn_matrix

from emotion_core import evaluation


@pytest.mark.parametrize("classes", [7, 3])
def test_figures_are_scikit_learns(classes: int) -> None:
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(0, classes, 400), rng.integers(0, classes, 400)
    matrix = evaluation.confusion_matrix(truth, predicted)
    np.testing.assert_array_equal(matrix, sklearn_matrix(truth, predicted, labels=range(7)))
    assert evaluation.accuracy(matrix) == pytest.approx(accuracy_score(truth, predicted), abs=1e-12)
    assert evaluation.macro_f1(matrix) == pytest.approx(f1_score(truth, predicted, average="macro"), abs=1e-12)
    assert evaluation.weighted_f1(matrix) == pytest.approx(f1_score(truth, predicted, average="weighted"), abs=1e-12)
    expected = np.transpose(precision_recall_fscore_support(truth, predicted, labels=range(7), zero_division=0))
    found = [(one.precision, one.recall, one.f1, one.support) for one in evaluation.per_class(matrix)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    for interval in evaluation.intervals(matrix).values():
        assert interval.low < interval.value < interval.high
