"""A BERT's products in int8: weights with a scale a channel, inputs with a scale a token, measured anew.

LLM.int8() calls that vector-wise (Dettmers et al. 2022, arXiv:2208.07339). oneDNN's kernel knows one scale for all
tokens, so it is told 1 and its sums are scaled afterwards. Near ties can come out the other way: `cascade` sees to it.
"""

from __future__ import annotations

import copy

import torch

from .packed import Layer, Linear, PackedBert

IN_PLACE = {"none": lambda y: y, "gelu": torch.ops.aten.gelu_, "relu": torch.relu_}
TOKENS_A_BATCH = 512  # sums are float32, twice as wide as bfloat16's
HAS_KERNEL = torch.backends.mkldnn.is_available() and all(
    hasattr(torch.ops.onednn, name) for name in ("qlinear_prepack", "qlinear_pointwise"))


def steps() -> int:
    """How many int8 numbers are used on each side of 0: 127, or 63 where the processor would overflow (AVX2 adds two
    products in 16 bits)."""
    weight = torch.ops.onednn.qlinear_prepack(torch.full((16, 64), 127, dtype=torch.int8), None)
    sums = _product(torch.full((1, 64), 255, dtype=torch.uint8), 0, weight, torch.ones(16), torch.zeros(16).long())
    return 127 if bool((sums == 255 * 127 * 64).all()) else 63


class Int8Linear:
    """As the `packed.Linear` it takes its weights from, with any float input and float32 out."""

    def __init__(self, exact: Linear, steps: int) -> None:
        weight = exact.plain().float()
        self.bias = exact.bias.float()
        scales = (_largest(weight) / 127).clamp_(min=1e-12)
        self.weight = torch.ops.onednn.qlinear_prepack((weight / scales).round_().to(torch.int8), None)
        self.scales = scales.flatten() / steps
        self.zeros = torch.zeros(len(weight), dtype=torch.long)
        self.steps = steps
        self.middle = torch.tensor(steps + 1.5)  # what 0 becomes; the half makes cutting off round

    def __call__(self, x: torch.Tensor, activation: str = "none") -> torch.Tensor:
        return IN_PLACE[activation](self._product(x).add_(self.bias))

    def plus(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """x Wᵀ + b + residual, float32 (tokens, channels); `x` is overwritten."""
        return self._product(x, x if x.dtype is torch.float32 else None).add_(residual).add_(self.bias)

    def _product(self, x: torch.Tensor, room: torch.Tensor | None = None) -> torch.Tensor:
        """x Wᵀ, float32 (tokens, channels). New memory costs more than what is written to it, so most is in place."""
        largest = _largest(x).float().clamp_(min=1e-12)
        shares = torch.div(x, largest, out=room)
        whole = torch.add(self.middle, shares, alpha=self.steps, out=shares).to(torch.uint8)
        return _product(whole, self.steps + 1, self.weight, self.scales, self.zeros).mul_(largest)


def with_int8(exact: PackedBert) -> PackedBert:
    """`exact` with int8 in its layers' products; the last layer's work on first tokens and the head stay exact."""
    count = steps()

    def rounded(layer: Layer, *names: str) -> Layer:
        return layer._replace(**{name: Int8Linear(getattr(layer, name), count) for name in names})

    *whole, last = exact.layers
    result = copy.copy(exact)
    result.layers = [*(rounded(layer, "qkv", "out", "up", "down") for layer in whole), rounded(last, "qkv")]
    result.tokens_a_batch = TOKENS_A_BATCH
    return result


def _largest(x: torch.Tensor) -> torch.Tensor:
    """The largest absolute value of each row, (rows, 1)."""
    return torch.maximum(x.amax(1, keepdim=True), x.amin(1, keepdim=True).neg_())


def _product(x: torch.Tensor, zero: int, weight: torch.Tensor, scales: torch.Tensor,
             zeros: torch.Tensor) -> torch.Tensor:
    """(x - zero) Wᵀ times `scales`, float32 (tokens, channels), of uint8 `x` and a weight packed for the kernel."""
    return torch.ops.onednn.qlinear_pointwise(x, 1.0, zero, weight, scales, zeros, None, 1.0, 0, torch.float32, "none",
                                              [], "")
