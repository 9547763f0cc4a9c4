"""The settings of a fine-tuning run; the one place where their defaults live.

The defaults are the notebook's (docs/notebook.md says where they come from).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from ..messages import EmotionError

OPTIMIZERS = ("adamw", "sgd")
SGD_LEARNING_RATE = 0.01
SGD_MOMENTUM = 0.9


@dataclass(frozen=True)
class TrainingConfig:
    """What one run is told. Raises EmotionError for a value that can't be trained with.

    max_length: tokens of a sentence, special ones included; longer ones are cut.
    batch_size: sentences of one optimizer step.
    warmup_ratio: share of all steps in which the learning rate rises to its full value; then it falls as a cosine.
    max_grad_norm: the gradient's norm is clipped to this.
    learning_rate: None stands for the optimizer's own: 5e-5 for AdamW, 0.01 for SGD.
    dropout: before the head.
    weight_decay: AdamW's, of all weights but biases and LayerNorm.
    test_size: share of the rows that is never trained on.
    subword_dropout: KoBERT only; 0 always takes the likeliest pieces, else see `KoBERTTokenizer.with_dropout`.
    """

    max_length: int = 64
    batch_size: int = 16
    epochs: int = 10
    warmup_ratio: float = 0.1
    max_grad_norm: float = 1.0
    optimizer: str = "adamw"
    learning_rate: float | None = None
    dropout: float = 0.5
    weight_decay: float = 0.01
    test_size: float = 0.2
    seed: int = 42
    subword_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise EmotionError("error.config.optimizer", found=self.optimizer, expected=", ".join(OPTIMIZERS))
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is None and name == "learning_rate":
                object.__setattr__(self, name, 5e-5 if self.optimizer == "adamw" else SGD_LEARNING_RATE)
            elif not (isinstance(value, int | float) and math.isfinite(value) and low <= value <= high):
                raise EmotionError("error.config.range", name=name, found=value, low=low, high=high)

    def with_changes(self, **changes: object) -> TrainingConfig:
        """A copy with some settings changed."""
        return dataclasses.replace(self, **changes)


_RANGES = (
    ("max_length", 4, 512), ("batch_size", 1, 4096), ("epochs", 1, 1000), ("warmup_ratio", 0, 1),
    ("max_grad_norm", 1e-6, 1e6), ("learning_rate", 1e-9, 10), ("dropout", 0, 0.95), ("weight_decay", 0, 1),
    ("test_size", 0.01, 0.9), ("seed", 0, 2**32 - 1), ("subword_dropout", 0, 0.9),
)
