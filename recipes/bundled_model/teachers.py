"""Soft targets for rows whose labels are noisy, from teachers that don't know those labels by heart.

One is a plain logistic regression on pieces of words, that never saw the row it judges; the other an encoder trained
for so few epochs that it has learned the labels' meaning but not their mistakes. Either may read the English original
of a row, which says more than its translation. Learning from such targets is distillation (Hinton et al. 2015,
arXiv:1503.02531), here to keep a model from learning noise.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from corpora import Labelled
from measure import softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.utils.class_weight import compute_sample_weight

FOLDS = 4


def regression(rows: Labelled) -> Pipeline:
    """A fitted logistic regression of a row's one emotion on its letters and words; rare emotions weigh more."""
    single = rows.take(rows.single)
    emotions = single.targets.argmax(axis=1)
    weights = compute_sample_weight("balanced", emotions) ** 0.5
    features = FeatureUnion([
        ("letters", TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), min_df=3, sublinear_tf=True)),
        ("words", TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), min_df=2, sublinear_tf=True))])
    model = make_pipeline(features, LogisticRegression(C=3, max_iter=40))
    return model.fit(single.texts, emotions, logisticregression__sample_weight=weights / weights.mean())


def out_of_fold(rows: Labelled) -> np.ndarray:
    """Log-probabilities (n, emotions) of every row by a regression fitted without it; all seven, where all occur."""
    fold = np.random.default_rng(0).integers(0, FOLDS, len(rows))
    found = np.empty((len(rows), len(np.unique(rows.targets.argmax(axis=1)))))
    for number in range(FOLDS):
        judged = rows.take(fold == number)
        found[fold == number] = regression(rows.take(fold != number)).predict_log_proba(judged.texts)
    return found


def blended(*teachers: tuple[float, np.ndarray]) -> np.ndarray:
    """Probabilities (n, 7): the geometric mean of what teachers say, each (its share, logits or log-probabilities)."""
    return softmax(sum(share * said for share, said in teachers))


def softened(rows: Labelled, taught: np.ndarray, gold: float) -> Labelled:
    """`rows` with the mean of their own targets, weight `gold`, and what the teachers say."""
    return replace(rows, targets=(gold * rows.targets + (1 - gold) * taught).astype(np.float32))
