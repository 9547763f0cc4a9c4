"""The notebook's optimizers and learning-rate schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .config import SGD_MOMENTUM, TrainingConfig

if TYPE_CHECKING:
    import torch

_NO_DECAY = ("bias", "LayerNorm.weight")


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Two groups of trainable parameters: with `weight_decay`, and biases and LayerNorm without (the notebook's)."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    decayed = [parameter for name, parameter in named if not name.endswith(_NO_DECAY)]
    plain = [parameter for name, parameter in named if name.endswith(_NO_DECAY)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def optimizer(model: torch.nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter, arXiv:1711.05101), or SGD with momentum and no decay, as the notebook tried."""
    import torch

    if config.optimizer == "sgd":
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return torch.optim.SGD(parameters, lr=config.learning_rate, momentum=SGD_MOMENTUM)
    return torch.optim.AdamW(parameter_groups(model, config.weight_decay), lr=config.learning_rate, fused=True)


def schedule(optimizer: torch.optim.Optimizer, config: TrainingConfig, steps: int) -> object:
    """Linear warm-up over `warmup_ratio` of the `steps`, then half a cosine to zero; step it once a batch."""
    from transformers import get_cosine_schedule_with_warmup

    return get_cosine_schedule_with_warmup(optimizer, int(steps * config.warmup_ratio), steps)
