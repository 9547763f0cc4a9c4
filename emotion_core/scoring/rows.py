"""A table's rows through `predict_many`: which column is which, a survey before, scored rows after."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from ..inference import WINDOW, Skipped
from ..labels import LABELS, NUM_LABELS, find_label
from ..messages import EmotionError
from ..tables import TableFile
from ..text import clean

if TYPE_CHECKING:
    from ..inference import EmotionClassifier

NO_LABEL = -1
UNKNOWN_LABEL = -2
MOST_REMEMBERED = 200_000
"""Different sentences whose scores are kept for when they come again; at some 200 bytes each, 40 MB."""
MOST_MEASURED = 20_000
"""Sentences that a survey has tokenized at most."""
CPU_WINDOW = 256
"""Rows scored together where a window of `inference.WINDOW` would take long: progress and a stop wait for its end.

Fixed, not fitted to the machine's speed: the shell and the page give the same figures to the last digit."""
_MOST_UNKNOWN = 1000  # different unknown labels that are counted; more is a column of sentences


@dataclass(frozen=True)
class Columns:
    """Which column holds what; `mapping` gives labels that aren't ours one of the seven, or None to leave them out."""

    text: int
    label: int | None = None
    mapping: Mapping[str, str | None] = field(default_factory=dict)

    def truth(self, cell: object) -> int:
        """The label id of a cell, NO_LABEL for an empty one or a table without labels, UNKNOWN_LABEL for another."""
        written = label_text(cell)
        if self.label is None or not written:
            return NO_LABEL
        label = self.mapping.get(written) or find_label(written)
        return LABELS.index(label) if label else UNKNOWN_LABEL


@dataclass(frozen=True)
class Survey:
    """What a pass over the file found before anything is scored; rows each.

    `too_long` is of the first `MOST_MEASURED` sentences that might be; `measured` says how many those were.
    """

    rows: int
    empty: int
    duplicates: int
    undecodable: int
    too_long: int
    measured: int
    labels: Mapping[str, int]
    unknown: Mapping[str, int]
    short_rows: int
    long_rows: int


@dataclass(frozen=True)
class Scored:
    """Some consecutive rows, scored. `row` counts the data rows of the file from 1.

    truth: int8 (n,), see `Columns.truth`; logits and probabilities: float32 (n, 7), NaN where `reason`,
    a key of the message catalogue, says why the row was not scored; else it is "". truncated: bool (n,), whether
    the end of the sentence was longer than the model takes and was not read.
    """

    row: np.ndarray
    text: list[str]
    truth: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    reason: list[str]
    truncated: np.ndarray


def label_text(cell: object) -> str:
    """A label as it is written in the file, cleaned as sentences are: web pages give blanks that nobody sees."""
    return clean(str(cell))


def survey(table: TableFile, columns: Columns, classifier: EmotionClassifier | None = None) -> Survey:
    """Count what scoring will meet; with the `classifier` also the sentences that it would cut."""
    rows = empty = duplicates = undecodable = too_long = measured = 0
    seen: set[int] = set()
    labels: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for row in table.rows():
        rows += 1
        text = str(row[columns.text])
        undecodable += "\ufffd" in text
        cleaned = clean(text)
        if not cleaned:
            empty += 1
            continue
        key = hash(cleaned)
        duplicates += key in seen
        seen.add(key)
        if classifier and measured < MOST_MEASURED and len(cleaned) > classifier.max_length // 2:
            measured += 1
            too_long += classifier.truncates(cleaned)
        if columns.label is not None and (written := label_text(row[columns.label])):
            truth = columns.truth(written)
            if truth >= 0:
                labels[LABELS[truth]] += 1
            elif len(unknown) < _MOST_UNKNOWN or written in unknown:
                unknown[written] += 1
    return Survey(rows, empty, duplicates, undecodable, too_long, measured, dict(labels), dict(unknown.most_common()),
                  table.short, table.long)


def score(classifier: EmotionClassifier, table: TableFile, columns: Columns, after: int = 0) -> Iterator[Scored]:
    """The table's rows, scored, in order, a window at a time; the first `after` rows are passed over.

    A sentence that came before isn't scored again, unless `MOST_REMEMBERED` others lie between.
    """
    memory = _Memory()
    rows = islice(enumerate(table.rows(), 1), after, None)
    size = CPU_WINDOW if classifier.device.type == "cpu" else WINDOW
    while window := list(islice(rows, size)):
        texts = [str(row[columns.text]) for _, row in window]
        cleaned = [clean(text) for text in texts]
        memory.learn(classifier, dict.fromkeys(text for text in cleaned if text))
        logits, probabilities, truncated = memory.recall(cleaned)
        truth = [columns.truth(row[columns.label]) if columns.label is not None else NO_LABEL for _, row in window]
        yield Scored(np.array([number for number, _ in window]), texts, np.array(truth, np.int8), logits, probabilities,
                     ["" if text else "error.sentence.empty" for text in cleaned], truncated)


class _Memory:
    """What the model said of the sentences seen, by a 64-bit digest. Full, it starts anew: memory has an end, and what
    comes often is soon known again."""

    def __init__(self) -> None:
        self._place: dict[int, int] = {}
        self._values = np.empty((WINDOW, 2, NUM_LABELS), np.float32)
        self._truncated = np.empty(WINDOW, bool)

    def learn(self, classifier: EmotionClassifier, texts: Iterable[str]) -> None:
        texts = list(texts)
        if len(self._place) + len(texts) > MOST_REMEMBERED:
            self._place.clear()
        new = [text for text in texts if _digest(text) not in self._place]
        for text, result in zip(new, classifier.predict_many(new), strict=True):
            if isinstance(result, Skipped):
                continue
            place = len(self._place)
            if place == len(self._values):
                self._values = np.concatenate([self._values, np.empty_like(self._values)])
                self._truncated = np.concatenate([self._truncated, np.empty_like(self._truncated)])
            self._values[place] = result.logits, result.probabilities
            self._truncated[place] = result.truncated
            self._place[_digest(text)] = place

    def recall(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits, probabilities and whether it was truncated of each text; NaN and False for an empty one."""
        found = np.full((len(texts), 2, NUM_LABELS), np.nan, np.float32)
        truncated = np.zeros(len(texts), bool)
        for row, text in enumerate(texts):
            if text:
                place = self._place[_digest(text)]
                found[row], truncated[row] = self._values[place], self._truncated[place]
        return found[:, 0], found[:, 1], truncated


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def check_labels(found: Survey, columns: Columns) -> None:
    """Raise EmotionError where a label column was chosen and what it holds is no emotion; an empty one is no harm."""
    if columns.label is not None and not found.labels and found.unknown:
        names = ", ".join(name[:40] for name in list(found.unknown)[:5])
        raise EmotionError("error.table.labels_unknown", names=names)
