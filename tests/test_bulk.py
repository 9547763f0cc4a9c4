"""The faster way for many sentences: who takes it, when, and how near it stays to the exact one."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from emotion_core import EmotionClassifier, bulk, inference, int8, precision
from emotion_core.bulk import Bulk
from emotion_core.engine import Batch, PaddedModel
from tests.conftest import BUNDLED

EXACT = torch.tensor([[0.0, 3.0, 1.0], [2.0, 2.1, 0.0], [5.0, 0.0, 4.9], [0.0, 1.0, 9.0]])
ROUNDED = torch.tensor([[0.1, 3.1, 1.1], [2.2, 2.1, 0.0], [4.9, 0.0, 5.0], [0.0, 1.1, 9.1]])

needs_int8 = pytest.mark.skipif(not int8.HAS_KERNEL, reason="this torch has no int8 kernel")


class Table:
    """An engine that knows the logits of rows by their only id."""

    dtype, tokens_a_batch, side_by_side = torch.float32, 8, False

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits, self.asked = logits, []

    def __call__(self, ids: Batch) -> torch.Tensor:
        self.asked += [row[0] for row in ids]
        return self.logits[[row[0] for row in ids]]


@pytest.mark.parametrize(("margin", "doubtful"), [(0.15, [1, 2]), (-1.0, []), (100.0, [0, 1, 2, 3])])
def test_only_near_ties_are_scored_again(margin: float, doubtful: list[int]) -> None:
    exact = Table(EXACT)
    found = Bulk(exact, Table(ROUNDED), margin).logits_of([[0], [1], [2], [3]])
    assert sorted(exact.asked) == doubtful
    for row in range(4):
        assert torch.equal(found[row], (EXACT if row in doubtful else ROUNDED)[row])


def test_the_sample_is_ours_and_whole() -> None:
    found = bulk.sample()
    assert len(found) == len(set(found)) == bulk.SAMPLE
    assert all(found)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Number formats may be chosen, and int8 is said to be fast here."""
    monkeypatch.delenv("EMOTION_PRECISION", raising=False)
    monkeypatch.setattr(precision, "int8_gain", lambda dtype: 2.0)
    monkeypatch.setattr(precision, "_remembered", lambda name, measured: 0.0)


@needs_int8
def test_the_bundled_model_keeps_its_emotions(free) -> None:
    texts = [line.split(",")[0] for line in
             (bulk.SAMPLES.with_name("test.csv")).read_text("utf-8-sig").splitlines()[1:] if '"' not in line][:600]
    fast, exact = EmotionClassifier.load(BUNDLED, "cpu"), EmotionClassifier.load(BUNDLED, "cpu", "float32")
    found, wanted = (np.array([one.probabilities for one in each.predict_many(texts)]) for each in (fast, exact))
    assert isinstance(fast._faster, Bulk)
    assert exact._faster is None
    assert (found.argmax(1) == wanted.argmax(1)).mean() >= 0.995
    assert 0 < np.abs(found - wanted).mean() < 0.005


@needs_int8
@pytest.mark.parametrize("limit", ["DIFFERENCE", "DOUBTFUL"])
def test_a_model_that_int8_is_too_rough_for_stays_exact(tiny, free, limit, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = tiny._tokenize(bulk.sample())[0]
    for name in ("DIFFERENCE", "DOUBTFUL"):
        monkeypatch.setattr(bulk, name, 1.0)
    assert isinstance(bulk.prepare(tiny._engine, ids), Bulk)
    monkeypatch.setattr(bulk, limit, 1e-9)
    assert bulk.prepare(tiny._engine, ids) is None


@needs_int8
def test_not_where_it_is_no_faster(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "int8_gain", lambda dtype: bulk.WORTH_IT - 0.01)
    assert bulk.prepare(tiny._engine, tiny._tokenize(bulk.sample())[0]) is None


def test_not_without_a_kernel_or_for_another_engine(tiny, free, monkeypatch: pytest.MonkeyPatch) -> None:
    padded = PaddedModel(torch.nn.Linear(1, 1), torch.device("cpu"), 0, torch.float32)
    assert bulk.prepare(padded, [[1]]) is None
    monkeypatch.setattr(bulk, "HAS_KERNEL", False)
    assert bulk.prepare(tiny._engine, [[1]]) is None


@pytest.fixture
def prepared(tiny_folder, free, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever the faster way is prepared; a window takes it from 5 sentences on."""
    calls: list[int] = []
    monkeypatch.setattr(inference, "BULK", 5)
    monkeypatch.setattr(inference, "WINDOW", 10)
    monkeypatch.setattr(bulk, "prepare", lambda engine, ids: calls.append(len(ids)))
    return calls


TEXTS = [f"{number}번 문장" for number in range(40)]


def test_prepared_once_and_only_for_many(tiny_folder, prepared) -> None:
    classifier = EmotionClassifier.load(tiny_folder, "cpu")
    assert len(list(classifier.predict_many([*TEXTS[:4], *TEXTS[:4]]))) == 8
    assert prepared == []  # the same sentence twice is one
    assert len(list(classifier.predict_many(TEXTS))) == 40
    assert prepared == [bulk.SAMPLE]


def test_a_named_precision_is_kept_for_many(tiny_folder, prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    list(EmotionClassifier.load(tiny_folder, "cpu", "float32").predict_many(TEXTS))
    monkeypatch.setenv("EMOTION_PRECISION", "float32")
    list(EmotionClassifier.load(tiny_folder, "cpu").predict_many(TEXTS))
    assert prepared == []


def test_threads_that_share_a_classifier_prepare_once(tiny_folder, prepared) -> None:
    classifier = EmotionClassifier.load(tiny_folder, "cpu")
    threads = [threading.Thread(target=lambda: list(classifier.predict_many(TEXTS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert prepared == [bulk.SAMPLE]


def test_results_of_the_faster_way_are_in_input_order(tiny_folder, free, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "BULK", 5)
    classifier = EmotionClassifier.load(tiny_folder, "cpu")
    monkeypatch.setattr(bulk, "prepare", lambda engine, ids: Bulk(engine, engine, -1.0))
    texts = [text * (1 + number % 3) for number, text in enumerate(TEXTS)]
    for text, found in zip(texts, classifier.predict_many(texts), strict=True):
        assert found.text == text
        np.testing.assert_allclose(found.logits, classifier.predict(text).logits, atol=1e-5)
    assert isinstance(classifier._faster, Bulk)  # it was taken
