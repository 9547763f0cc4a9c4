"""The data the recipe reads: public sets and the sentences written for this project.

Public text is read from a data folder and never copied into the repository:

    DATA/kote/{val,test}.tsv           github.com/searle-j/KOTE           (MIT)
    DATA/goemotions-ko/{train,dev,test}.tsv   github.com/monologg/GoEmotions-Korean (Apache-2.0)
    DATA/goemotions/{train,dev}.tsv    github.com/monologg/GoEmotions-pytorch, data/original/ (Apache-2.0): the English
                                       originals of the same rows in the same order, which a teacher alone reads
    DATA/nsmc/reviews.tsv.xz           github.com/e9t/nsmc, raw/          (CC0), `rating TAB text`

Both labelled sets allow several labels a row. A row becomes a soft target over
the seven emotions: each of its labels that maps to an emotion gives that
emotion one vote, and an emotion weighs as the square of its votes, so that the
one most labels agree on stands out. Rows with votes for one emotion only are "single-emotion
rows"; accuracy and macro-F1 are measured on those.
"""

from __future__ import annotations

import csv
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emotion_core.labels import LABELS
from emotion_core.text import clean

SAMPLES = Path(__file__).parents[2] / "emotion_core" / "samples"

# GoEmotions: the paper's own Ekman grouping (arXiv:2005.00547, section 5.3;
# ekman_mapping.json beside the original data), whose six plus neutral are our seven.
GOEMOTIONS = {
    "분노": ["anger", "annoyance", "disapproval"],
    "혐오": ["disgust"],
    "공포": ["fear", "nervousness"],
    "행복": ["joy", "amusement", "approval", "excitement", "gratitude", "love", "optimism", "relief", "pride",
           "admiration", "desire", "caring"],
    "슬픔": ["sadness", "disappointment", "embarrassment", "grief", "remorse"],
    "놀람": ["surprise", "realization", "confusion", "curiosity"],
    "중립": ["neutral"],
}

# KOTE: 44 labels. Mapped where a label's meaning falls inside one of the seven;
# the argument for each doubtful one is in README.md. Not mapped, because each is
# an attitude that goes with several of the seven: 비장함, 의심/불신, 우쭐댐/무시함,
# 부끄러움, 귀찮음, 재미없음, 부담/안_내킴, 지긋지긋, 신기함/관심, 깨달음.
KOTE = {
    "공포": ["공포/무서움", "불안/걱정"],
    "놀람": ["놀람", "경악", "당황/난처"],
    "분노": ["불평/불만", "화남/분노", "짜증", "어이없음"],
    "슬픔": ["슬픔", "안타까움/실망", "절망", "패배/자기혐오", "힘듦/지침", "죄책감", "서러움", "불쌍함/연민"],
    "중립": ["없음"],
    "행복": ["환영/호의", "감동/감탄", "고마움", "존경", "기대감", "뿌듯함", "편안/쾌적", "아껴주는", "즐거움/신남",
           "흐뭇함(귀여움/예쁨)", "행복", "기쁨", "안심/신뢰"],
    "혐오": ["역겨움/징그러움", "증오/혐오", "한심함"],
}


FINE = 28 + 44
"""GoEmotions' own labels, then KOTE's."""


@dataclass(frozen=True)
class Labelled:
    """Sentences with soft targets: `targets` is float32 (n, 7), rows sum to 1, label-id order.

    `fine` is float32 (n, FINE): 1 where a row has the label of its own set, 0 where it hasn't, NaN for the other set's.
    """

    texts: list[str]
    targets: np.ndarray
    fine: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def single(self) -> np.ndarray:
        """Bool (n,): rows whose whole weight is on one emotion."""
        return self.targets.max(axis=1) > 0.999

    def __add__(self, other: Labelled) -> Labelled:
        return Labelled([*self.texts, *other.texts], np.concatenate([self.targets, other.targets]),
                        np.concatenate([self.fine, other.fine]))

    def take(self, rows: np.ndarray) -> Labelled:
        """The given rows, by index or by mask."""
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Labelled([self.texts[i] for i in index], self.targets[index], self.fine[index])


def _labelled(path: Path, names: list[str], table: dict[str, list[str]], text_column: int, first: int) -> Labelled:
    emotion_of = {names.index(name): LABELS.index(label) for label, group in table.items() for name in group}
    texts, targets, fine = [], [], []
    with path.open(encoding="utf-8", newline="") as lines:
        for line in lines:
            row = next(csv.reader([line], delimiter="\t"))
            if len(row) <= text_column + 1:  # a quotation mark that nothing closes
                row = line.rstrip("\r\n").split("\t")
            votes = np.zeros(len(LABELS), np.float32)
            found = [int(label) for label in row[text_column + 1].split(",")]
            for label in found:
                if (emotion := emotion_of.get(label)) is not None:
                    votes[emotion] += 1
            text = clean(row[text_column])
            if text and votes.sum():
                texts.append(text)
                targets.append(votes**2 / (votes**2).sum())
                fine.append(np.full(FINE, np.nan, np.float32))
                fine[-1][first : first + len(names)] = 0
                fine[-1][[first + label for label in found]] = 1
    return Labelled(texts, np.stack(targets), np.stack(fine))


def goemotions(data: Path, split: str) -> Labelled:
    """GoEmotions-Korean, `split` one of train, dev, test."""
    folder = data / "goemotions-ko"
    names = (folder / "label.txt").read_text("utf-8").split()
    return _labelled(folder / f"{split}.tsv", names, GOEMOTIONS, 0, 0)


def originals(data: Path, split: str) -> Labelled:
    """GoEmotions in English, row by row what `goemotions` translates; `split` one of train, dev."""
    names = (data / "goemotions-ko" / "label.txt").read_text("utf-8").split()
    return _labelled(data / "goemotions" / f"{split}.tsv", names, GOEMOTIONS, 0, 0)


def kote(data: Path, split: str) -> Labelled:
    """KOTE, `split` one of val, test."""
    folder = data / "kote"
    names = (folder / "label.txt").read_text("utf-8").split("\n")
    return _labelled(folder / f"{split}.tsv", [name.strip() for name in names if name.strip()], KOTE, 1, 28)


def samples(split: str) -> Labelled:
    """The project's own sentences, `split` one of train, test."""
    with (SAMPLES / f"{split}.csv").open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return Labelled([clean(row["Sentence"]) for row in rows],
                    np.eye(len(LABELS), dtype=np.float32)[[LABELS.index(row["Emotion"]) for row in rows]],
                    np.full((len(rows), FINE), np.nan, np.float32))


def reviews(data: Path) -> tuple[list[str], np.ndarray]:
    """Film reviews and their star ratings, int (n,), 1 to 10."""
    texts, stars = [], []
    with lzma.open(data / "nsmc" / "reviews.tsv.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            rating, _, text = line.rstrip("\n").partition("\t")
            if text := clean(text):
                texts.append(text)
                stars.append(int(rating))
    return texts, np.array(stars)
