"""The other ways to score the same sentences with the same weights: rivals, never part of the app."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, pipeline

from emotion_core import models

Scorer = Callable[[list[str]], np.ndarray]
"""Sentences to probabilities (sentences, 7), label-id order, input order."""
SORTED_BATCH = 32


def notebook(folder: Path, length: int = 64) -> Scorer:
    """As the Colab notebook predicts: one sentence at a time, padded to 64 tokens, fp32."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = models.read_tokenizer(folder)

    def score(sentences: list[str]) -> np.ndarray:
        found = []
        with torch.no_grad():
            for sentence in sentences:
                one = tokenizer(sentence, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
                logits = model(input_ids=one["input_ids"], attention_mask=one["attention_mask"]).logits
                found.append(logits.softmax(1).numpy()[0])
        return np.array(found)

    return score


def hugging_face(folder: Path, batch: int, dtype: torch.dtype = torch.float32) -> Scorer:
    """transformers.pipeline as its documentation shows it, in input order."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype)
    run = pipeline("text-classification", model=model, tokenizer=models.read_tokenizer(folder), device="cpu",
                   top_k=None, batch_size=batch)
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]

    def score(sentences: list[str]) -> np.ndarray:
        rows = [{one["label"]: one["score"] for one in found}
                for found in run(sentences, truncation=True, max_length=512)]
        return np.array([[row[label] for label in labels] for row in rows])

    return score


def exported(folder: Path, target: Path) -> Path:
    """The model as ONNX, fp32, any batch and length."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32,
                                                               attn_implementation="eager").eval()

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.model(input_ids=ids, attention_mask=mask).logits

    file = target / "model.onnx"
    ids = torch.full((2, 9), 5)
    axes = {0: "batch", 1: "length"}
    torch.onnx.export(Logits().eval(), (ids, torch.ones_like(ids)), str(file), input_names=["ids", "mask"],
                      output_names=["logits"], dynamic_axes={"ids": axes, "mask": axes}, dynamo=False, opset_version=17)
    model.eval()  # the export leaves it in training mode
    return file


def others(folder: Path, target: Path) -> dict[str, Scorer]:
    """ONNX Runtime and OpenVINO at their formats, batches of 32 sorted by length; those that are installed."""
    have = [name for name in ("onnx", "onnxruntime", "openvino") if importlib.util.find_spec(name)]
    if "onnx" not in have:
        return {}
    tokenizer = models.read_tokenizer(folder)
    file = exported(folder, target)
    found: dict[str, Scorer] = {}
    if "onnxruntime" in have:
        found["ONNX Runtime fp32"] = _sorted(tokenizer, _onnx_runtime(file))
        found["ONNX Runtime int8 (dynamic, per channel)"] = _sorted(tokenizer, _onnx_runtime(_int8(file)))
    if "openvino" in have:
        found["OpenVINO fp32"] = _sorted(tokenizer, _openvino(file, "f32"))
        found["OpenVINO bf16"] = _sorted(tokenizer, _openvino(file, "bf16"))
    return found


def _sorted(tokenizer: Callable, forward: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Scorer:
    def score(sentences: list[str]) -> np.ndarray:
        ids = [row[:512] for row in tokenizer(sentences, verbose=False)["input_ids"]]
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        logits = np.empty((len(ids), 7), np.float32)
        for rows in itertools.batched(order, SORTED_BATCH) if hasattr(itertools, "batched") else _batched(order):
            width = max(len(ids[row]) for row in rows)
            batch = np.array([ids[row] + [tokenizer.pad_token_id] * (width - len(ids[row])) for row in rows])
            mask = np.array([[1] * len(ids[row]) + [0] * (width - len(ids[row])) for row in rows])
            logits[list(rows)] = forward(batch, mask)
        return torch.from_numpy(logits).softmax(1).numpy()

    return score


def _batched(order: list[int]) -> list[list[int]]:
    return [order[i : i + SORTED_BATCH] for i in range(0, len(order), SORTED_BATCH)]


def _onnx_runtime(file: Path) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(None, {"ids": ids, "mask": mask})[0]


def _int8(file: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = file.with_name("int8.onnx")
    quantize_dynamic(str(file), str(small), weight_type=QuantType.QInt8, per_channel=True)
    return small


def _openvino(file: Path, precision: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY",
             "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.Core().compile_model(str(file), "CPU", hints)
    return lambda ids, mask: compiled([ids, mask])[0]
