"""What makes a training step cheaper on a CPU: whole layers by hand, draws of dropout, memory that is kept.

Each leaves a model's weights, names and configuration as they are, so what is saved is what any other way would save.
"""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from ..packed import supported
from . import memory
from .dropout import ByteDropout
from .layer import HandLayer


def prepare(model: PreTrainedModel, bf16: bool) -> None:
    """Change how `model`, which must be on a CPU, computes while training; `bf16` if under autocast to bfloat16."""
    memory.keep_freed()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, ByteDropout(child.p))
    if bf16:  # the backward pass of torch's fused attention can take ten times as long as that of plain products
        model.set_attn_implementation("eager")
    if type(model).__name__ == "BertForSequenceClassification" and supported(model.config):
        layers = model.bert.encoder.layer
        for layer in layers:
            HandLayer.take_over(layer, first_only=layer is layers[-1])
