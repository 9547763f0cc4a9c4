"""What a person should know of the data before a run: balance, lengths, duplicates, contradictions, leaks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import bases
from ..inference import CHARACTERS_A_TOKEN
from ..labels import LABELS
from ..messages import EmotionError
from .config import TrainingConfig
from .data import DataChoice, TrainingData, read

FEW = 10
"""Rows of an emotion in the test half below which its figures mean little."""
UNEVEN = 10
"""Times the most frequent emotion may outnumber the rarest before class weights are suggested."""
_LONGEST = 512
_EXAMPLES = 10


@dataclass(frozen=True, eq=False)
class DataReport:
    """What `data_report` found.

    balance: (label, rows to train on, rows to test on) of all seven; lengths: int64 (longest + 1,), how many
    sentences have i tokens, special ones included; cut: sentences longer than the chosen maximum; duplicates: rows
    whose sentence came before; conflicting: different sentences that carry several labels; overlap: rows of the test
    half whose sentence is also trained on. problem and warnings: keys of the catalogue with their values.
    """

    rows: int
    used: int
    empty: int
    unlabelled: int
    unknown: Mapping[str, int]
    train_rows: int
    test_rows: int
    balance: tuple[tuple[str, int, int], ...]
    lengths: np.ndarray
    cut: int
    longest: int
    duplicates: int
    conflicting: int
    conflict_examples: tuple[tuple[str, tuple[str, ...]], ...]
    overlap: int
    fingerprint: str
    problem: tuple[str, dict[str, Any]] | None
    warnings: tuple[tuple[str, dict[str, Any]], ...]


def data_report(choice: DataChoice, base: str, config: TrainingConfig) -> DataReport:
    """Read the data and the base's tokenizer and say what is in it. Raises EmotionError where either can't be had."""
    return report(read(choice, config), bases.load(base).tokenizer, config)


def report(data: TrainingData, tokenizer: Any, config: TrainingConfig) -> DataReport:
    """The report on data already read."""
    lengths = token_lengths(data.train.text + data.test.text, tokenizer)
    labels_of: dict[str, set[int]] = defaultdict(set)
    for half in (data.train, data.test):
        for text, label in zip(half.text, half.label.tolist(), strict=True):
            labels_of[text].add(label)
    conflicts = [(text, tuple(LABELS[i] for i in sorted(found))) for text, found in labels_of.items() if len(found) > 1]
    trained = set(data.train.text)
    overlap = sum(text in trained for text in data.test.text)
    used = len(data.train) + len(data.test)
    problem = None
    try:
        data.check()
    except EmotionError as error:
        problem = (error.key, error.values)
    return DataReport(
        rows=data.rows, used=used, empty=data.empty, unlabelled=data.unlabelled, unknown=data.unknown,
        train_rows=len(data.train), test_rows=len(data.test),
        balance=tuple(zip(LABELS, data.train.counts.tolist(), data.test.counts.tolist(), strict=True)),
        lengths=np.bincount(lengths, minlength=1), cut=int((lengths > config.max_length).sum()),
        longest=int(lengths.max(initial=0)), duplicates=used - len(labels_of), conflicting=len(conflicts),
        conflict_examples=tuple(conflicts[:_EXAMPLES]), overlap=overlap, fingerprint=data.fingerprint,
        problem=problem, warnings=tuple(_warnings(data, config, overlap, len(conflicts))))


def token_lengths(texts: list[str], tokenizer: Any) -> np.ndarray:
    """Tokens of each text, special ones included, int64 (n,); more than 512 is not counted further."""
    readable = [text[: _LONGEST * CHARACTERS_A_TOKEN] for text in texts]
    ids = tokenizer(readable, truncation=True, max_length=_LONGEST, verbose=False)["input_ids"] if readable else []
    return np.array([len(row) for row in ids], np.int64)


def _warnings(data: TrainingData, config: TrainingConfig, overlap: int,
              conflicts: int) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    total = data.train.counts + data.test.counts
    absent = [LABELS[i] for i in np.flatnonzero(total == 0)]
    if absent:
        found.append(("training.warning.absent", {"labels": ", ".join(absent)}))
    few = [LABELS[i] for i in np.flatnonzero((total > 0) & (data.test.counts < FEW))]
    if few:
        found.append(("training.warning.few", {"labels": ", ".join(few), "rows": FEW}))
    present = total[total > 0]
    if len(present) and not config.class_weights and present.max() > UNEVEN * present.min():
        found.append(("training.warning.uneven", {"times": round(float(present.max() / present.min()))}))
    if overlap:
        found.append(("training.warning.overlap", {"rows": overlap, "share": overlap / max(1, len(data.test))}))
    if conflicts:
        found.append(("training.warning.conflicts", {"count": conflicts}))
    return found
