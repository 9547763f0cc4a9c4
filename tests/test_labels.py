"""The seven labels: order, aliases, colours."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from emotion_core.labels import COLOURS, ENGLISH, LABELS, display_name, find_label


def test_order_is_that_of_sklearn_label_encoder() -> None:
    from sklearn.preprocessing import LabelEncoder

    assert list(LabelEncoder().fit(list(reversed(LABELS))).classes_) == list(LABELS)


@pytest.mark.parametrize(
    ("name", "label"),
    [("슬픔", "슬픔"), (" 슬픔 ", "슬픔"), ("기쁨", "행복"), ("joy", "행복"), ("Happiness", "행복"), ("FEAR", "공포"),
     (0, "공포"), ("3", "슬픔"), ("3.0", "슬픔"), (6.0, "혐오"), ("LABEL_4", "중립"), ("３", "슬픔"),
     ("\u1112\u1162\u11bc\u1107\u1169\u11a8", "행복")],
)
def test_aliases(name: object, label: str) -> None:
    assert find_label(name) == label


@pytest.mark.parametrize("name", ["7", "-1", "", "우울", None, 3.5, "1.0.0", "nan"])
def test_unknown_names_are_no_label(name: object) -> None:
    assert find_label(name) is None


def test_names_in_both_languages() -> None:
    assert [display_name(label, "ko") for label in LABELS] == list(LABELS)
    assert [display_name(label, "en") for label in LABELS] == list(ENGLISH)


# Viénot, Brettel & Mollon 1999 (protan, deutan) and Brettel's tritan plane, on linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protan": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "deutan": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
    "tritan": np.array([[1.0, 0.1446, -0.1446], [0, 0.8595, 0.1405], [0, 0.8595, 0.1405]]),
}


def linear_rgb(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def cie_lab(rgb: np.ndarray) -> np.ndarray:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb.clip(0, 1)
    f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_stay_apart(kind: str) -> None:
    seen = {label: cie_lab(BLINDNESS[kind] @ linear_rgb(colour)) for label, colour in COLOURS.items()}
    assert set(seen) == set(LABELS)
    for one, other in itertools.combinations(LABELS, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 15, (kind, one, other)


@pytest.mark.parametrize("background", ["#FCFBFF", "#15131F"])
def test_colours_stand_out_from_both_themes(background: str) -> None:
    ground = cie_lab(linear_rgb(background))
    for label, colour in COLOURS.items():
        assert np.linalg.norm(cie_lab(linear_rgb(colour)) - ground) > 30, label
