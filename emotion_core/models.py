"""Where models live and how one is loaded: a saved model is a plain Hugging Face folder.

Finds a model by name, folder or Hub id, loads it with its tokenizer, and says
clearly what is wrong with one that can't be used. Not for scoring (`inference`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .labels import LABELS, NUM_LABELS, find_label
from .messages import EmotionError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BUNDLED = "bundled"
_WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


@dataclass(frozen=True)
class SavedModel:
    """A model folder under `weights/`; `changed` is the newest modification time of its files (seconds)."""

    name: str
    folder: Path
    changed: float


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to score, on its device, in evaluation mode.

    `order[i]` is the column of the model's logits that holds `LABELS[i]`;
    `max_length` counts tokens, special ones included.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    order: np.ndarray
    max_length: int
    device: torch.device


def weights_folder() -> Path:
    """`weights/` beside the package, or the folder that EMOTION_WEIGHTS names."""
    return Path(os.environ.get("EMOTION_WEIGHTS") or Path(__file__).resolve().parents[1] / "weights")


def saved_models() -> list[SavedModel]:
    """The models under `weights/`, the bundled one first, then by name."""
    root = weights_folder()
    if not root.is_dir():
        return []
    found = [_saved(folder) for folder in root.iterdir()]
    return sorted(filter(None, found), key=lambda saved: (saved.name != BUNDLED, saved.name))


def _saved(folder: Path) -> SavedModel | None:
    try:
        files = {file.name: file.stat().st_mtime for file in folder.iterdir()}
    except OSError:  # not a folder, not ours to read, or deleted while we looked
        return None
    return SavedModel(folder.name, folder, max(files.values())) if "config.json" in files else None


def choose_device(name: str | None = None) -> torch.device:
    """The device called `name` ("cpu", "cuda", "cuda:1", "mps"), or the best one here for None.

    Raises EmotionError when the named device isn't on this machine.
    """
    import torch

    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EmotionError("error.device", device=name) from error
    return device


def load(source: str | os.PathLike[str], device: str | None = None) -> LoadedModel:
    """Load a model: a name under `weights/`, a folder, or a Hugging Face id.

    Weights are read as safetensors, or unpickled with `weights_only=True`; code
    in a model's folder is never run. Raises EmotionError when there is no such
    model, the folder is no model or damaged, or its labels aren't the seven.
    """
    where = _locate(source)
    target = choose_device(device)
    if isinstance(where, Path):
        _check_folder(where)
    try:
        model, tokenizer = _read(where)
    except EmotionError:
        raise
    except OSError as error:
        key = "error.model.damaged" if isinstance(where, Path) else "error.model.unreachable"
        raise EmotionError(key, model=str(source), reason=_first_line(error)) from error
    except Exception as error:  # a damaged folder fails in any layer of transformers
        raise EmotionError("error.model.damaged", model=str(source), reason=_first_line(error)) from error
    order = _label_order(model.config, str(source))
    _check_tokenizer(model, tokenizer, str(source))
    name = where.name if isinstance(where, Path) else where
    return LoadedModel(name, model.to(target).eval(), tokenizer, order, _max_length(model, tokenizer), target)


def _locate(source: str | os.PathLike[str]) -> Path | str:
    """A folder, or the Hub id as it came."""
    for saved in saved_models():
        if saved.name == str(source):
            return saved.folder
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    text = str(source)
    if isinstance(source, os.PathLike) or text.count("/") != 1 or text.startswith((".", "/", "~")):
        names = ", ".join(saved.name for saved in saved_models()) or "-"
        raise EmotionError("error.model.missing", model=text, names=names)
    return text


def _check_folder(folder: Path) -> None:
    """Raise where `folder` can't be a saved classifier, before transformers guesses."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        if not isinstance(config, dict) or "model_type" not in config:
            raise ValueError("model_type")
    except FileNotFoundError as error:
        raise EmotionError("error.model.no_config", model=str(folder)) from error
    except (OSError, ValueError) as error:
        raise EmotionError("error.model.damaged", model=str(folder), reason="config.json") from error
    if not any((folder / name).is_file() for name in _WEIGHT_FILES):
        raise EmotionError("error.model.no_weights", model=str(folder))


def _read(where: Path | str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # weights load in a blink; its bar would mix with our output on stderr
    options = {"local_files_only": isinstance(where, Path), "trust_remote_code": False}
    model, report = AutoModelForSequenceClassification.from_pretrained(
        where, dtype=torch.float32, output_loading_info=True, **options
    )
    # A weight that wasn't in the file was made up at random: such a model answers nonsense.
    if absent := [*report["missing_keys"], *report["mismatched_keys"]]:
        raise EmotionError("error.model.incomplete", model=str(where), names=", ".join(map(str, absent[:3])))
    return model, AutoTokenizer.from_pretrained(where, **options)


def _label_order(config: object, source: str) -> np.ndarray:
    """For each of LABELS its column in the model's logits, int64 (7,)."""
    names = [str(name) for _, name in sorted((int(i), name) for i, name in config.id2label.items())]
    columns = [find_label(name) for name in names]
    if len(names) != NUM_LABELS or set(columns) != set(LABELS):
        raise EmotionError("error.model.labels", model=source, count=len(names), names=", ".join(names[:10]))
    return np.array([columns.index(label) for label in LABELS])


def _check_tokenizer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, source: str) -> None:
    """Raise where the tokenizer isn't this model's: too many ids, or Korean it can't read."""
    rows = model.get_input_embeddings().num_embeddings
    ids = tokenizer("나는 오늘 정말 행복해요", add_special_tokens=False)["input_ids"]
    if not ids or max(ids) >= rows or all(i == tokenizer.unk_token_id for i in ids):
        raise EmotionError("error.model.tokenizer", model=source, found=len(tokenizer), expected=rows)


def _max_length(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    positions = getattr(model.config, "max_position_embeddings", tokenizer.model_max_length)
    if "roberta" in model.config.model_type:  # positions start after the padding id
        positions -= model.config.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
