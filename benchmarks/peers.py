"""The other ways to score the same sentences with the same weights: rivals, never part of the app."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, pipeline

from emotion_core import models, precision

Scorer = Callable[[list[str]], np.ndarray]
"""Sentences to probabilities (sentences, 7), label-id order, input order."""
SORTED_BATCH = 32
OPENVINO_GROUPS = 64, 128


@cache
def multiply_bfloat16() -> bool:
    """Whether bf16 can be a side's best here; where it is emulated, a sentence would take seconds."""
    return precision.measure() >= 1


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


def others(folder: Path, target: Path, many: bool) -> dict[str, Scorer]:
    """ONNX Runtime and OpenVINO at their formats, batches of 32 sorted by length; those that are installed.

    With `many` each twice, since neither is always the faster: all threads at one batch, or a batch for each thread.
    """
    have = [name for name in ("onnx", "onnxruntime", "openvino") if importlib.util.find_spec(name)]
    if "onnx" not in have:
        return {}
    tokenizer = models.read_tokenizer(folder)
    file = exported(folder, target)
    makers: dict[str, Callable[[bool], Forward]] = {}
    if "onnxruntime" in have:
        small = _int8(file)
        makers["ONNX Runtime fp32"] = lambda beside: _onnx_runtime(file, beside)
        makers["ONNX Runtime int8 (dynamic, per channel)"] = lambda beside: _onnx_runtime(small, beside)
    if "openvino" in have:
        makers["OpenVINO fp32"] = lambda beside: _openvino(file, "f32", beside)
        if multiply_bfloat16():
            makers["OpenVINO bf16"] = lambda beside: _openvino(file, "bf16", beside)
        if importlib.util.find_spec("nncf"):
            rounded = _rounded_weights(file)
            for group in OPENVINO_GROUPS:
                makers[f"OpenVINO int8 (dynamic, a scale for {group} inputs)"] = (
                    lambda beside, more={"DYNAMIC_QUANTIZATION_GROUP_SIZE": group}: (
                        _openvino(rounded, "f32", beside, **more)))
    ways = {"": False, ", a batch a thread": True} if many else {"": False}
    return {label + way: _sorted(tokenizer, make(beside)) for label, make in makers.items()
            for way, beside in ways.items()}


Arrays = Mapping[str, np.ndarray]
Forward = Callable[[list[Arrays]], list[np.ndarray]]
"""Logits of each batch, given as `ids` and `mask`, int64 (sentences, longest)."""


def _sorted(tokenizer: Callable, forward: Forward) -> Scorer:
    def score(sentences: list[str]) -> np.ndarray:
        ids = [row[:512] for row in tokenizer(sentences, verbose=False)["input_ids"]]
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        places = [order[i : i + SORTED_BATCH] for i in range(0, len(order), SORTED_BATCH)]
        batches = []
        for rows in places:
            width = max(len(ids[row]) for row in rows)
            padding = [width - len(ids[row]) for row in rows]
            batches.append({
                "ids": np.array([ids[row] + [tokenizer.pad_token_id] * more
                                 for row, more in zip(rows, padding, strict=True)]),
                "mask": np.array([[1] * (width - more) + [0] * more for more in padding])})
        logits = np.empty((len(ids), 7), np.float32)
        for rows, found in zip(places, forward(batches), strict=True):
            logits[rows] = found
        return torch.from_numpy(logits).softmax(1).numpy()

    return score


def _onnx_runtime(file: Path, beside: bool) -> Forward:
    import onnxruntime

    threads = torch.get_num_threads()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if beside else threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    pool = ThreadPoolExecutor(threads if beside else 1)
    return lambda batches: list(pool.map(lambda batch: session.run(None, batch)[0], batches))


def _int8(file: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = file.with_name("int8.onnx")
    quantize_dynamic(str(file), str(small), weight_type=QuantType.QInt8, per_channel=True)
    return small


def _rounded_weights(file: Path) -> Path:
    """With int8 weights, a scale and a zero a channel; OpenVINO rounds the inputs as they come."""
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    small = file.with_name("rounded.xml")
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        model = nncf.compress_weights(openvino.Core().read_model(file), mode=nncf.CompressWeightsMode.INT8_ASYM)
    openvino.save_model(model, small, compress_to_fp16=False)
    return small


def _openvino(file: Path, precision: str, beside: bool, **more: object) -> Forward:
    import openvino

    threads = torch.get_num_threads()
    compiled = openvino.Core().compile_model(str(file), "CPU", {
        "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, **more,
        **({"NUM_STREAMS": threads} if beside else {"PERFORMANCE_HINT": "LATENCY"})})
    queue = openvino.AsyncInferQueue(compiled, threads if beside else 1)

    def forward(batches: list[Arrays]) -> list[np.ndarray]:
        found: list[np.ndarray] = [np.empty(0)] * len(batches)

        def keep(request: Any, place: int) -> None:
            found[place] = request.get_output_tensor().data.copy()

        queue.set_callback(keep)
        for place, batch in enumerate(batches):
            queue.start_async([batch["ids"], batch["mask"]], place)
        queue.wait_all()
        return found

    return forward
