"""A BERT's products in int8: weights with a scale a channel, inputs with a scale a token, measured anew.

LLM.int8() calls that vector-wise (Dettmers et al. 2022, arXiv:2208.07339). The product is torch's `_int_mm`, oneDNN's
GEMM, which takes any number of tokens without preparing a kernel for it and starts in a third of the time of
`onednn.qlinear_pointwise`. Near ties can come out the other way: `cascade` sees to it.
"""

from __future__ import annotations

import copy

import torch

from .packed import Layer, Linear, PackedBert

IN_PLACE = {"none": lambda y: y, "gelu": torch.ops.aten.gelu_, "relu": torch.relu_}
LOWEST = {"gelu": -0.17}
"""What an activation's result never lies below, so that few numbers need be kept for what is under 0."""
TOKENS_A_BATCH = 512  # sums are float32, twice as wide as bfloat16's
HAS_KERNEL = (torch.backends.mkldnn.is_available() and hasattr(torch, "_int_mm")
              and torch.backends.cpu.get_cpu_capability().startswith("AVX"))  # elsewhere torch goes number by number
_TINY = 1e-12
_LEAST_INT8 = -128
_ROUNDS = 1.5 * 2**23  # a float32 near it is whole, and its last bits are those of the integer that was added


def steps() -> int:
    """How many int8 numbers are used on each side of 0: 127, or 63 where the processor would overflow: AVX2 adds two
    products in 16 bits, of inputs that oneDNN counts from -128."""
    sums = torch._int_mm(*(torch.full(shape, 127, dtype=torch.int8) for shape in ((1, 64), (64, 16))))
    return 127 if bool((sums == 127 * 127 * 64).all()) else 63


class Int8Linear:
    """As the `packed.Linear` it takes its weights from, with any float input and float32 out.

    Inputs become 2 × `steps` + 1 numbers from -128 up: as many on each side of 0, or an eighth of them below it for
    inputs that are known not to lie under `lowest`.
    """

    def __init__(self, exact: Linear, steps: int, lowest: float | None = None) -> None:
        weight = exact.plain().float()
        self.bias = exact.bias.float()
        scales = (weight.abs().amax(1, keepdim=True) / 127).clamp_(min=_TINY)
        rounded = (weight / scales).round_().to(torch.int8)
        self.weight = rounded.t()
        self.lopsided = lowest is not None
        below = steps // 4 if self.lopsided else steps
        above = 2 * steps - below
        self.least = -lowest * above / below if self.lopsided else _TINY
        self.above = torch.tensor(float(above))
        zero = _LEAST_INT8 + below  # what 0 becomes
        self.shift = torch.full((weight.shape[1],), _ROUNDS + zero)  # a row: a number takes addcmul three times as long
        self.scales = scales.flatten() / above
        self.shift_back = -zero * rounded.sum(1) * self.scales

    def __call__(self, x: torch.Tensor, activation: str = "none") -> torch.Tensor:
        sums, largest = self._sums(x)
        return IN_PLACE[activation](torch.addcmul(self.bias, sums, largest, out=sums))

    def plus(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """x Wᵀ + b + residual, float32 (tokens, channels); `x` may be overwritten."""
        sums, largest = self._sums(x, may_overwrite=True)
        return torch.addcmul(residual, sums, largest, out=sums).add_(self.bias)

    def _sums(self, x: torch.Tensor, may_overwrite: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """Products that lack each token's scale, and these scales: float32 (tokens, channels), (tokens, 1).

        New memory costs more than what is written to it, so most is in place.
        """
        x = x.float()
        if self.lopsided:
            sizes, room = x, x if may_overwrite else torch.empty_like(x)
        else:
            sizes = room = x.abs()
        largest = sizes.amax(1, keepdim=True).clamp_(min=self.least)
        rounded = torch.addcmul(self.shift, x, self.above / largest, out=room).view(torch.int32).to(torch.int8)
        whole = torch._int_mm(rounded, self.weight)
        sums = whole.view(torch.float32).copy_(whole)
        return torch.addcmul(self.shift_back, sums, self.scales, out=sums), largest


def with_int8(exact: PackedBert) -> PackedBert:
    """`exact` with int8 in its layers' products; the last layer's work on first tokens and the head stay exact."""
    count, lowest = steps(), {"down": LOWEST.get(exact.activation)}

    def rounded(layer: Layer, *names: str) -> Layer:
        return layer._replace(**{name: Int8Linear(getattr(layer, name), count, lowest.get(name)) for name in names})

    *whole, last = exact.layers
    result = copy.copy(exact)
    result.layers = [*(rounded(layer, "qkv", "out", "up", "down") for layer in whole), rounded(last, "qkv")]
    result.tokens_a_batch = TOKENS_A_BATCH
    result.rounds_tokens = False
    return result
