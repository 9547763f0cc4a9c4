"""Dropout (Srivastava et al. 2014) by one random byte an element.

torch's own draws 32 bits an element, one after the other, which takes up to a tenth of a step on a CPU. The bytes come
from torch's generator too, so a seed and a checkpoint's random state mean what they always do.
"""

from __future__ import annotations

import torch
from torch import nn


def mask(p: float, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor | None:
    """What to multiply elements by, `dtype` (*shape): 0 for those that are dropped, else what makes up for them; None
    where all stay. `p` below 1 is rounded to a multiple of 1/256, at most 255."""
    if p >= 1:
        return torch.zeros(shape, dtype=dtype)
    dropped = min(255, round(256 * p))
    if not dropped:
        return None
    words = torch.empty(-(-shape.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[: shape.numel()].view(shape) >= dropped
    return kept.to(dtype).mul_(256 / (256 - dropped))


class ByteDropout(nn.Module):
    """As nn.Dropout."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` with elements dropped and the others scaled up while training, else `x`."""
        factors = mask(self.p, x.shape, x.dtype) if self.training else None
        return x if factors is None else x * factors

    def extra_repr(self) -> str:
        return f"p={self.p}"
