"""int8 products first, and the exact engine again for what they leave in doubt: a cascade of two engines.

A sentence is in doubt where its two highest logits lie nearer than DEVIATIONS times the standard deviation of what int8
does to that distance, measured once on sentences of ours with the model at hand. Not for the products (`int8`).
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import torch

from . import precision
from .engine import Batch, Engine, logits_of
from .int8 import HAS_KERNEL, LOWEST, with_int8
from .packed import PackedBert
from .text import clean

SAMPLES = Path(__file__).parent / "samples" / "train.csv"
SAMPLE = 64
DEVIATIONS = 3.0
WORTH_IT = 1.25
"""Taken where a product is this many times as fast: a part of the work is exact, and some of it done twice."""
DIFFERENCE = 0.005
"""The largest mean difference of a probability."""
DOUBTFUL = 0.2
"""The largest share of sentences to score again."""


@dataclass(frozen=True)
class Cascade:
    """Two engines of one model; `margin` is the distance of the two highest logits below which `exact` decides."""

    exact: Engine
    rounded: Engine
    margin: float

    @torch.inference_mode()
    def logits_of(self, ids: Batch) -> torch.Tensor:
        """As `engine.logits_of`."""
        found = logits_of(self.rounded, ids)
        doubtful = torch.nonzero(distance(found, found) < self.margin).flatten()
        if len(doubtful):
            found[doubtful] = logits_of(self.exact, [ids[row] for row in doubtful.tolist()])
        return found


def sample() -> list[str]:
    """Sentences of ours to measure int8's rounding on."""
    with SAMPLES.open(encoding="utf-8-sig", newline="") as lines:
        return [clean(row["Sentence"]) for row in itertools.islice(csv.DictReader(lines), SAMPLE)]


def prepare(exact: Engine, ids: Batch, worth_it: float = WORTH_IT) -> Cascade | None:
    """The faster way to what `exact` computes, or None where there is none: no kernel, not faster on this machine, or
    too rough for this model, judged by its logits of `ids` when it is met for the first time."""
    if not (isinstance(exact, PackedBert) and HAS_KERNEL) or precision.int8_gain(exact.dtype) < worth_it:
        return None
    margin = precision.remembered(f"int8_margin_{_fingerprint(exact)}", lambda: margin_of(exact, ids))
    return Cascade(exact, with_int8(exact), margin) if math.isfinite(margin) else None


def margin_of(exact: PackedBert, ids: Batch) -> float:
    """The distance of logits below which int8 leaves a sentence in doubt, measured on the sentences `ids`; infinite
    where it is too rough for this model."""
    wanted, found = logits_of(exact, ids), logits_of(with_int8(exact), ids)
    margin = DEVIATIONS * float((distance(found, found) - distance(wanted, found)).square().mean().sqrt())
    difference = float((wanted.softmax(1) - found.softmax(1)).abs().mean())
    doubtful = float((distance(found, found) < margin).float().mean())
    faithful = difference <= DIFFERENCE and doubtful <= DOUBTFUL  # False for NaN too
    return margin if faithful else math.inf


def distance(logits: torch.Tensor, ranked_by: torch.Tensor) -> torch.Tensor:
    """Between the two emotions that `ranked_by` has highest, float32 (rows,)."""
    two = logits.gather(1, ranked_by.topk(2, dim=1).indices)
    return two[:, 0] - two[:, 1]


def _fingerprint(exact: PackedBert) -> str:
    """Of all that a margin depends on. The biases and the head stand for the weights, as training moves them all."""
    digest = hashlib.sha256(repr((exact.dtype, LOWEST, SAMPLE, DEVIATIONS, DIFFERENCE, DOUBTFUL)).encode())
    linears = [linear for layer in exact.layers for linear in (layer.qkv, layer.out, layer.up, layer.down)]
    for tensor in (exact.classifier.plain(), *(linear.bias for linear in linears)):
        digest.update(tensor.float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
