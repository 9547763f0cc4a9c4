"""A BERT's encoder layer as one operation with a backward pass by hand, for training on a CPU.

Same weights, names and result as transformers' `BertLayer`. What it saves: under autocast every state is kept in
float32 and cast for each product, forward and backward, and each small step is an operation of its own; here states are
of the products' type from layer to layer and weights are cast once a step. LayerNorm and softmax compute in float32
inside, and gradients of weights add up in it, as ever.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.nn import functional
from transformers.models.bert.modeling_bert import BertLayer

from ..packed import softmax
from . import dropout

aten = torch.ops.aten
Grads = tuple[torch.Tensor | None, ...]


class HandLayer(BertLayer):
    """A `BertLayer` that computes so while training, its products in the type that autocast names or its input has."""

    first_only: bool

    @classmethod
    def take_over(cls, layer: BertLayer, first_only: bool) -> None:
        """Make `layer`, of an encoder that `packed.supported` names, one of this class; its weights stay its own.

        `first_only` is for an encoder's last: a BERT's head reads the first token's state alone, so five sixths of the
        layer's products, forward and backward, change nothing, and it gives (sentences, 1, hidden).
        """
        layer.__class__, layer.first_only = cls, first_only

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None,
                *args: Any, **kwargs: Any) -> torch.Tensor:
        """(sentences, tokens, hidden) of any float type to as many of the products' type."""
        if not self.training:
            return super().forward(hidden_states, attention_mask, *args, **kwargs)
        attention, output = self.attention, self.output
        products = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else hidden_states.dtype
        how = How(products, self.first_only, attention.self.num_attention_heads, output.LayerNorm.eps,
                  attention.self.config.hidden_act, attention.self.dropout.p, attention.output.dropout.p,
                  output.dropout.p)
        parts = (attention.self.query, attention.self.key, attention.self.value, attention.output.dense,
                 attention.output.LayerNorm, self.intermediate.dense, output.dense, output.LayerNorm)
        return _Layer.apply(how, hidden_states, attention_mask, *(part.weight for part in parts),
                            *(part.bias for part in parts))


class How(NamedTuple):
    """What a layer's computation depends on besides its inputs."""

    products: torch.dtype
    first_only: bool
    heads: int
    epsilon: float
    activation: str
    attention_dropout: float
    attended_dropout: float
    output_dropout: float


class _Layer(torch.autograd.Function):
    """Letters: x the states, q, k, v, p, c attention's queries, keys, values, shares and result, u, a the wide states
    before and after the activation, kept what dropout multiplies by; g before a name is the loss's gradient by it."""

    @staticmethod
    def forward(ctx: Any, how: How, states: torch.Tensor, mask: torch.Tensor | None, *weights: torch.Tensor,
                ) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return _forward(ctx, how, states, mask, weights)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Grads:
        with torch.autocast("cpu", enabled=False):
            return _backward(ctx, gradient)


def _forward(ctx: Any, how: How, states: torch.Tensor, mask: torch.Tensor | None,
             weights: tuple[torch.Tensor, ...]) -> torch.Tensor:
    wq, wk, wv, wo, norm1, wu, wd, norm2, bq, bk, bv, bo, shift1, bu, bd, shift2 = weights
    sentences, _, size = states.shape
    x = states.to(how.products).reshape(-1, size)
    rows = x.view(states.shape)[:, 0] if how.first_only else x  # those that the layer finishes
    wq, wkv, wo, wu, wd = (_joined(how.products, *parts) for parts in ((wq,), (wk, wv), (wo,), (wu,), (wd,)))
    bq, bkv, bo, bu, bd = (_joined(how.products, *parts) for parts in ((bq,), (bk, bv), (bo,), (bu,), (bd,)))

    q = _by_head(torch.addmm(bq, rows, wq.t()), sentences, 1, how.heads)[0]
    k, v = kv = _by_head(torch.addmm(bkv, x, wkv.t()), sentences, 2, how.heads)
    scores = torch.baddbmm(_added(mask, q), q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
    p = softmax(scores)
    kept = dropout.mask(how.attention_dropout, p.shape, how.products)
    seen = _times(p.to(how.products), kept)
    c = _by_token(torch.bmm(seen, v)[None], sentences)

    kept1 = dropout.mask(how.attended_dropout, rows.shape, x.dtype)
    sum1 = _plus(rows, torch.addmm(bo, c, wo.t()), kept1)
    h, mean1, scale1 = aten.native_layer_norm(sum1, [size], norm1, shift1, how.epsilon)
    u = torch.addmm(bu, h, wu.t())
    a = functional.gelu(u) if how.activation == "gelu" else u.relu()
    kept2 = dropout.mask(how.output_dropout, rows.shape, x.dtype)
    sum2 = _plus(h, torch.addmm(bd, a, wd.t()), kept2)
    y, mean2, scale2 = aten.native_layer_norm(sum2, [size], norm2, shift2, how.epsilon)

    ctx.how, ctx.shape = how, states.shape
    ctx.save_for_backward(x, wq, wkv, wo, wu, wd, norm1, shift1, norm2, shift2, q, kv, p, kept, seen, c, kept1, sum1,
                          mean1, scale1, h, u, a, kept2, sum2, mean2, scale2)
    return y.view(sentences, -1, size)


def _backward(ctx: Any, gradient: torch.Tensor) -> Grads:
    (x, wq, wkv, wo, wu, wd, norm1, shift1, norm2, shift2, q, kv, p, kept, seen, c, kept1, sum1,
     mean1, scale1, h, u, a, kept2, sum2, mean2, scale2) = ctx.saved_tensors
    how, (sentences, _, size) = ctx.how, ctx.shape
    k, v = kv
    rows = x.view(ctx.shape)[:, 0] if how.first_only else x
    whole = [True, True, True]

    gy = gradient.to(how.products).reshape(-1, size)
    gsum2, gnorm2, gshift2 = aten.native_layer_norm_backward(gy, sum2, [size], mean2, scale2, norm2, shift2, whole)
    gdown = _times(gsum2, kept2)
    ga = gdown @ wd
    gu = aten.gelu_backward(ga, u) if how.activation == "gelu" else ga * (u > 0)
    gh = torch.addmm(gsum2, gu, wu)
    gsum1, gnorm1, gshift1 = aten.native_layer_norm_backward(gh, sum1, [size], mean1, scale1, norm1, shift1, whole)
    gout = _times(gsum1, kept1)
    gc = gout @ wo

    gc = _by_head(gc, sentences, 1, how.heads)[0]
    weighed = _times(torch.bmm(gc, v.transpose(1, 2)), kept) * p
    gscores = torch.addcmul(weighed, p, weighed.sum(-1, keepdim=True), value=-1).mul_(q.shape[-1] ** -0.5).to(q.dtype)
    gkv = torch.empty_like(kv)
    torch.bmm(gscores.transpose(1, 2), q, out=gkv[0])
    torch.bmm(seen.transpose(1, 2), gc, out=gkv[1])
    gkv = _by_token(gkv, sentences)
    gq = _by_token(torch.bmm(gscores, k)[None], sentences)

    grows = torch.addmm(gsum1, gq, wq)
    if how.first_only:
        gx = gkv @ wkv
        gx.view(ctx.shape)[:, 0] += grows
    else:
        gx = torch.addmm(grows, gkv, wkv)

    products = ((gq, rows, 1), (gkv, x, 2), (gout, c, 1), (gu, h, 1), (gdown, a, 1))
    (gwq,), (gwk, gwv), (gwo,), (gwu,), (gwd,) = (
        (g.t() @ given).to(norm1.dtype).chunk(count) for g, given, count in products)
    (gbq,), (gbk, gbv), (gbo,), (gbu,), (gbd,) = (g.sum(0).to(norm1.dtype).chunk(count) for g, _, count in products)
    return (None, gx.view(ctx.shape), None, gwq, gwk, gwv, gwo, gnorm1, gwu, gwd, gnorm2,
            gbq, gbk, gbv, gbo, gshift1, gbu, gbd, gshift2)


def _joined(dtype: torch.dtype, *parts: torch.Tensor) -> torch.Tensor:
    """`parts` one below the other, cast."""
    if len(parts) == 1:
        return parts[0].to(dtype)
    found = torch.empty(len(parts), *parts[0].shape, dtype=dtype)
    for place, part in zip(found, parts, strict=True):  # torch.cat casts number by number
        place.copy_(part)
    return found.flatten(0, 1)


def _by_head(x: torch.Tensor, sentences: int, parts: int, heads: int) -> torch.Tensor:
    """(tokens of all sentences, parts × hidden) to (parts, sentences × heads, tokens of one, depth)."""
    split = x.view(sentences, len(x) // sentences, parts, heads, -1)
    return split.permute(2, 0, 3, 1, 4).flatten(1, 2)


def _by_token(x: torch.Tensor, sentences: int) -> torch.Tensor:
    """What `_by_head` did, undone."""
    parts, _, tokens, depth = x.shape
    split = x.view(parts, sentences, -1, tokens, depth)
    return split.permute(1, 3, 0, 2, 4).reshape(sentences * tokens, -1)


def _added(mask: torch.Tensor | None, q: torch.Tensor) -> torch.Tensor:
    """What hides padding when added to scores, (sentences × heads, 1, tokens), from transformers' mask (sentences, 1,
    tokens, tokens), which is of numbers to add or says which keys are seen."""
    if mask is None:
        return q.new_zeros(1)
    keys = mask[:, :, :1]
    if keys.dtype is torch.bool:
        keys = torch.zeros(keys.shape).masked_fill_(~keys, -torch.inf)
    heads = len(q) // len(keys)
    return keys.to(q.dtype).expand(-1, heads, -1, -1).flatten(0, 1)


def _times(x: torch.Tensor, factors: torch.Tensor | None) -> torch.Tensor:
    return x if factors is None else x * factors


def _plus(x: torch.Tensor, added: torch.Tensor, factors: torch.Tensor | None) -> torch.Tensor:
    return x + added if factors is None else torch.addcmul(x, added, factors)
