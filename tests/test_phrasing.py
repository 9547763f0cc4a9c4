"""A prediction in words."""

from __future__ import annotations

import numpy as np
import pytest

from emotion_core import Prediction
from emotion_core.labels import LABELS
from emotion_core.phrasing import describe


def prediction(first: str, second: str, second_logit: float) -> Prediction:
    logits = np.full(7, -3.0, np.float32)
    logits[LABELS.index(first)], logits[LABELS.index(second)] = 4.0, second_logit
    return Prediction("문장", logits, np.exp(logits) / np.exp(logits).sum())


@pytest.mark.parametrize(
    ("first", "linked"),
    [("공포", "공포고"), ("놀람", "놀람이고"), ("분노", "분노고"), ("슬픔", "슬픔이고"), ("중립", "중립이고"),
     ("행복", "행복이고"), ("혐오", "혐오고")],
)
def test_particle_follows_the_final_consonant(first: str, linked: str) -> None:
    second = "놀람" if first != "놀람" else "공포"
    said = describe(prediction(first, second, 0.5), "ko")
    assert said == f"가장 크게 느껴지는 감정은 {linked}, 두 번째는 {second}입니다."


def test_one_emotion_when_the_second_logit_is_below_zero() -> None:
    assert describe(prediction("슬픔", "공포", -0.01), "ko") == "가장 크게 느껴지는 감정은 슬픔입니다."
    assert "fear" not in describe(prediction("슬픔", "공포", -0.01), "en")


def test_english() -> None:
    assert describe(prediction("슬픔", "공포", 0.0), "en") == "The strongest emotion is sadness, then fear."
