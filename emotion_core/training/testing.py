"""Scores the test half during a run, as the live page would, and the figures of it."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist

from .. import evaluation
from ..engine import length_batches
from ..labels import NUM_LABELS
from .batches import Padding
from .parallel import all_sum


def test_figures(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """test_loss (mean cross-entropy), test_accuracy and test_macro_f1 of logits (n, 7)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
    matrix = evaluation.confusion_matrix(labels, logits.argmax(axis=1))
    return {"test_loss": float(losses.mean()), "test_accuracy": evaluation.accuracy(matrix),
            "test_macro_f1": evaluation.macro_f1(matrix)}


def score(model: torch.nn.Module, ids: list[list[int]], order: np.ndarray, pad_id: int, device: torch.device,
          tokens: int) -> np.ndarray:
    """Logits of tokenized sentences in fp32, as the live page computes them: float32 (n, 7), label order.

    Several processes share the sentences out. `tokens` is the most a forward pass takes, padding included.
    """
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    mine = list(range(rank, len(ids), world))
    logits = torch.zeros((len(ids), NUM_LABELS))
    pad = Padding(pad_id, ids)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for batch in length_batches([len(ids[row]) for row in mine], tokens):
            rows = [mine[place] for place in batch]
            inputs = pad([(ids[row], 0) for row in rows])
            inputs.pop("labels")
            found = model(**{name: value.to(device) for name, value in inputs.items()}).logits
            logits[rows] = found.float().cpu()
    model.train(was_training)
    return all_sum(logits.to(device)).cpu().numpy()[:, order]
