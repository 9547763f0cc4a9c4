"""A BERT classifier's forward over packed tokens: no padding, fused products, weights laid out for the processor.

Linear layers see one flat list of tokens; only attention looks at sentences, those of equal
length together. Same weights and results as transformers' `BertForSequenceClassification`
(in fp32 within 1e-5). For CPUs; other devices and architectures are `engine`'s business.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu}
_PADDED = 1.25  # of a group's real tokens: what attention may compute in all
_ONEDNN = all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
_FUSES = torch.backends.cpu.get_cpu_capability() != "AVX2"  # where oneDNN's own GELU takes longer than torch's
_LONG, _FEW = 256, 32  # tokens
_VECTOR = 16  # float32 numbers of AVX-512


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
    Not for a `row` a sentence in fp32: one alone takes half the time without.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype, row: bool = False) -> None:
        self.bias = bias.detach().to(dtype, copy=True)
        self.weight = weight.detach().to(dtype, copy=True).contiguous()
        self.reordered = _ONEDNN and torch.backends.mkldnn.is_available()
        if dtype is torch.bfloat16:
            self.reordered = self.reordered and has_bfloat16()
        elif row:
            self.reordered = False
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
        """y + residual; another kind of product may overwrite x."""
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
    """Holds weights of its own in `dtype`, so the model it was made from can go. Threads may share it."""

    tokens_a_batch = 1024  # their widest states, some 6 MB, stay in the processor's last cache
    side_by_side = True
    rounds_tokens = True  # to one of a few numbers: oneDNN prepares its kernels anew for every other one

    def __init__(self, weights: BertWeights, dtype: torch.dtype) -> None:
        config, state = weights.config, weights.state

        def linear(name: str, dtype: torch.dtype = dtype, row: bool = False) -> Linear:
            return Linear(state[f"{name}.weight"], state[f"{name}.bias"], dtype, row)

        def qkv(name: str) -> Linear:
            """Of all three, the queries divided by √depth."""
            depth = config.hidden_size // config.num_attention_heads

            def together(kind: str) -> torch.Tensor:
                query, *others = (state[f"{name}.{part}.{kind}"] for part in ("query", "key", "value"))
                return torch.cat([query.float() * depth**-0.5, *others])

            return Linear(together("weight"), together("bias"), dtype)

        def norm(name: str) -> _Norm:
            return _Norm(state[f"{name}.weight"], state[f"{name}.bias"], config.layer_norm_eps)

        def layer(number: int) -> Layer:
            name, row = f"bert.encoder.layer.{number}", number == config.num_hidden_layers - 1
            return Layer(qkv(f"{name}.attention.self"), linear(f"{name}.attention.output.dense", row=row),
                         norm(f"{name}.attention.output.LayerNorm"), linear(f"{name}.intermediate.dense", row=row),
                         linear(f"{name}.output.dense", row=row), norm(f"{name}.output.LayerNorm"))

        self.dtype = dtype
        self.activation = config.hidden_act
        self.heads = config.num_attention_heads
        self.words = state["bert.embeddings.word_embeddings.weight"].detach().to(dtype)
        segment = state["bert.embeddings.token_type_embeddings.weight"][0].detach().float()
        self.positions = state["bert.embeddings.position_embeddings.weight"].detach().float() + segment
        self.embeddings_norm = norm("bert.embeddings.LayerNorm")
        self.layers = [layer(number) for number in range(config.num_hidden_layers)]
        self.pooler = linear("bert.pooler.dense", torch.float32, row=True)  # cheap, so exact
        self.classifier = linear("classifier", torch.float32, row=True)

    @torch.inference_mode()
    def __call__(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logits, float32 (sentences, labels), of token id rows (special tokens included, none empty).

        Any order and lengths; rows sorted by length are the fastest.
        """
        lengths = [len(row) for row in ids]
        extra = _extra(sum(lengths)) if self.rounds_tokens else 0
        sentences = _sentences(lengths, extra, self.heads, self.dtype)
        flat = _lengthened(itertools.chain.from_iterable(ids), extra)
        places = _lengthened(itertools.chain.from_iterable(map(range, lengths)), extra)
        firsts = _lengthened([0, *itertools.accumulate(lengths[:-1])], _extra(len(ids)))
        x = F.embedding(flat, self.words).float() + F.embedding(places, self.positions)
        x = self.embeddings_norm(x).to(self.dtype)
        for layer in self.layers[:-1]:
            attended = sentences.attention(layer.qkv(x).to(self.dtype))
            x = self._feed_forward(layer, attended, x)
        # The head reads each sentence's first token alone, so the last layer finishes no other.
        last = self.layers[-1]
        attended = sentences.attention(last.qkv(x).to(self.dtype))
        x = self._feed_forward(last, attended[firsts], x[firsts].to(self.dtype))
        return self.classifier(torch.tanh(self.pooler(x.float())))[: len(ids)]

    def _feed_forward(self, layer: Layer, attended: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        x = layer.attention_norm(layer.out.plus(attended, x))
        return layer.norm(layer.down.plus(layer.up(x, self.activation), x))


def _sentences(lengths: list[int], extra: int, heads: int, dtype: torch.dtype) -> _Alone | _Sentences:
    """`extra`: tokens after those of the sentences."""
    if len(lengths) == 1 and not extra and dtype is torch.float32:
        return _Alone(lengths[0], heads)
    return _Sentences(lengths, extra, heads, dtype)


class _Alone:
    """The attention inside one sentence: in float32 a batched product reads and writes its rows where they lie."""

    def __init__(self, length: int, heads: int) -> None:
        self.heads = heads
        self.fused = _is_fused(torch.float32, length, length)

    def attention(self, qkv: torch.Tensor) -> torch.Tensor:
        """As _Sentences', to the last digit."""
        query, key, value = qkv.view(len(qkv), 3, self.heads, -1).permute(1, 2, 0, 3)
        return _attention(query, key, value, None, self.fused).transpose(0, 1).reshape(len(qkv), -1)


class _Sentences:
    """Where the sentences lie in a flat list of tokens, and the attention inside each.

    Neighbours of similar length are a group, padded to the same width. One gathering of rows, a row being what a token
    has for one head, brings all queries, keys and values into place, another the results back.
    """

    def __init__(self, lengths: list[int], extra: int, heads: int, dtype: torch.dtype) -> None:
        self.heads = heads
        self.groups = list(_groups(lengths, dtype))
        self.masks = [None if group.mask is None else group.mask.repeat_interleave(heads, 0) for group in self.groups]
        part, head = torch.arange(3)[:, None, None, None], torch.arange(heads)[:, None]
        self.here = torch.cat([((group.tokens[:, None] * 3 + part) * heads + head).flatten() for group in self.groups])
        starts = itertools.accumulate((group.tokens.numel() * heads for group in self.groups[:-1]), initial=0)
        back = [start + group.places(heads) for start, group in zip(starts, self.groups, strict=True)]
        self.back = torch.cat([*back, torch.zeros(extra * heads, dtype=torch.long)])

    def attention(self, qkv: torch.Tensor) -> torch.Tensor:
        """(tokens, 3 × hidden) to (tokens, hidden)."""
        tokens, size = len(qkv), qkv.shape[1] // 3
        depth = size // self.heads
        rows = qkv.view(-1, depth).index_select(0, self.here)
        results, start = [], 0
        for group, mask in zip(self.groups, self.masks, strict=True):
            count = group.tokens.numel() * self.heads
            query, key, value = rows[start : start + 3 * count].view(3, -1, group.width, depth)
            results.append(_attention(query, key, value, mask, group.fused).view(-1, depth))
            start += 3 * count
        found = torch.cat(results) if len(results) > 1 else results[0]
        return found.index_select(0, self.back).view(tokens, size)


def _attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None,
               fused: bool) -> torch.Tensor:
    """softmax(Q Kᵀ + mask) V of (sentences × heads, tokens, depth), the queries divided by √depth."""
    if fused:
        hidden = mask if mask is None else mask[None]
        return F.scaled_dot_product_attention(query[None], key[None], value[None], hidden, scale=1.0)[0]
    keys = key.transpose(1, 2)
    scores = torch.bmm(query, keys) if mask is None else torch.baddbmm(mask, query, keys)
    return torch.bmm(softmax(scores).to(query.dtype), value)


def softmax(scores: torch.Tensor) -> torch.Tensor:
    """Along the last axis, in float32 or finer: it takes half the time of one in bfloat16.

    torch's kernel goes through rows shorter than a vector number by number, five times as slow as step by step.
    """
    if scores.shape[-1] >= _VECTOR:
        return scores.softmax(-1, torch.promote_types(scores.dtype, torch.float32))
    shares = scores.to(torch.promote_types(scores.dtype, torch.float32))
    shares = (shares - shares.amax(-1, keepdim=True)).exp_()
    return shares.div_(shares.sum(-1, keepdim=True))


class _Group(NamedTuple):
    """Neighbouring sentences whose attention is computed together, (sentences, width): `tokens` says which token is at
    each place, any where there is none; `real` where there is one and `mask`, (sentences, 1, width), hides the others
    as keys, both None where all are; `fused` whether torch's kernel is the faster one."""

    tokens: torch.Tensor
    fused: bool
    real: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    @property
    def width(self) -> int:
        return self.tokens.shape[1]

    def places(self, heads: int) -> torch.Tensor:
        """Where each token's results are among (sentences, heads, width): int64 (tokens × heads,)."""
        sentence, place = (torch.ones_like(self.tokens) if self.real is None else self.real).nonzero(as_tuple=True)
        return ((sentence[:, None] * heads + torch.arange(heads)) * self.width + place[:, None]).flatten()


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
    fused = _is_fused(dtype, stop - start, width)
    if dtype is torch.bfloat16 and not fused:
        width, count = _round(width), _round(count)
    if width == min(lengths) and count == len(lengths):
        return _Group(torch.arange(start, stop).view(count, width), fused)
    real = torch.arange(width) < torch.tensor(lengths + [0] * (count - len(lengths)))[:, None]
    tokens = torch.zeros(real.shape, dtype=torch.long)
    tokens[real] = torch.arange(start, stop)
    mask = torch.zeros(real.shape, dtype=dtype).masked_fill_(~real, -torch.inf)
    mask[len(lengths) :] = 0  # of sentences that aren't there: whatever comes out is left
    return _Group(tokens, fused, real, mask[:, None])


def _is_fused(dtype: torch.dtype, tokens: int, width: int) -> bool:
    """Whether torch's kernel takes less time than two batched products and a softmax, mostly half of its own.

    In float32 that must not hang on how many tokens there are: int8 makes of a difference in the last digit one in the
    third, and a sentence is to have the same numbers alone and among many.
    """
    return width >= _LONG if dtype is torch.float32 else tokens <= _FEW


def _round(size: int) -> int:
    """`size` or a little more, of few values: oneDNN keeps a kernel of a third of a megabyte for every product."""
    step = max(4, 2 ** (size.bit_length() - 3))
    return -(-size // step) * step


def _lengthened(values: Iterable[int], extra: int) -> torch.Tensor:
    """`values` and as many zeros as `extra` says, int64."""
    return torch.tensor([*values, *[0] * extra])


def _extra(size: int) -> int:
    """What makes one of a few sizes of `size`."""
    return 0 if size == 1 else -size % (8 if size <= 128 else 64)  # one sentence alone is what is asked for most
