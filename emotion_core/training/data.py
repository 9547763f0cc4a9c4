"""What a run learns from: a person's table, or the samples, as labelled sentences in two halves.

Reads tables and labels as scoring does (`scoring.rows`), so that a file means the same on every page. Not for
counting what is odd about them (`report`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..labels import LABELS, NUM_LABELS
from ..messages import EmotionError
from ..scoring.job import read_spec as read_table
from ..scoring.rows import NO_LABEL, Columns, label_text
from ..tables import TableFile, detect
from ..text import clean
from .config import TrainingConfig
from .split import split

SAMPLES = Path(__file__).parents[1] / "samples"
FEWEST_ROWS = 2
"""Of an emotion that occurs: one to train on and one to test on."""
_MOST_UNKNOWN = 1000


@dataclass(frozen=True)
class DataChoice:
    """The table to learn from and its columns; `test_table` is tested on instead of a split of the first."""

    table: TableFile
    columns: Columns
    title: str
    test_table: TableFile | None = None
    test_columns: Columns | None = None


@dataclass(frozen=True, eq=False)
class Sentences:
    """Labelled sentences. row: int64 (n,), data rows of their file from 1; text: cleaned; label: ids, int64 (n,)."""

    row: np.ndarray
    text: list[str]
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.text)

    def take(self, places: np.ndarray) -> Sentences:
        """Those at `places`, int64 (m,)."""
        return Sentences(self.row[places], [self.text[place] for place in places], self.label[places])

    @property
    def counts(self) -> np.ndarray:
        """How many have each label, int64 (7,)."""
        return np.bincount(self.label, minlength=NUM_LABELS)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The two halves, and what was left out: rows without text (`empty`), without a label or with an unknown one."""

    train: Sentences
    test: Sentences
    rows: int
    empty: int
    unlabelled: int
    unknown: Mapping[str, int]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of both halves' sentences and labels in order: the same data and split, the same fingerprint."""
        digest = hashlib.sha256()
        for half in (self.train, self.test):
            for text, label in zip(half.text, half.label.tolist(), strict=True):
                digest.update(f"{label}\t{text}\n".encode("utf-8", "surrogatepass"))
            digest.update(b"\0")
        return digest.hexdigest()

    def check(self) -> None:
        """Raise EmotionError where no model can be trained on it: nothing, one emotion, too few rows of one."""
        if not len(self.train) or not len(self.test):
            raise EmotionError("error.training.no_rows", rows=self.rows)
        total = self.train.counts + self.test.counts
        present = np.flatnonzero(total)
        if len(present) < 2:
            raise EmotionError("error.training.one_class", label=LABELS[int(present[0])])
        rare = [f"{LABELS[i]} {total[i]}" for i in present if total[i] < FEWEST_ROWS or not self.train.counts[i]]
        if rare:
            raise EmotionError("error.training.few_rows", labels=", ".join(rare))


def sample_set() -> DataChoice:
    """The sample sentences that come with the app: train.csv to learn from, test.csv to test on."""
    train, test = (TableFile(detect(SAMPLES / name)) for name in ("train.csv", "test.csv"))
    columns = Columns(train.columns.index("Sentence"), train.columns.index("Emotion"))
    other = Columns(test.columns.index("Sentence"), test.columns.index("Emotion"))
    return DataChoice(train, columns, "Emotion Studio samples", test, other)


def read(choice: DataChoice, config: TrainingConfig) -> TrainingData:
    """The sentences of `choice` in two halves. Raises EmotionError without a label column or with too few rows.

    Rows that can't be used are left out before the split; where there are none, it is the notebook's.
    """
    if choice.columns.label is None:
        raise EmotionError("error.training.no_labels")
    found, rows, left_out, unknown = _read(choice.table, choice.columns)
    if choice.test_table is None:
        train, test = split(len(found), config)
        return TrainingData(found.take(train), found.take(test), rows, left_out["empty"], left_out["unlabelled"],
                            unknown)
    if choice.test_columns is None or choice.test_columns.label is None:
        raise EmotionError("error.training.no_labels")
    test_half, more, also_out, also_unknown = _read(choice.test_table, choice.test_columns)
    return TrainingData(found, test_half, rows + more, left_out["empty"] + also_out["empty"],
                        left_out["unlabelled"] + also_out["unlabelled"], unknown + also_unknown)


def _read(table: TableFile, columns: Columns) -> tuple[Sentences, int, Counter[str], Counter[str]]:
    numbers, texts, labels = [], [], []
    left_out: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    rows = 0
    for rows, row in enumerate(table.rows(), 1):
        text, truth = clean(str(row[columns.text])), columns.truth(row[columns.label])
        if not text:
            left_out["empty"] += 1
        elif truth == NO_LABEL:
            left_out["unlabelled"] += 1
        elif truth < 0:
            written = label_text(row[columns.label])
            if len(unknown) < _MOST_UNKNOWN or written in unknown:
                unknown[written] += 1
        else:
            numbers.append(rows)
            texts.append(text)
            labels.append(truth)
    return Sentences(np.array(numbers, np.int64), texts, np.array(labels, np.int64)), rows, left_out, unknown


def write_choice(choice: DataChoice, folder: Path) -> dict[str, Any]:
    """Put the files of `choice` into `folder` and return what `read_choice` needs. Raises OSError."""
    spec: dict[str, Any] = {"title": choice.title, "tables": []}
    pairs = [(choice.table, choice.columns)]
    if choice.test_table is not None:
        pairs.append((choice.test_table, choice.test_columns or choice.columns))
    for name, (table, columns) in zip(("input", "test_input"), pairs, strict=False):
        suffix = table.source.path.suffix.lower()
        place = folder / f"{name}{suffix if suffix in _SUFFIXES else '.txt'}"
        copy(table.source.path, place)
        spec["tables"].append({"source": asdict(table.source) | {"path": place.name}, "columns": asdict(columns)})
    return spec


def read_choice(spec: Mapping[str, Any], folder: Path) -> DataChoice:
    """The choice that `write_choice` described. Raises what a damaged description or table raises."""
    (table, columns), *rest = [read_table(one, folder) for one in spec["tables"]]
    return DataChoice(table, columns, str(spec["title"]), *(rest[0] if rest else (None, None)))


_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".xls", ".ods", ".xlsm", ".xlsb")


def copy(source: Path, place: Path) -> None:
    """Copy a file whole and to the disk, not only to its cache."""
    shutil.copyfile(source, place)
    with place.open("rb+") as file:
        os.fsync(file.fileno())
