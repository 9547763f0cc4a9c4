"""How faithful int8 could be at its best: the bundled model in float32 with the rounding of int8 put in by hand.

Weights: a scale a row (channel). Inputs: a scale a token, measured anew (dynamic), after SmoothQuant's exchange of
sizes between inputs and weights (Xiao et al. 2022, arXiv:2211.10438, α = 0.5); those after GELU unsigned. No kernel
that torch or ONNX Runtime has does this, so these figures bound what one could reach; speed isn't measured here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from benchmarks import setting
from emotion_core import models

KINDS = {"query, key, value": "attention.self", "attention's output": "attention.output.dense",
         "feed-forward up": "intermediate.dense", "feed-forward down": ".output.dense"}
GELU_MINIMUM = 0.17
CALIBRATION = 256


def main() -> None:
    options = setting.arguments(__doc__, model=("bundled",), sentences=2000)
    print(setting.machine(), "\n")
    tokenizer = models.read_tokenizer(setting.BUNDLED)
    texts = setting.sentences(options.sentences, tokenizer, options.file) if options.file else setting.samples(
        "test.csv")[: options.sentences]
    largest = input_sizes(tokenizer, setting.samples("train.csv")[:CALIBRATION])
    exact = probabilities(load(), tokenizer, texts)
    trials = {"all products": list(KINDS), "feed-forward only": list(KINDS)[2:]}
    trials |= {f"{kind} only": [kind] for kind in KINDS}
    rows = []
    for name, kinds in trials.items():
        found = probabilities(rounded(largest, kinds), tokenizer, texts)
        same = (found.argmax(1) == exact.argmax(1)).mean()
        rows.append([name, f"{same:.2%}", f"{np.abs(found - exact).mean():.5f}"])
    print(f"## {len(texts):,} sentences against float32\n")
    setting.table(["int8 in", "same emotion", "mean Δp"], rows)


def load() -> torch.nn.Module:
    return AutoModelForSequenceClassification.from_pretrained(setting.BUNDLED, dtype=torch.float32).eval()


def layers_of(model: torch.nn.Module) -> dict[str, torch.nn.Linear]:
    return {name: part for name, part in model.named_modules()
            if isinstance(part, torch.nn.Linear) and ".layer." in name}


def kind_of(name: str) -> str:
    return next(kind for kind, part in KINDS.items() if part in name)


def input_sizes(tokenizer: Callable, texts: list[str]) -> dict[str, torch.Tensor]:
    """The largest absolute value of each channel of each layer's input."""
    model, largest = load(), {}

    def watch(name: str) -> Callable:
        def look(layer: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
            found = inputs[0].abs().flatten(0, -2).amax(0)
            largest[name] = torch.maximum(found, largest.get(name, found))
        return look

    for name, layer in layers_of(model).items():
        layer.register_forward_pre_hook(watch(name))
    probabilities(model, tokenizer, texts)
    return largest


def rounded(largest: dict[str, torch.Tensor], kinds: list[str]) -> torch.nn.Module:
    """The model with int8's rounding in the layers of `kinds`."""
    model = load()
    for name, layer in layers_of(model).items():
        if (kind := kind_of(name)) not in kinds:
            continue
        weight = layer.weight.data
        if kind == "feed-forward down":
            layer.weight.data = to_int8(weight)
            layer.register_forward_pre_hook(lambda layer, inputs: (to_uint8(inputs[0]),))
        else:
            smooth = (largest[name].clamp(min=1e-5) / weight.abs().amax(0).clamp(min=1e-5)).sqrt()
            layer.weight.data = to_int8(weight * smooth)
            layer.register_forward_pre_hook(lambda layer, inputs, smooth=smooth: (to_int8(inputs[0] / smooth),))
    return model


def to_int8(values: torch.Tensor) -> torch.Tensor:
    """Rounded to 255 steps, the same on both sides of 0, a scale for each row of the last axis."""
    scale = values.abs().amax(-1, keepdim=True).clamp(min=1e-8) / 127
    return (values / scale).round() * scale


def to_uint8(values: torch.Tensor) -> torch.Tensor:
    """The same for what GELU gives, which is never below -GELU_MINIMUM."""
    scale = (values.amax(-1, keepdim=True) + GELU_MINIMUM).clamp(min=1e-8) / 255
    return ((values + GELU_MINIMUM) / scale).round() * scale - GELU_MINIMUM


def probabilities(model: torch.nn.Module, tokenizer: Callable, texts: list[str]) -> np.ndarray:
    """Float32 (sentences, 7), input order."""
    ids = tokenizer(texts, truncation=True, max_length=128, verbose=False)["input_ids"]
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    found = np.empty((len(ids), model.config.num_labels), np.float32)
    with torch.inference_mode():
        for first in range(0, len(order), 64):
            rows = order[first : first + 64]
            batch = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt")
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            found[rows] = logits.softmax(-1).numpy()
    return found


if __name__ == "__main__":
    main()
