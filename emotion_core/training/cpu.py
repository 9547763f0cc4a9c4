"""What makes a training step cheaper on a CPU: draws of dropout, and attention.

Each leaves a model's weights, names and configuration as they are, so what is saved is what any other way would save.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel


def prepare(model: PreTrainedModel, bf16: bool) -> None:
    """Change how `model`, which must be on a CPU, computes while training; `bf16` if under autocast to bfloat16."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout and child.p < 1:
                setattr(module, name, ByteDropout(child.p))
    if bf16:  # the backward pass of torch's fused attention can take ten times as long as that of plain products
        model.set_attn_implementation("eager")


class ByteDropout(nn.Module):
    """nn.Dropout (Srivastava et al. 2014) by one random byte an element: `p` is rounded to a multiple of 1/256.

    torch's own draws 32 bits an element, one after the other, which takes up to a tenth of a step. The bytes come from
    torch's generator too, so a seed and a checkpoint's random state mean what they always do.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._dropped = min(255, round(256 * p))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` with elements dropped and the others scaled up while training, else `x`."""
        if not self.training or not self._dropped:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self._dropped
        return x * kept * (256 / (256 - self._dropped))

    def extra_repr(self) -> str:
        return f"p={self.p}"
