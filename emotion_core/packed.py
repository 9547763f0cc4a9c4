"""A BERT classifier's forward over packed tokens: no padding, fused products, weights laid out for the processor.

Linear layers see one flat list of tokens; only attention looks at sentences, those of equal
length together. Same weights and results as transformers' `BertForSequenceClassification`
(in fp32 within 1e-5). For CPUs; other devices and architectures are `engine`'s business.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu}
_PADDED = 1.25  # of a group's real tokens: what attention may compute in all
_ONEDNN = all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
_VECTOR = 16
_FUSES = torch.backends.cpu.get_cpu_capability() != "AVX2"  # where oneDNN's own GELU takes longer than torch's


def has_bfloat16() -> bool:
    """Whether this CPU has a bfloat16 product that is not emulated number by number."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


@dataclass(frozen=True)
class BertWeights:
    """A `BertForSequenceClassification`'s config and its weights by transformers' names, of any float dtype."""

    config: Any
    state: dict[str, torch.Tensor]

    @classmethod
    def of(cls, model: PreTrainedModel) -> BertWeights | None:
        """Those of `model`, or None where it is another kind than PackedBert computes."""
        if type(model).__name__ == "BertForSequenceClassification" and supported(model.config):
            return cls(model.config, model.state_dict())
        return None


def supported(config: Any) -> bool:
    """Whether `config`, a BERT's, is of the plain encoder that PackedBert computes."""
    return (
        config.model_type == "bert"
        and config.hidden_act in ACTIVATIONS
        and not getattr(config, "is_decoder", False)
        and not getattr(config, "add_cross_attention", False)
        and getattr(config, "position_embedding_type", None) in (None, "absolute")
        and config.num_hidden_layers > 0
        and config.hidden_size % config.num_attention_heads == 0
    )


class Linear:
    """y = x Wᵀ + b, optionally with the activation or a residual sum in the same pass.

    With oneDNN the weight is reordered once into the blocks its kernels read (torch's inductor
    does the same for a frozen graph), which on AMD doubles fp32 and speeds up small bf16 products.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype) -> None:
        self.bias = bias.detach().to(dtype)
        self.weight = weight.detach().to(dtype).contiguous()
        self.reordered = _ONEDNN and torch.backends.mkldnn.is_available()
        if dtype is torch.bfloat16:
            self.reordered = self.reordered and has_bfloat16()
        if self.reordered:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight)

    def __call__(self, x: torch.Tensor, activation: str = "none") -> torch.Tensor:
        if self.reordered:
            fused = activation if _FUSES else "none"
            y = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, fused, [], "none")
            if fused == activation:
                return y
        else:
            y = F.linear(x, self.weight, self.bias)
        return y if activation == "none" else ACTIVATIONS[activation](y)

    def plain(self) -> torch.Tensor:
        """The weight, dense (outputs, inputs)."""
        return self.weight.to_dense() if self.reordered else self.weight

    def plus(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        if self.reordered:
            return torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.weight, self.bias, "add")
        return F.linear(x, self.weight, self.bias) + residual


class _Norm:
    """LayerNorm; its scale and shift stay fp32, which torch mixes with a bf16 input."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, epsilon: float) -> None:
        self.arguments = (weight.shape, weight.detach().float(), bias.detach().float(), epsilon)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, *self.arguments)


class Layer(NamedTuple):
    qkv: Linear
    out: Linear
    attention_norm: _Norm
    up: Linear
    down: Linear
    norm: _Norm


class PackedBert:
    """Holds its own copy of the weights in `dtype`, so the model it was made from can go. Threads may share it."""

    tokens_a_batch = 1024  # their widest states, some 6 MB, stay in the processor's last cache
    side_by_side = True

    def __init__(self, weights: BertWeights, dtype: torch.dtype) -> None:
        config, state = weights.config, weights.state

        def linear(*names: str, dtype: torch.dtype = dtype) -> Linear:
            parts = [[state[f"{name}.{part}"] for name in names] for part in ("weight", "bias")]
            return Linear(torch.cat(parts[0]), torch.cat(parts[1]), dtype)

        def norm(name: str) -> _Norm:
            return _Norm(state[f"{name}.weight"], state[f"{name}.bias"], config.layer_norm_eps)

        def layer(name: str) -> Layer:
            attention = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
            return Layer(linear(*attention), linear(f"{name}.attention.output.dense"),
                         norm(f"{name}.attention.output.LayerNorm"), linear(f"{name}.intermediate.dense"),
                         linear(f"{name}.output.dense"), norm(f"{name}.output.LayerNorm"))

        self.dtype = dtype
        self.activation = config.hidden_act
        self.heads = config.num_attention_heads
        self.words = state["bert.embeddings.word_embeddings.weight"].detach().to(dtype)
        segment = state["bert.embeddings.token_type_embeddings.weight"][0].detach().float()
        self.positions = state["bert.embeddings.position_embeddings.weight"].detach().float() + segment
        self.embeddings_norm = norm("bert.embeddings.LayerNorm")
        self.layers = [layer(f"bert.encoder.layer.{number}") for number in range(config.num_hidden_layers)]
        self.pooler = linear("bert.pooler.dense", dtype=torch.float32)  # a row a sentence: cheap, so exact
        self.classifier = linear("classifier", dtype=torch.float32)

    @torch.inference_mode()
    def __call__(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logits, float32 (sentences, labels), of token id rows (special tokens included, none empty).

        Any order and lengths; rows sorted by length are the fastest.
        """
        lengths = [len(row) for row in ids]
        groups = list(_groups(lengths, self.dtype))
        flat = _rounded(list(itertools.chain.from_iterable(ids)))
        places = _rounded(list(itertools.chain.from_iterable(map(range, lengths))))
        firsts = _rounded([0, *itertools.accumulate(lengths[:-1])])
        x = F.embedding(flat, self.words).float() + F.embedding(places, self.positions)
        x = self.embeddings_norm(x).to(self.dtype)
        for layer in self.layers[:-1]:
            attended = self._attended(layer.qkv(x), groups)
            x = self._feed_forward(layer, attended, x)
        # The head reads each sentence's first token alone, so the last layer finishes no other.
        last = self.layers[-1]
        attended = self._attended(last.qkv(x), groups)
        x = self._feed_forward(last, attended[firsts], x[firsts].to(self.dtype))
        return self.classifier(torch.tanh(self.pooler(x.float())))[: len(ids)]

    def _feed_forward(self, layer: Layer, attended: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        x = layer.attention_norm(layer.out.plus(attended, x))
        return layer.norm(layer.down.plus(layer.up(x, self.activation), x))

    def _attended(self, qkv: torch.Tensor, groups: list[_Group]) -> torch.Tensor:
        """Self-attention inside each sentence: (tokens, 3 × hidden) to (tokens, hidden)."""
        qkv = qkv.to(self.dtype)
        size = qkv.shape[1] // 3
        attended, depth = qkv.new_zeros(len(qkv), size), size // self.heads
        for group in groups:
            part = qkv[group.start : group.stop]
            if group.take is not None:
                part = part.index_select(0, group.take)  # rows whole: ten times as fast as [...]
            query, key, value = part.view(-1, group.width, 3, self.heads, depth).permute(2, 0, 3, 1, 4)
            context = _attention(query, key, value, group.mask).transpose(1, 2)
            target = attended[group.start : group.stop]
            if group.keep is not None:
                torch.index_select(context.reshape(-1, size), 0, group.keep, out=target)
            else:
                target.view(context.shape).copy_(context)
        return attended


def _attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """softmax(Q Kᵀ / √depth + mask) V of (sentences, heads, tokens, depth).

    torch's fused kernel, except for bfloat16 in bulk: two batched products, the first of which adds the mask, take half
    its time.
    """
    if _is_fused(query.dtype, query.shape[0] * query.shape[2]):
        return F.scaled_dot_product_attention(query, key, value, mask)
    q, k, v = (part.flatten(0, 1) for part in (query, key, value))
    hidden = q.new_zeros(1) if mask is None else mask.expand(*query.shape[:2], 1, -1).flatten(0, 1)
    scores = torch.baddbmm(hidden, q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
    return torch.bmm(softmax(scores).to(q.dtype), v).view(query.shape)


def softmax(scores: torch.Tensor) -> torch.Tensor:
    """Along the last axis, in float32 or finer: it takes half the time of one in bfloat16.

    torch's kernel goes through rows shorter than a vector number by number, five times as slow as step by step.
    """
    if scores.shape[-1] >= _VECTOR:
        return scores.softmax(-1, torch.promote_types(scores.dtype, torch.float32))
    shares = scores.to(torch.promote_types(scores.dtype, torch.float32))
    shares = (shares - shares.amax(-1, keepdim=True)).exp_()
    return shares.div_(shares.sum(-1, keepdim=True))


def _is_fused(dtype: torch.dtype, tokens: int) -> bool:
    return dtype is torch.float32 or tokens <= 32


class _Group(NamedTuple):
    """Neighbouring sentences whose attention is computed together, as a batch of `width` tokens each.

    Where they aren't equally long, `take` are the rows of their tokens, padded, `mask` hides the
    padding as keys and `keep` are the places of real tokens in the padded batch.
    """

    start: int
    stop: int
    width: int
    take: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    keep: torch.Tensor | None = None


def _groups(lengths: list[int], dtype: torch.dtype) -> Iterator[_Group]:
    """Groups as large as their padding is small: a call of a kernel for every length costs more than some padding."""
    first = start = 0
    while first < len(lengths):
        stop, last, longest = start, first, lengths[first]
        while last < len(lengths):
            longest = max(longest, lengths[last])
            if longest * (last + 1 - first) > _PADDED * (stop - start + lengths[last]):
                break
            stop += lengths[last]
            last += 1
        yield _group(start, stop, lengths[first:last], dtype)
        first, start = last, stop


def _group(start: int, stop: int, lengths: list[int], dtype: torch.dtype) -> _Group:
    width, count = max(lengths), len(lengths)
    if not _is_fused(dtype, stop - start):
        width, count = _round(width), _round(count)
    if width == min(lengths) and count == len(lengths):
        return _Group(start, stop, width)
    real = torch.arange(width) < torch.tensor(lengths + [0] * (count - len(lengths)))[:, None]
    take = torch.zeros(real.shape, dtype=torch.long)
    take[real] = torch.arange(stop - start)
    mask = torch.zeros(real.shape, dtype=dtype).masked_fill_(~real, -torch.inf)
    mask[len(lengths) :] = 0  # of sentences that aren't there: whatever comes out is left
    return _Group(start, stop, width, take.flatten(), mask[:, None, None], real.flatten().nonzero().squeeze(1))


def _round(size: int) -> int:
    """`size` or a little more, of few values: oneDNN keeps a kernel of a third of a megabyte for every product."""
    step = max(4, 2 ** (size.bit_length() - 3))
    return -(-size // step) * step


def _rounded(values: list[int]) -> torch.Tensor:
    """`values`, lengthened by zeros to one of a few sizes: oneDNN prepares its kernels anew for every other one."""
    step = 8 if len(values) <= 128 else 64
    return torch.tensor(values + [0] * (-len(values) % step))
