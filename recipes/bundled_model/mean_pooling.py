"""Mean pooling inside a plain BERT: one more layer whose [CLS] state starts as the mean of all states.

E5 was trained with the mean of the last hidden states (arXiv:2212.03533), but
`BertForSequenceClassification` reads the first one. The layer added here attends to every
token alike (its queries start at zero) and passes values through unchanged, so the
classifier starts from what the encoder was trained for, and everything stays trainable
and loads without code of ours.
"""

from __future__ import annotations

import copy

import torch
from transformers import BertModel

STRENGTH = 8.0  # of the mean against the first token's own state, which the residual path adds
POOLER_GAIN = 0.5  # keeps the pooler's tanh out of saturation


def append(model: BertModel) -> BertModel:
    """`model` with the pooling layer as its last; changes `model` and its config."""
    size = model.config.hidden_size
    layer = copy.deepcopy(model.encoder.layer[-1])
    with torch.no_grad():
        for norm in (layer.attention.output.LayerNorm, layer.output.LayerNorm):
            norm.weight.fill_(1.0)
            norm.bias.zero_()
        attention = layer.attention
        for linear in (attention.self.query, attention.self.key, attention.self.value, attention.output.dense,
                       layer.intermediate.dense, layer.output.dense):
            linear.bias.zero_()
        attention.self.query.weight.zero_()
        attention.self.key.weight.normal_(0.0, model.config.initializer_range)
        attention.self.value.weight.copy_(torch.eye(size))
        attention.output.dense.weight.copy_(STRENGTH * torch.eye(size))
        layer.output.dense.weight.zero_()
        model.pooler.dense.weight.copy_(POOLER_GAIN * torch.eye(size))
    model.encoder.layer.append(layer)
    model.config.num_hidden_layers += 1
    return model
