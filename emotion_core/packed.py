"""A BERT classifier's forward over packed tokens: no padding, fused products, weights laid out for the processor.

Linear layers see one flat list of tokens; only attention looks at sentences, those of equal
length together. Same weights and results as transformers' `BertForSequenceClassification`
(in fp32 within 1e-5). For CPUs; other devices and architectures are `engine`'s business.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu}
_ONEDNN = all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))


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
        and config.hidden_act in _ACTIVATIONS
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
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, activation, [], "none")
        y = F.linear(x, self.weight, self.bias)
        return y if activation == "none" else _ACTIVATIONS[activation](y)

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


class _Layer(NamedTuple):
    qkv: Linear
    out: Linear
    attention_norm: _Norm
    up: Linear
    down: Linear
    norm: _Norm


class PackedBert:
    """Holds its own copy of the weights in `dtype`, so the model it was made from can go. Threads may share it."""

    tokens_a_batch = 1024  # their widest states, some 6 MB, stay in the processor's last cache

    def __init__(self, weights: BertWeights, dtype: torch.dtype) -> None:
        config, state = weights.config, weights.state

        def linear(*names: str, dtype: torch.dtype = dtype) -> Linear:
            parts = [[state[f"{name}.{part}"] for name in names] for part in ("weight", "bias")]
            return Linear(torch.cat(parts[0]), torch.cat(parts[1]), dtype)

        def norm(name: str) -> _Norm:
            return _Norm(state[f"{name}.weight"], state[f"{name}.bias"], config.layer_norm_eps)

        def layer(name: str) -> _Layer:
            attention = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
            return _Layer(linear(*attention), linear(f"{name}.attention.output.dense"),
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
        groups = [(length, len(list(rows))) for length, rows in itertools.groupby(ids, key=len)]
        flat = torch.tensor(list(itertools.chain.from_iterable(ids)))
        places = torch.cat([torch.arange(length).repeat(count) for length, count in groups])
        x = self.words[flat].float() + self.positions[places]
        x = self.embeddings_norm(x).to(self.dtype)
        for layer in self.layers[:-1]:
            x = self._feed_forward(layer, self._attend(layer.qkv(x), groups), x)
        # The head reads each sentence's first token alone, so the last layer computes no other.
        last = self.layers[-1]
        first = self._attend(last.qkv(x), groups, queries=1)
        x = self._feed_forward(last, first, x[places == 0])
        return self.classifier(torch.tanh(self.pooler(x.float())))

    def _feed_forward(self, layer: _Layer, attended: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        x = layer.attention_norm(layer.out.plus(attended, x))
        return layer.norm(layer.down.plus(layer.up(x, self.activation), x))

    def _attend(self, qkv: torch.Tensor, groups: list[tuple[int, int]], queries: int | None = None) -> torch.Tensor:
        """Self-attention inside each sentence, (tokens, 3 × hidden) to (tokens, hidden), or of its first `queries`.

        Sentences are short, so two batched products beat a flash kernel's blocks of 32 and more.
        """
        size = qkv.shape[1] // 3
        attended, start = [], 0
        for length, count in groups:
            part = qkv[start : start + length * count].view(count, length, 3, self.heads, size // self.heads)
            query, key, value = part.permute(2, 0, 3, 1, 4)
            weights = torch.matmul(query[:, :, :queries] * (size // self.heads) ** -0.5, key.transpose(2, 3))
            context = torch.matmul(weights.softmax(-1), value)
            attended.append(context.transpose(1, 2).reshape(-1, size))
            start += length * count
        return torch.cat(attended)
