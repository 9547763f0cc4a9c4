"""A plain BERT classifier read straight from its folder, without importing transformers' model code.

That import takes longer than scoring a sentence, loading included. Only what is certain is read
here: for any folder that isn't exactly the usual one both functions return None and transformers
reads it, and says what is wrong with it. Not for training, which needs transformers' model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .packed import BertWeights, supported

_GENERIC = ("TokenizersBackend", "PreTrainedTokenizerFast")
_SPECIAL = ("bos_token", "cls_token", "eos_token", "mask_token", "pad_token", "sep_token", "unk_token")
_CHANGES_IDS = ("added_tokens_decoder", "extra_special_tokens", "additional_special_tokens", "add_bos_token",
                "add_eos_token", "auto_map", "post_processor", "model_specific_special_tokens")
_LARGEST_VOCABULARY = 100_000  # above it transformers looks for one family's faulty pattern


class FastTokenizer:
    """`tokenizers` with the few members of transformers' wrapper that scoring uses; the same ids."""

    def __init__(self, file: Path, settings: dict[str, Any]) -> None:
        from tokenizers import Tokenizer

        self._inner = Tokenizer.from_file(str(file))
        self._inner.no_truncation()
        self._inner.no_padding()
        self._inner.encode_special_tokens = bool(settings.get("split_special_tokens", False))
        self.model_max_length = int(settings["model_max_length"])
        self.pad_token_id = self._inner.token_to_id(settings["pad_token"])
        self.unk_token_id = self._inner.token_to_id(settings["unk_token"])

    def __len__(self) -> int:
        return self._inner.get_vocab_size()

    def __call__(self, text: str | Sequence[str], add_special_tokens: bool = True,
                 verbose: bool = True) -> dict[str, list[Any]]:
        """{"input_ids": one row of ids, or a row for each of several texts}, neither cut nor padded."""
        texts = [text] if isinstance(text, str) else list(text)
        if len(texts) == 1:  # without waking the threads that share a batch
            rows = [self._inner.encode(texts[0], add_special_tokens=add_special_tokens).ids]
        else:
            rows = [found.ids for found in self._inner.encode_batch_fast(texts, add_special_tokens=add_special_tokens)]
        return {"input_ids": rows[0] if isinstance(text, str) else rows}

    def num_special_tokens_to_add(self) -> int:
        return self._inner.num_special_tokens_to_add(False)


def read_bert(folder: Path) -> BertWeights | None:
    """The classifier in `folder`, its weights mapped from the file, or None where transformers must read it."""
    try:
        from safetensors.torch import load_file

        config = SimpleNamespace(**json.loads((folder / "config.json").read_text("utf-8")))
        if config.architectures != ["BertForSequenceClassification"] or not supported(config):
            return None
        state = load_file(folder / "model.safetensors")
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        floating = all(tensor.is_floating_point() for tensor in state.values())
        return BertWeights(config, state) if floating and shapes == _shapes(config) else None
    except Exception:  # whatever is odd about it, transformers says it better
        return None


def read_tokenizer(folder: Path) -> FastTokenizer | None:
    """The tokenizer in `folder`, or None where transformers must read it."""
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        saved = json.loads((folder / "tokenizer.json").read_text("utf-8"))
        known = {token["content"] for token in saved["added_tokens"] if token["special"]}
        special = {settings[name] for name in _SPECIAL if settings.get(name) is not None}
        plain = (
            settings.get("tokenizer_class") in _GENERIC
            and not any(settings.get(name) for name in _CHANGES_IDS)
            and not (folder / "special_tokens_map.json").exists()
            and not [*folder.glob("*.model"), *folder.glob("*.spiece")]  # SentencePiece: maybe KoBERT's
            and saved["post_processor"] is not None
            and special <= known
        )
        tokenizer = FastTokenizer(folder / "tokenizer.json", settings) if plain else None
        return tokenizer if tokenizer and len(tokenizer) <= _LARGEST_VOCABULARY else None
    except Exception:  # as above
        return None


def _shapes(config: SimpleNamespace) -> dict[str, tuple[int, ...]]:
    """Every weight's name and shape, as transformers saves them. Raises what an odd `config` raises."""
    size, wide = config.hidden_size, config.intermediate_size
    labels = {int(number): name for number, name in config.id2label.items()}
    linear = {"bert.pooler.dense": (size, size), "classifier": (len(labels), size)}
    norms = ["bert.embeddings.LayerNorm"]
    for number in range(config.num_hidden_layers):
        layer = f"bert.encoder.layer.{number}"
        linear |= {f"{layer}.attention.self.{name}": (size, size) for name in ("query", "key", "value")}
        linear |= {f"{layer}.attention.output.dense": (size, size), f"{layer}.intermediate.dense": (wide, size),
                   f"{layer}.output.dense": (size, wide)}
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    shapes = {
        "bert.embeddings.word_embeddings.weight": (config.vocab_size, size),
        "bert.embeddings.position_embeddings.weight": (config.max_position_embeddings, size),
        "bert.embeddings.token_type_embeddings.weight": (config.type_vocab_size, size),
    }
    shapes |= {f"{name}.weight": shape for name, shape in linear.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in linear.items()}
    shapes |= {f"{name}.{part}": (size,) for name in norms for part in ("weight", "bias")}
    return shapes
