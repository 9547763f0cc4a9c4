"""The classifier, on a tiny random model."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from emotion_core import EmotionClassifier, EmotionError, Prediction, Skipped, inference
from emotion_core.labels import LABELS
from emotion_core.packed import PackedBert

SENTENCES = [
    "아파요", "ㅋㅋㅋ개웃겨", "회의는 오후 3시에 시작합니다", "무서워서 잠이 안 와", "와 대박", "아",
    "너무 싫다 정말 싫어",
]


def test_logits_are_those_of_transformers(tiny: EmotionClassifier, tiny_folder) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    for sentence, found in zip(SENTENCES, tiny.predict_many(SENTENCES), strict=True):
        with torch.inference_mode():
            logits = model(**tokenizer(sentence, return_tensors="pt")).logits[0]
        np.testing.assert_allclose(found.logits, logits.numpy(), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found.probabilities, logits.softmax(0).numpy(), atol=1e-5)


def test_prediction_is_consistent(tiny: EmotionClassifier) -> None:
    found = tiny.predict("아파요")
    assert found.text == "아파요"
    assert found.logits.dtype == found.probabilities.dtype == np.float32
    assert found.logits.shape == found.probabilities.shape == (7,)
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-6)
    assert found.top.label == LABELS[found.logits.argmax()]
    assert [score.logit for score in found.ranked] == sorted(found.logits.tolist(), reverse=True)


@pytest.mark.parametrize(("logit", "named"), [(0.0, True), (0.01, True), (-0.01, False)])
def test_second_emotion_only_at_logit_zero_or_more(logit: float, named: bool) -> None:
    logits = np.array([-5, 3, logit, -5, -5, -5, -5], np.float32)
    second = Prediction("", logits, np.full(7, 1 / 7, np.float32)).second
    assert (second is not None) == named
    assert second is None or second.label == "분노"


def test_many_equal_one_by_one_in_input_order(tiny: EmotionClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "WINDOW", 5)
    monkeypatch.setattr(tiny._engine, "tokens_a_batch", 24, raising=False)
    sentences = [a + b for a, b in itertools.product(SENTENCES, repeat=2)]
    many = list(tiny.predict_many(sentences))
    assert [p.text for p in many] == sentences
    for sentence, found in zip(sentences, many, strict=True):
        np.testing.assert_allclose(found.logits, tiny.predict(sentence).logits, atol=1e-5)


def test_many_is_lazy(tiny: EmotionClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "WINDOW", 3)
    read = 0

    def source() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield f"문장 {read}"

    next(tiny.predict_many(source()))
    assert read == 3


def test_empty_is_an_error_for_one_and_a_skip_for_many(tiny: EmotionClassifier) -> None:
    with pytest.raises(EmotionError, match="비어"):
        tiny.predict(" \u200b ")
    first, second, third = tiny.predict_many(["아파요", "  ", "아파요"])
    assert second == Skipped("  ", "error.sentence.empty")
    np.testing.assert_array_equal(first.logits, third.logits)
    assert list(tiny.predict_many([])) == []
    assert all(isinstance(result, Skipped) for result in tiny.predict_many(["", " "]))


def test_identical_sentences_are_scored_once(tiny: EmotionClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    forward = PackedBert.__call__
    monkeypatch.setattr(PackedBert, "__call__", lambda self, ids: rows.extend(ids) or forward(self, ids))
    assert len(list(tiny.predict_many(["아파요", "아파요 ", "아\u200b파요", "슬퍼요"] * 10))) == 40
    assert len(rows) == 2


def test_long_text_is_cut_and_says_so(tiny: EmotionClassifier) -> None:
    fits, long = "가" * (tiny.max_length - 2), "가" * (tiny.max_length - 1)
    assert not tiny.predict(fits).truncated
    assert tiny.predict(long).truncated
    np.testing.assert_allclose(tiny.predict(long).logits, tiny.predict(fits).logits, atol=1e-5)
    huge = tiny.predict("나" * 1_000_000)
    assert huge.truncated and len(huge.text) == 1_000_000


def test_what_a_user_types_is_no_special_token(tiny: EmotionClassifier) -> None:
    ids, _ = tiny._tokenize(["[SEP][CLS][PAD] 안녕"])
    assert not {1, 2, 3} & set(ids[0][1:-1])
    assert (ids[0][0], ids[0][-1]) == (2, 3)


def test_threads_share_a_classifier(tiny: EmotionClassifier) -> None:
    expected = {sentence: tiny.predict(sentence).logits for sentence in SENTENCES}
    wrong = []

    def work(offset: int) -> None:
        for i in range(40):
            sentence = SENTENCES[(i + offset) % len(SENTENCES)]
            if not np.allclose(tiny.predict(sentence).logits, expected[sentence], atol=1e-5):
                wrong.append(sentence)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_tokenizer_without_special_tokens_is_cut_at_the_models_length(tiny_folder) -> None:
    plain = EmotionClassifier.load(tiny_folder, device="cpu")
    tokenizer, longest = plain._tokenizer, plain.max_length

    class Bare:
        def __call__(self, texts, verbose=True):
            return {"input_ids": [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]}

        def num_special_tokens_to_add(self) -> int:
            return 0

    plain._tokenizer = Bare()
    assert plain.predict("아 " * 3 * longest).truncated
    assert [len(row) for row in plain._tokenize(["아 " * 3 * longest])[0]] == [longest]
