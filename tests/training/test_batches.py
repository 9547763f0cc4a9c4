"""Batches: padded to few widths, never wider than the longest sentence, nothing of the padding seen."""

from __future__ import annotations

import random

from emotion_core.training.batches import WIDTHS, Padding


def test_widths_are_few_and_padding_is_masked() -> None:
    draw = random.Random(0)
    ids = [[draw.randrange(5, 90) for _ in range(length)] for length in range(1, 63)]
    pad = Padding(3, ids)
    found = set()
    for row in ids:
        batch = pad([(row, 2), (ids[0], 6)])
        width = batch["input_ids"].shape[1]
        assert len(row) <= width < len(row) + WIDTHS
        assert batch["attention_mask"].sum(1).tolist() == [len(row), 1]
        assert batch["input_ids"][0].tolist() == row + [3] * (width - len(row))
        assert batch["labels"].tolist() == [2, 6]
        found.add(width)
    assert found == {*range(WIDTHS, 61, WIDTHS), 62}  # 64 would be more than any sentence has


def test_a_sentence_longer_than_was_known_is_not_cut() -> None:
    assert Padding(0, [[1, 2]])([([1, 2, 3, 4, 5], 0)])["input_ids"].tolist() == [[1, 2, 3, 4, 5]]
