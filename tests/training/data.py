"""A small table of labelled sentences, made on the fly, as a run's data."""

from __future__ import annotations

import random
from pathlib import Path

from emotion_core.labels import LABELS
from emotion_core.scoring.rows import Columns
from emotion_core.tables import TableFile, detect
from emotion_core.training.data import DataChoice

SYLLABLES = "가나다라마바사아자차카타파하"


def write_table(file: Path, rows: int = 96, labels: tuple[str, ...] = LABELS[:4], seed: int = 0) -> Path:
    """A CSV of `rows` different sentences of 2 to 18 syllables; the first syllable tells the label."""
    rng = random.Random(seed)
    lines = ["Sentence,Emotion"]
    for row in range(rows):
        label = row % len(labels)
        rest = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 17)))
        lines.append(f"{SYLLABLES[label]}{rest}{row},{labels[label]}")
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def choice(file: Path) -> DataChoice:
    """`file` with its two columns."""
    return DataChoice(TableFile(detect(file)), Columns(0, 1), file.name)
