"""What computes logits: the packed forward on a CPU, transformers' own elsewhere.

An engine takes rows of token ids and gives logits; `build` picks the fastest faithful one for a
model and device, `logits_of` gives it any number of rows, in batches. Not for tokenizing or the order of labels
(`inference`), nor for doing with less than its precision (`cascade`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Protocol

import torch

from .labels import NUM_LABELS
from .packed import BertWeights, PackedBert
from .precision import resolve

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Batch = Sequence[Sequence[int]]
"""Token id rows, special tokens included, none empty."""


class Engine(Protocol):
    """Computes logits, float32 (sentences, labels), on any device; `tokens_a_batch` suits its caches.

    `side_by_side`: whether batches are faster each on a thread of its own than one after the other on all threads.
    """

    dtype: torch.dtype
    tokens_a_batch: int
    side_by_side: bool

    def __call__(self, ids: Batch) -> torch.Tensor: ...


def build(model: PreTrainedModel | BertWeights, device: torch.device, padding: int,
          precision: str = "auto") -> Engine:
    """An engine for `model` on `device` (BertWeights: a CPU); it may take over the model's weights.

    `padding` is the id of the padding token, `precision` one of `precision.PRECISIONS`. Raises
    EmotionError for another precision.
    """
    dtype = resolve(precision, device)
    if device.type == "cpu":
        weights = model if isinstance(model, BertWeights) else BertWeights.of(model)
        if weights is not None:
            return PackedBert(weights, dtype)
    return PaddedModel(model, device, padding, dtype)


def logits_of(engine: Engine, ids: Batch) -> torch.Tensor:
    """Logits of any number of rows, none empty: float32 (rows, labels) in their order, on the CPU."""
    if len(ids) == 1:
        return engine(ids).cpu()
    batches = list(length_batches([len(row) for row in ids], engine.tokens_a_batch))
    computed = compute(engine, [[ids[row] for row in rows] for rows in batches])
    if not computed:
        return torch.empty((0, NUM_LABELS))
    order = torch.tensor([row for rows in batches for row in rows])
    found = torch.cat(computed).cpu()  # read back last: a GPU computes meanwhile
    return torch.empty_like(found).index_copy_(0, order, found)


def length_batches(lengths: list[int], tokens: int) -> Iterator[list[int]]:
    """Row numbers in batches of similar length, each of at most `tokens` padded tokens."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[row] > tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def compute(engine: Engine, batches: Sequence[Batch]) -> list[torch.Tensor]:
    """The logits of each batch, float32 (its sentences, labels), in the order of `batches`.

    On a CPU threads that share a batch wait for each other in each of its hundreds of small steps, so where there
    is a batch for every thread, each has its own.
    """
    threads = torch.get_num_threads()
    if engine.side_by_side and 1 < threads <= len(batches):
        return list(_single_threads(threads).map(engine, batches))
    return [engine(batch) for batch in batches]


@cache
def _single_threads(count: int) -> ThreadPoolExecutor:
    """`count` threads in each of which torch computes alone."""
    started = threading.Barrier(count)

    def alone() -> None:
        torch.get_num_threads()  # a thread's first look at the number sets it to all threads: let it be now
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(count, "scoring", initializer=alone)
    list(pool.map(lambda place: None, range(count)))
    torch.set_num_threads(count)  # what `alone` said is also what threads that start later would take
    return pool


class PaddedModel:
    """transformers' forward over one padded batch: any architecture, any device."""

    side_by_side = False

    def __init__(self, model: PreTrainedModel, device: torch.device, padding: int, dtype: torch.dtype) -> None:
        self.model = model.to(device=device, dtype=dtype).eval()
        self.device, self.padding, self.dtype = device, padding, dtype
        self.tokens_a_batch = 4096 if device.type == "cpu" else 16384

    @torch.inference_mode()
    def __call__(self, ids: Batch) -> torch.Tensor:
        """Logits of token id rows, none empty; on a GPU the call returns before they are there."""
        width = max(len(row) for row in ids)
        batch = self._send(torch.tensor([[*row, *[self.padding] * (width - len(row))] for row in ids]))
        lengths = self._send(torch.tensor([len(row) for row in ids]))
        mask = (torch.arange(width, device=self.device) < lengths[:, None]).long()
        return self.model(input_ids=batch, attention_mask=mask).logits.float()

    def _send(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)
