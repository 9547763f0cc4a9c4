"""The settings of a fine-tuning run; the one place where their defaults live.

The defaults are the notebook's (docs/notebook.md says where they come from).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    dropout: before the head; on a CPU rounded to a multiple of 1/256, as a base's other dropout is.
    weight_decay: AdamW's, of all weights but biases and LayerNorm.
    test_size: share of the rows that is never trained on.
    seed: of the head, the order of the sentences and dropout; of the split too, unless `split_seed` says another.
    precision: "fp32", "bf16" (weights stay fp32, the forward pass is autocast) or "auto": bf16 where it is fast.
    class_weights: a sentence counts in inverse proportion to how often its emotion occurs in the training half.
    label_smoothing: share of the target spread over all emotions (Szegedy et al. 2016, arXiv:1512.00567).
    frozen_layers: so many lower layers, and the embeddings, keep the base's weights; 0 trains all.
    gradient_accumulation: parts in which a batch passes through the network; the numbers stay the same, memory falls.
    patience: epochs without a better `best_metric` after which the run ends; 0 never ends it early.
    best_metric: "macro_f1" or "loss" of the test half: the epoch that is best by it is the model that is kept.
    head: "fresh" starts the last layer anew, "keep" goes on with a classifier's own.
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
    precision: str = "auto"
    class_weights: bool = False
    label_smoothing: float = 0.0
    frozen_layers: int = 0
    gradient_accumulation: int = 1
    patience: int = 0
    best_metric: str = "macro_f1"
    head: str = "fresh"
    split_seed: int | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise EmotionError("error.config.optimizer", found=self.optimizer, expected=", ".join(OPTIMIZERS))
        for name, allowed in _CHOICES.items():
            if (found := getattr(self, name)) not in allowed:
                raise EmotionError("error.config.choice", name=name, found=found, expected=", ".join(map(str, allowed)))
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is None and name == "learning_rate":
                object.__setattr__(self, name, 5e-5 if self.optimizer == "adamw" else SGD_LEARNING_RATE)
            elif value is None and name == "split_seed":
                continue
            elif not (_is_number(value, name) and low <= value <= high):
                raise EmotionError("error.config.range", name=name, found=value, low=low, high=high)
        if self.batch_size % self.gradient_accumulation:
            raise EmotionError("error.config.accumulation", batch=self.batch_size, parts=self.gradient_accumulation)

    def with_changes(self, **changes: object) -> TrainingConfig:
        """A copy with some settings changed."""
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """All settings by name, as JSON takes them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> TrainingConfig:
        """The config of `as_dict`; names it doesn't know are passed over, so a newer version's run can be shown."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in settings.items() if name in known})


def _is_number(value: object, name: str) -> bool:
    """Whether `value` is a finite number, whole where the setting is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    return isinstance(value, int) or name not in _WHOLE


_RANGES = (
    ("max_length", 4, 512), ("batch_size", 1, 4096), ("epochs", 1, 1000), ("warmup_ratio", 0, 1),
    ("max_grad_norm", 1e-6, 1e6), ("learning_rate", 1e-9, 10), ("dropout", 0, 0.95), ("weight_decay", 0, 1),
    ("test_size", 0.01, 0.9), ("seed", 0, 2**32 - 1), ("subword_dropout", 0, 0.9), ("label_smoothing", 0, 0.9),
    ("frozen_layers", 0, 100), ("gradient_accumulation", 1, 4096), ("patience", 0, 1000), ("split_seed", 0, 2**32 - 1),
)
_WHOLE = frozenset({"max_length", "batch_size", "epochs", "seed", "frozen_layers", "gradient_accumulation", "patience",
                    "split_seed"})
_CHOICES: dict[str, tuple[object, ...]] = {
    "precision": ("auto", "fp32", "bf16"), "best_metric": ("macro_f1", "loss"), "head": ("fresh", "keep"),
    "class_weights": (False, True),
}

PRESETS: dict[str, TrainingConfig] = {
    "notebook": TrainingConfig(),
    # Three epochs are where a fine-tuned BERT is near its best (Devlin et al. 2019, A.3: 2 to 4); bigger batches waste
    # less of a processor, and the learning rate grows with them.
    "quick": TrainingConfig(batch_size=32, epochs=3, learning_rate=8e-5, dropout=0.1, max_length=48, patience=1),
}
