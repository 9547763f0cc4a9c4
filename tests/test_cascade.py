"""int8 first, the exact engine for what is in doubt: who takes it, when, and how near it stays to the exact one."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from emotion_core import EmotionClassifier, cascade, direct, inference, int8, precision
from emotion_core.cascade import Cascade
from emotion_core.engine import Batch, PaddedModel
from emotion_core.packed import BertWeights, PackedBert
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
    found = Cascade(exact, Table(ROUNDED), margin).logits_of([[0], [1], [2], [3]])
    assert sorted(exact.asked) == doubtful
    for row in range(4):
        assert torch.equal(found[row], (EXACT if row in doubtful else ROUNDED)[row])


def test_the_sample_is_ours_and_whole() -> None:
    found = cascade.sample()
    assert len(found) == len(set(found)) == cascade.SAMPLE
    assert all(found)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Number formats may be chosen, and int8 is said to be fast here."""
    monkeypatch.delenv("EMOTION_PRECISION", raising=False)
    monkeypatch.setattr(precision, "int8_gain", lambda dtype: 2.0)
    monkeypatch.setattr(precision, "remembered", lambda name, measured: 0.0 if name == "bfloat16_gain" else measured())


@needs_int8
def test_the_bundled_model_keeps_its_emotions(free) -> None:
    texts = [line.split(",")[0] for line in
             (cascade.SAMPLES.with_name("test.csv")).read_text("utf-8-sig").splitlines()[1:] if '"' not in line][:600]
    fast, exact = EmotionClassifier.load(BUNDLED, "cpu"), EmotionClassifier.load(BUNDLED, "cpu", "float32")
    found, wanted = (np.array([one.probabilities for one in each.predict_many(texts)]) for each in (fast, exact))
    assert isinstance(fast._faster, Cascade)
    assert exact._faster is None
    assert (found.argmax(1) == wanted.argmax(1)).mean() >= 0.995
    assert 0 < np.abs(found - wanted).mean() < 0.005
    alone = np.array([fast.predict(text).probabilities for text in texts[:60]])  # one goes the way of many
    assert np.abs(alone - found[:60]).mean() < 0.5 * np.abs(wanted[:60] - found[:60]).mean()


@needs_int8
@pytest.mark.parametrize("limit", ["DIFFERENCE", "DOUBTFUL"])
def test_a_model_that_int8_is_too_rough_for_stays_exact(tiny, free, limit, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = tiny._tokenize(cascade.sample())[0]
    for name in ("DIFFERENCE", "DOUBTFUL"):
        monkeypatch.setattr(cascade, name, 1.0)
    assert isinstance(cascade.prepare(tiny._engine, ids), Cascade)
    monkeypatch.setattr(cascade, limit, 1e-9)
    assert cascade.prepare(tiny._engine, ids) is None


@needs_int8
def test_not_where_it_is_no_faster(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "int8_gain", lambda dtype: cascade.WORTH_IT - 0.01)
    assert cascade.prepare(tiny._engine, tiny._tokenize(cascade.sample())[0]) is None


def test_not_without_a_kernel_or_for_another_engine(tiny, free, monkeypatch: pytest.MonkeyPatch) -> None:
    padded = PaddedModel(torch.nn.Linear(1, 1), torch.device("cpu"), 0, torch.float32)
    assert cascade.prepare(padded, [[1]]) is None
    monkeypatch.setattr(cascade, "HAS_KERNEL", False)
    assert cascade.prepare(tiny._engine, [[1]]) is None


@needs_int8
def test_a_margin_is_measured_once_a_model(tiny_folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "int8_gain", lambda dtype: 2.0)
    measured: list[float] = []

    def margin(value: float) -> None:
        monkeypatch.setattr(cascade, "margin_of", lambda exact, ids: measured.append(value) or value)

    def other(change: Callable[[BertWeights], None]) -> PackedBert:
        state = {name: tensor.clone() for name, tensor in weights.state.items()}
        change(state)
        return PackedBert(BertWeights(weights.config, state), torch.float32)

    weights = direct.read_bert(tiny_folder)
    margin(0.125)
    for _ in range(2):
        assert cascade.prepare(other(lambda state: None), [[5]]).margin == 0.125
    assert measured == [0.125]
    margin(math.inf)  # too rough: remembered too
    tuned = [lambda state: state["classifier.weight"].add_(0.01),
             lambda state: state["bert.encoder.layer.0.intermediate.dense.bias"].add_(0.01)]
    for change in tuned * 2:
        assert cascade.prepare(other(change), [[5]]) is None
    assert measured == [0.125, math.inf, math.inf]
    monkeypatch.setattr(cascade, "DEVIATIONS", 4.0)
    assert cascade.prepare(other(lambda state: None), [[5]]) is None  # by another rule, measured anew
    assert len(measured) == 4


@pytest.fixture
def prepared(tiny_folder, free, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever the faster way is prepared."""
    calls: list[int] = []
    monkeypatch.setattr(inference, "WINDOW", 10)
    monkeypatch.setattr(cascade, "prepare", lambda engine, ids: calls.append(len(ids)))
    return calls


TEXTS = [f"{number}번 문장" for number in range(40)]


def test_prepared_once_and_not_for_nothing(tiny_folder, prepared) -> None:
    classifier = EmotionClassifier.load(tiny_folder, "cpu")
    assert len(list(classifier.predict_many(["", " "]))) == 2
    assert prepared == []
    assert len(list(classifier.predict_many(TEXTS))) == 40
    classifier.predict(TEXTS[0])
    assert prepared == [cascade.SAMPLE]


def test_a_warmed_up_classifier_has_nothing_left_to_prepare(tiny_folder, prepared) -> None:
    classifier = EmotionClassifier.load(tiny_folder, "cpu")
    classifier.warm_up()
    assert prepared == [cascade.SAMPLE]
    classifier.predict(TEXTS[0])
    assert prepared == [cascade.SAMPLE]


def test_a_named_precision_is_kept(tiny_folder, prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    list(EmotionClassifier.load(tiny_folder, "cpu", "float32").predict_many(TEXTS))
    monkeypatch.setenv("EMOTION_PRECISION", "float32")
    EmotionClassifier.load(tiny_folder, "cpu").predict(TEXTS[0])
    assert prepared == []


def test_threads_that_share_a_classifier_prepare_once(tiny_folder, prepared) -> None:
    classifier = EmotionClassifier.load(tiny_folder, "cpu")
    threads = [threading.Thread(target=lambda: list(classifier.predict_many(TEXTS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert prepared == [cascade.SAMPLE]


def test_results_of_the_faster_way_are_in_input_order(tiny_folder, free, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = EmotionClassifier.load(tiny_folder, "cpu")
    monkeypatch.setattr(cascade, "prepare", lambda engine, ids: Cascade(engine, engine, -1.0))
    texts = [text * (1 + number % 3) for number, text in enumerate(TEXTS)]
    for text, found in zip(texts, classifier.predict_many(texts), strict=True):
        assert found.text == text
        np.testing.assert_allclose(found.logits, classifier.predict(text).logits, atol=1e-5)
    assert isinstance(classifier._faster, Cascade)  # it was taken
