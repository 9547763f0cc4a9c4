"""What makes a training step cheaper on a CPU: draws of dropout, attention, and what the head never reads.

Each leaves a model's weights, names and configuration as they are, so what is saved is what any other way would save.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.bert.modeling_bert import BertLayer, BertSelfAttention, eager_attention_forward

from ..packed import supported


def prepare(model: PreTrainedModel, bf16: bool) -> None:
    """Change how `model`, which must be on a CPU, computes while training; `bf16` if under autocast to bfloat16."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout and child.p < 1:
                setattr(module, name, ByteDropout(child.p))
    if bf16:  # the backward pass of torch's fused attention can take ten times as long as that of plain products
        model.set_attn_implementation("eager")
    if type(model).__name__ == "BertForSequenceClassification" and supported(model.config):
        finish_first_token_alone(model.bert.encoder.layer[-1])


def finish_first_token_alone(layer: BertLayer) -> None:
    """Let `layer`, an encoder's last, give the first token's state alone, (sentences, 1, hidden): a BERT's head reads
    no other, so five sixths of the layer's products, forward and backward, change nothing."""
    layer.attention.self = FirstTokenAttention(layer.attention.self)
    layer.attention.output.register_forward_pre_hook(lambda module, inputs: (inputs[0], inputs[1][:, :1]))


class FirstTokenAttention(nn.Module):
    """`BertSelfAttention` with the first token's query only, which attends to every token."""

    def __init__(self, whole: BertSelfAttention) -> None:
        super().__init__()
        self.config, self.scaling, self.is_causal = whole.config, whole.scaling, whole.is_causal
        self.heads = whole.num_attention_heads
        self.query, self.key, self.value, self.dropout = whole.query, whole.key, whole.value, whole.dropout

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None,
                **others: object) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(sentences, tokens, hidden) to (sentences, 1, hidden), and the weights where the implementation has them."""
        query, key, value = (
            projection(states).unflatten(-1, (self.heads, -1)).transpose(1, 2) for projection, states in (
                (self.query, hidden_states[:, :1]), (self.key, hidden_states), (self.value, hidden_states)))
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        mask = None if attention_mask is None else attention_mask[:, :, :1]
        found, weights = attend(self, query, key, value, mask, dropout=self.dropout.p if self.training else 0.0,
                                scaling=self.scaling, **others)
        return found.flatten(2), weights


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
