"""Adds sentences written for this project to `emotion_core/samples`, by the rules its README states.

    python recipes/bundled_model/add_sentences.py FILE.tsv …      # lines of `label TAB sentence`

A sentence goes to `test.csv` if the SHA-256 of its text, as a number, is divisible by 5, else to `train.csv`, so new
sentences never move old ones. One that is the same as an earlier one but for spaces and punctuation, or shares most of
its character trigrams with one, is left out.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import sys
import unicodedata
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from emotion_core.labels import LABELS  # noqa: E402
from emotion_core.text import clean  # noqa: E402

SAMPLES = ROOT / "emotion_core" / "samples"
NEAR = 0.6  # Jaccard similarity of the trigrams' sets


def bare(text: str) -> str:
    """`text` without what two writings of one sentence differ in: spaces and punctuation."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", text).casefold())


def is_test(text: str) -> bool:
    """Whether a sentence belongs to `test.csv`."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 5 == 0


class Known:
    """The sentences seen so far, and whether another is one of them or near to one."""

    def __init__(self) -> None:
        self._bare: set[str] = set()
        self._trigrams: list[set[str]] = []
        self._with: dict[str, list[int]] = defaultdict(list)

    def has(self, text: str) -> bool:
        """Whether `text`, or one near to it, was added before."""
        short = bare(text)
        if short in self._bare:
            return True
        mine = self._of(short)
        shared: dict[int, int] = defaultdict(int)
        for trigram in mine:
            for other in self._with[trigram]:
                shared[other] += 1
        return any(count / (len(mine) + len(self._trigrams[other]) - count) > NEAR for other, count in shared.items())

    def add(self, text: str) -> None:
        """Remember `text`."""
        short = bare(text)
        self._bare.add(short)
        mine = self._of(short)
        for trigram in mine:
            self._with[trigram].append(len(self._trigrams))
        self._trigrams.append(mine)

    @staticmethod
    def _of(short: str) -> set[str]:
        return {short[i : i + 3] for i in range(len(short) - 2)}


def read(path: Path) -> list[tuple[str, str]]:
    """(sentence, emotion) of each row of a samples file."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return [(row["Sentence"], row["Emotion"]) for row in csv.DictReader(lines)]


def write(path: Path, rows: list[tuple[str, str]]) -> None:
    """Write a samples file: UTF-8 with BOM, so that Korean Excel opens it."""
    with path.open("w", encoding="utf-8-sig", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows([("Sentence", "Emotion"), *rows])


def main() -> None:
    """Add the sentences of the files given; print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    rows = {name: read(SAMPLES / f"{name}.csv") for name in ("test", "train")}
    known = Known()
    for text, _ in rows["test"] + rows["train"]:
        known.add(text)
    added, left_out = 0, 0
    for file in parser.parse_args().files:
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            label, _, text = line.partition("\t")
            if label not in LABELS or not (text := clean(text)):
                raise SystemExit(f"{file}:{number}: expected `label TAB sentence`, found {line!r}")
            if known.has(text):
                left_out += 1
                continue
            known.add(text)
            rows["test" if is_test(text) else "train"].append((text, label))
            added += 1
    for name, content in rows.items():
        write(SAMPLES / f"{name}.csv", content)
    print(f"{added:,} added, {left_out:,} left out as near to an earlier one; "
          + ", ".join(f"{name}.csv has {len(content):,}" for name, content in rows.items()))


if __name__ == "__main__":
    main()
