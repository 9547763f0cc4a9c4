"""The Colab notebook's checkpoint made a model of ours: a plain Hugging Face folder under `weights/`.

The notebook saved `{'epoch', 'model_state_dict', 'optimizer_state_dict'}` of its
`BERTClassifier` (BERT's pooler, dropout, linear). A checkpoint is a stranger's file:
it is read with `weights_only=True` and every tensor's name and shape is checked.
Not for the checkpoints of our own runs (`training`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import bases, hub, models
from .labels import NUM_LABELS
from .messages import EmotionError

if TYPE_CHECKING:
    import torch

NOTEBOOK_DROPOUT = 0.5
LARGEST = 8 * 1024**3
"""Bytes; KoBERT's checkpoint with Adam's state has 1.1 GB."""
_NOT_WEIGHTS = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")  # buffers of old transformers


def import_checkpoint(checkpoint: str | os.PathLike[str], name: str, base: str | os.PathLike[str] = bases.KOBERT,
                      progress: hub.Progress | None = None) -> Path:
    """Write the notebook's `checkpoint` as the model `name` under `weights/`; returns its folder.

    The checkpoint holds neither tokenizer nor configuration: they come from `base` (see
    `bases.locate`). Raises EmotionError when the name is taken or can't be one, the file isn't the
    notebook's, or it doesn't fit the base; then nothing is left behind.
    """
    folder = models.new_folder(name)
    state = read_state(Path(checkpoint))
    foundation = bases.load(base, progress)
    model = _classifier(foundation, state, str(checkpoint))
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".importing-", dir=folder.parent))
    try:
        model.save_pretrained(fresh)
        foundation.tokenizer.save_pretrained(fresh)
        fresh.chmod(0o755)  # mkdtemp's folder is its owner's alone
        fresh.rename(folder)
    except OSError as error:
        raise models.unwritable(folder, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def read_state(file: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint by the names of `BertForSequenceClassification`, on the CPU.

    Raises EmotionError when the file is missing, no checkpoint, damaged, carries pickled objects, or
    would unpack to more than it weighs.
    """
    import pickle

    import torch

    if not file.is_file():
        raise EmotionError("error.checkpoint.missing", file=str(file))
    size = file.stat().st_size
    if size > LARGEST:
        raise EmotionError("error.checkpoint.too_large", file=file.name, limit=LARGEST // 1024**3)
    _check_archive(file, size)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        foreign = "GLOBAL" in str(error) or "Unsupported class" in str(error)
        raise EmotionError("error.checkpoint.objects" if foreign else "error.checkpoint.damaged",
                           file=file.name) from error
    except Exception as error:  # truncated or made up: fails anywhere in torch
        raise EmotionError("error.checkpoint.damaged", file=file.name) from error
    return _named(_state_dict(content, file), file)


def _check_archive(file: Path, size: int) -> None:
    """torch stores its tensors uncompressed, so an honest archive never unpacks to more than it weighs."""
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise EmotionError("error.checkpoint.damaged", file=file.name) from error
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or sum(e.file_size for e in entries) > size:
        raise EmotionError("error.checkpoint.bomb", file=file.name)


def _state_dict(content: Any, file: Path) -> dict[str, Any]:
    import torch

    for _ in range(2):
        if isinstance(content, dict) and content and all(isinstance(v, torch.Tensor) for v in content.values()):
            return content
        if not isinstance(content, dict):
            break
        content = content.get("model_state_dict", content.get("state_dict"))
    raise EmotionError("error.checkpoint.not_notebook", file=file.name)


def _named(state: dict[str, Any], file: Path) -> dict[str, torch.Tensor]:
    """Names without DataParallel's `module.` and without what is no weight."""
    named = {str(key).removeprefix("module."): value for key, value in state.items()}
    if "classifier.weight" not in named or not any(key.startswith("bert.") for key in named):
        raise EmotionError("error.checkpoint.not_notebook", file=file.name)
    return {key: value for key, value in named.items() if key not in _NOT_WEIGHTS}


def _classifier(base: bases.Base, state: dict[str, torch.Tensor], file: str) -> torch.nn.Module:
    """The base's architecture with the checkpoint's weights, fp32."""
    import torch
    from transformers import BertForSequenceClassification

    if base.config.model_type != "bert":
        raise EmotionError("error.checkpoint.base", base=base.name, found=base.config.model_type)
    classes = len(state["classifier.weight"]) if state["classifier.weight"].dim() == 2 else 0
    if classes != NUM_LABELS:
        raise EmotionError("error.checkpoint.classes", file=Path(file).name, found=classes)
    with torch.device("meta"):
        model = BertForSequenceClassification(bases.classifier_config(base, NOTEBOOK_DROPOUT))
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for name in [*expected, *state]:
        found = tuple(state[name].shape) if name in state else None
        if found != expected.get(name):
            raise EmotionError("error.checkpoint.shape", file=Path(file).name, name=name, found=found or "-",
                               expected=expected.get(name, "-"), base=base.name)
    for name, value in state.items():
        if not value.is_floating_point() or value.is_sparse or not bool(value.isfinite().all()):
            raise EmotionError("error.checkpoint.values", file=Path(file).name, name=name)
    model = BertForSequenceClassification(model.config)
    model.load_state_dict({name: value.float() for name, value in state.items()})
    return model.eval()
