"""Sentences as batches of tokens: similar lengths together, padded to the longest of each, the same at every resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""The label of a sentence that only fills a batch up; torch's cross-entropy leaves it out."""
POOL = 50
"""Batches that are drawn together and sorted by length, as transformers' LengthGroupedSampler does."""
WIDTHS = 4
"""A batch is as wide as a multiple of this: for every other width a processor's kernels are compiled and kept anew."""


class TokenRows:
    """Token ids and labels of sentences, as a torch map-style dataset; the row after the last is filling."""

    def __init__(self, ids: Sequence[Sequence[int]], labels: np.ndarray) -> None:
        self.ids = ids
        self.labels = labels

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, place: int) -> tuple[Sequence[int], int]:
        if place == len(self.ids):
            return self.ids[0], IGNORED
        return self.ids[place], int(self.labels[place])


class LengthGrouped:
    """The order of an epoch, a pure function of (seed, epoch): resuming needs no state of it.

    Rows are shuffled, cut into pools of POOL batches, sorted by length in each; then the batches are shuffled. The
    batch with the longest sentence comes first in the first epoch, so that too little memory shows at once. With
    several processes the last batch is filled up, since each must see as many.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, processes: int = 1) -> None:
        self.lengths = np.asarray(lengths)
        self._batch = batch_size
        self._seed = seed
        self._filled = processes > 1
        self.epoch = 0

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.lengths) // self._batch)

    def __len__(self) -> int:
        return self.batches * self._batch if self._filled else len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        for batch in self.plan(self.epoch):
            yield from batch.tolist()

    def plan(self, epoch: int) -> list[np.ndarray]:
        """Row numbers of each batch; only the last may be shorter."""
        rng = np.random.default_rng((self._seed, epoch))
        order = rng.permutation(len(self.lengths))
        pool = self._batch * POOL
        batches: list[np.ndarray] = []
        for start in range(0, len(order), pool):
            rows = order[start : start + pool]
            rows = rows[np.argsort(self.lengths[rows], kind="stable")]
            batches += [rows[place : place + self._batch] for place in range(0, len(rows), self._batch)]
        whole = [batch for batch in batches if len(batch) == self._batch]
        short = [batch for batch in batches if len(batch) < self._batch]
        mixed = [whole[place] for place in rng.permutation(len(whole))]
        if epoch == 0 and mixed:
            longest = max(range(len(mixed)), key=lambda place: int(self.lengths[mixed[place]].max()))
            mixed[0], mixed[longest] = mixed[longest], mixed[0]
        if self._filled:
            filling = len(self.lengths)
            short = [np.append(batch, np.full(self._batch - len(batch), filling)) for batch in short]
        return mixed + short


class Padding:
    """Makes a batch of `TokenRows` items: padded to its longest sentence or a little more, int64 (rows, width).

    Padding never makes a batch wider than the longest of all the sentences, `ids`, which the model is known to take.
    """

    def __init__(self, pad_id: int, ids: Sequence[Sequence[int]]) -> None:
        self._pad = pad_id
        self._longest = max(map(len, ids), default=0)

    def __call__(self, rows: Sequence[tuple[Sequence[int], int]]) -> dict[str, torch.Tensor]:
        import torch

        width = max(len(ids) for ids, _ in rows)
        width = max(width, min(-(-width // WIDTHS) * WIDTHS, self._longest))
        ids = np.full((len(rows), width), self._pad, np.int64)
        mask = np.zeros((len(rows), width), np.int64)
        for place, (tokens, _) in enumerate(rows):
            ids[place, : len(tokens)] = tokens
            mask[place, : len(tokens)] = 1
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask),
                "labels": torch.tensor([label for _, label in rows])}


def encode(tokenizer: Any, texts: list[str], max_length: int) -> list[list[int]]:
    """Token ids of each text, cut to `max_length`, special ones included."""
    return tokenizer(texts, truncation=True, max_length=max_length, verbose=False)["input_ids"] if texts else []
