"""The model that ships: a plain Hugging Face folder that reads what people type."""

from __future__ import annotations

import csv
import json
import unicodedata

import numpy as np
import pytest
from transformers import AutoTokenizer, pipeline

from emotion_core import EmotionClassifier
from emotion_core.labels import LABELS
from tests.conftest import BUNDLED, ROOT


@pytest.fixture(scope="module")
def bundled() -> EmotionClassifier:
    return EmotionClassifier.load("bundled", device="cpu")


def samples(split: str) -> list[tuple[str, str]]:
    with (ROOT / "emotion_core" / "samples" / f"{split}.csv").open(encoding="utf-8-sig", newline="") as lines:
        return [(row["Sentence"], row["Emotion"]) for row in csv.DictReader(lines)]


def test_folder() -> None:
    config = json.loads((BUNDLED / "config.json").read_text("utf-8"))
    assert config["id2label"] == {str(i): label for i, label in enumerate(LABELS)}
    assert (BUNDLED / "model.safetensors").stat().st_size <= 70_000_000
    assert sum(file.stat().st_size for file in BUNDLED.iterdir()) <= 70_000_000
    assert "float16" in (config.get("dtype"), config.get("torch_dtype"))
    card = (BUNDLED / "README.md").read_text("utf-8")
    assert "{{" not in card and all(name in card for name in ("KOTE", "GoEmotions", "MIT", "Apache-2.0"))


def test_transformers_loads_it_without_our_code(bundled: EmotionClassifier) -> None:
    classify = pipeline("text-classification", model=str(BUNDLED), device="cpu")
    for sentence in ("아파요", "ㅋㅋㅋ개웃겨", "회의는 오후 3시에 시작합니다"):
        found, ours = classify(sentence)[0], bundled.predict(sentence).top
        assert (found["label"], found["score"]) == (ours.label, pytest.approx(ours.probability, abs=0.02))


@pytest.mark.parametrize(
    ("sentence", "label"),
    [("아파요", "슬픔"), ("ㅋㅋㅋ개웃겨", "행복"), ("회의는 오후 3시에 시작합니다", "중립"), ("무서워", "공포"),
     ("깜짝이야", "놀람"), ("화가 나서 미치겠어", "분노"), ("역겨워", "혐오"), ("너무 행복해요", "행복"),
     ("보고 싶어서 눈물이 나", "슬픔"), ("헐 대박 진짜?", "놀람"), ("내일 비가 온다고 합니다", "중립")],
)
def test_the_obvious(bundled: EmotionClassifier, sentence: str, label: str) -> None:
    assert bundled.predict(sentence).top.label == label


def test_samples_are_what_they_say() -> None:
    train, test = samples("train"), samples("test")
    for split, least in ((train, 240), (test, 50)):
        counts = {label: sum(emotion == label for _, emotion in split) for label in LABELS}
        assert min(counts.values()) >= least, counts
        assert {emotion for _, emotion in split} == set(LABELS)
    assert len(train) + len(test) >= 2100
    assert not {text for text, _ in train} & {text for text, _ in test}


def test_accuracy_on_sentences_it_was_not_trained_on(bundled: EmotionClassifier) -> None:
    texts, labels = zip(*samples("test")[::3], strict=True)  # in an order that has nothing to do with the sentences
    logits = np.stack([prediction.logits for prediction in bundled.predict_many(texts)])
    truth = np.array([LABELS.index(label) for label in labels])
    stated = json.loads((BUNDLED / "figures.json").read_text("utf-8"))["tests"]["emotion_core/samples/test.csv"]
    assert (logits.argmax(1) == truth).mean() == pytest.approx(stated["accuracy"], abs=0.012)


def test_tokenizer_takes_nothing_a_user_types_for_a_special_token() -> None:
    tokenizer = AutoTokenizer.from_pretrained(BUNDLED)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    ids = tokenizer("<s>안녕</s> <mask> <pad> <unk>")["input_ids"]
    assert not special & set(ids[1:-1]) and tokenizer.unk_token_id not in ids
    assert tokenizer(unicodedata.normalize("NFD", "행복해요"))["input_ids"] == tokenizer("행복해요")["input_ids"]
    assert tokenizer.unk_token_id not in tokenizer("ㅋㅋㅋ ㅠㅠ ㅎㅎ 꿔 😂")["input_ids"]


def test_a_literal_special_token_changes_little(bundled: EmotionClassifier) -> None:
    assert bundled.predict("</s> 너무 무서워요").top.label == "공포"


def test_a_long_sentence_leaves_no_state_behind(bundled: EmotionClassifier) -> None:
    first = bundled.predict("아파요").logits
    list(bundled.predict_many(["가" * 3000, "", "나"]))
    np.testing.assert_array_equal(first, bundled.predict("아파요").logits)
