"""The bundled model's recipe: the parts that can be checked without its data."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "recipes" / "bundled_model"))

import corpora
import e5_weights
import measure
import vocabulary


def test_a_block_of_four_bit_weights() -> None:
    nibbles = np.arange(32) % 16
    block = np.concatenate([np.array([0.5], "<f2").view(np.uint8), (nibbles[:16] | nibbles[16:] << 4).astype(np.uint8)])
    np.testing.assert_array_equal(e5_weights.dequantize(block), (nibbles - 8) * np.float32(0.5))


def test_a_file_that_is_not_the_model_is_refused(tmp_path) -> None:
    (tmp_path / "x.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match="E5S1"):
        e5_weights.read(tmp_path / "x.bin")


@pytest.mark.parametrize("table", [corpora.GOEMOTIONS, corpora.KOTE])
def test_every_label_maps_to_one_emotion(table: dict[str, list[str]]) -> None:
    names = [name for group in table.values() for name in group]
    assert len(names) == len(set(names))
    assert set(table) == set(corpora.LABELS)


def test_soft_targets(tmp_path) -> None:
    folder = tmp_path / "goemotions-ko"
    folder.mkdir()
    (folder / "label.txt").write_text("anger\nannoyance\njoy\ndisgust\n" + "\n".join(
        name for group in corpora.GOEMOTIONS.values() for name in group
        if name not in ("anger", "annoyance", "joy", "disgust")), "utf-8")
    (folder / "dev.tsv").write_text("화나\t0\n짜증 나는데 웃겨\t0,1,2\n\t0\n", "utf-8")
    rows = corpora.goemotions(tmp_path, "dev")
    assert rows.texts == ["화나", "짜증 나는데 웃겨"]
    assert list(rows.single) == [True, False]
    anger, happiness = corpora.LABELS.index("분노"), corpora.LABELS.index("행복")
    assert rows.targets[1][anger] == pytest.approx(0.8) and rows.targets[1][happiness] == pytest.approx(0.2)


def test_normaliser_keeps_lone_jamo_and_composes_nfd() -> None:
    pieces = [(piece, -1.0) for piece in ("<s>", "<pad>", "</s>", "<unk>", "▁", "\u110f", "\u1161", "카")]
    tokenizer = vocabulary.unigram(pieces)
    assert tokenizer.encode("ㅋㅏ", add_special_tokens=False).tokens == ["▁", "\u110f", "\u1161"]
    assert tokenizer.encode("\u110f\u1161", add_special_tokens=False).tokens == ["▁", "카"]


def test_expected_calibration_error() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10)
    assert measure.expected_calibration_error(probabilities, np.array([0] * 9 + [1])) == pytest.approx(0)
    assert measure.expected_calibration_error(probabilities, np.array([0] * 4 + [1] * 6)) == pytest.approx(0.5)
