"""Where models live and how one is loaded: a saved model is a plain Hugging Face folder.

Finds a model by name, folder or Hub id, loads it with its tokenizer, and says
clearly what is wrong with one that can't be used. Not for scoring (`inference`),
nor for adding and removing models (`library`).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import hub
from .labels import LABELS, NUM_LABELS, find_label
from .messages import EmotionError, reason_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from .direct import FastTokenizer
    from .packed import BertWeights

BUNDLED = "bundled"
RUNS = "runs"
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


@dataclass(frozen=True)
class SavedModel:
    """A model folder under `weights/`; `changed` is the newest modification time of its files (seconds).

    A training run's model is called "runs/<id>"; `title` is the name that a person gave the run, else "".
    """

    name: str
    folder: Path
    changed: float
    title: str = ""

    @property
    def shown(self) -> str:
        """What a person calls it."""
        return self.title or self.name


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to score, on its device, in evaluation mode.

    `order[i]` is the column of the model's logits that holds `LABELS[i]`;
    `max_length` counts tokens, special ones included.
    """

    name: str
    model: PreTrainedModel | BertWeights
    tokenizer: PreTrainedTokenizerBase | FastTokenizer
    order: np.ndarray
    max_length: int
    device: torch.device


def weights_folder() -> Path:
    """`weights/` beside the package, or the folder that EMOTION_WEIGHTS names."""
    return Path(os.environ.get("EMOTION_WEIGHTS") or Path(__file__).resolve().parents[1] / "weights")


def saved_models() -> list[SavedModel]:
    """The models under `weights/`, the bundled one first, then by name; then those of training runs, newest first."""
    root = weights_folder()
    found = [_saved(folder) for folder in _folders(root)]
    runs = sorted(filter(None, map(_of_run, _folders(root / RUNS))), key=lambda saved: saved.name, reverse=True)
    return [*sorted(filter(None, found), key=lambda saved: (saved.name != BUNDLED, saved.name)), *runs]


def devices() -> list[str]:
    """The names of the devices that this machine can train on, the best first."""
    import torch

    found = [f"cuda:{place}" for place in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*found, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def _folders(root: Path) -> list[Path]:
    """What is in `root` and isn't hidden; nothing where it can't be read."""
    try:
        return [entry for entry in root.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []


def _of_run(folder: Path) -> SavedModel | None:
    """The model of the training run in `folder`, once it has one."""
    saved = _saved(folder / "model")
    if saved is None:
        return None
    try:
        title = str(json.loads((folder / "about.json").read_text("utf-8"))["name"])
    except (OSError, ValueError, KeyError, TypeError):
        title = ""
    return SavedModel(f"{RUNS}/{folder.name}", saved.folder, saved.changed, title)


def _saved(folder: Path) -> SavedModel | None:
    try:
        files = {file.name: file.stat().st_mtime for file in folder.iterdir()}
    except OSError:  # not a folder, not ours to read, or deleted while we looked
        return None
    if "config.json" not in files:
        return None
    return SavedModel(folder.name, folder, max(files.values()))


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


def load(source: str | os.PathLike[str], device: str | None = None, to_score: bool = False) -> LoadedModel:
    """Load a model: a name under `weights/`, a folder, or a Hugging Face id.

    Weights are read as safetensors, or unpickled with `weights_only=True`; code
    in a model's folder is never run. `to_score`: a plain BERT for a CPU may come as `packed.BertWeights`
    and with a `direct.FastTokenizer`, which is quicker. Raises EmotionError when there is no such
    model, the folder is no model or damaged, or its labels aren't the seven.
    """
    where = locate(source)
    target = choose_device(device)
    name = (name_of(where) or where.name) if isinstance(where, Path) else where
    folder = where if isinstance(where, Path) else hub.snapshot(where)
    _check_folder(folder)
    try:
        weights, tokenizer = _read_directly(folder) if to_score and target.type == "cpu" else (None, None)
        model = weights or _read(folder).to(target).eval()
        tokenizer = tokenizer or read_tokenizer(folder)
    except EmotionError:
        raise
    except Exception as error:  # a damaged folder fails in any layer of transformers
        raise damaged(source, error) from error
    order = _label_order(model.config, str(source))
    rows = model.config.vocab_size if weights else model.get_input_embeddings().num_embeddings
    check_tokenizer(rows, tokenizer, str(source))
    return LoadedModel(name, model, tokenizer, order, max_length(model, tokenizer), target)


def _read_directly(folder: Path) -> tuple[BertWeights | None, FastTokenizer | None]:
    from . import direct

    tokenizer = direct.read_tokenizer(folder)
    return direct.read_bert(folder), tokenizer


def locate(source: str | os.PathLike[str]) -> Path | str:
    """The folder of a name under `weights/` or of a path; a Hub id comes back as it came.

    Raises EmotionError when it can be neither.
    """
    wanted = unicodedata.normalize("NFC", str(source))  # macOS may have stored the name decomposed
    for saved in saved_models():
        if unicodedata.normalize("NFC", saved.name) == wanted:
            return saved.folder
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # too long for a name, or the home of nobody
        if (folder := Path(source).expanduser()).is_dir():
            return folder
    text = str(source)
    if isinstance(source, os.PathLike) or text.count("/") != 1 or text.startswith((".", "/", "~")):
        names = ", ".join(saved.name for saved in saved_models()) or "-"
        raise EmotionError("error.model.missing", model=text, names=names)
    return text


def name_of(folder: Path) -> str | None:
    """What the model in `folder` is called under `weights/`, or None where it lies elsewhere or has gone."""
    return next((saved.name for saved in saved_models() if saved.folder == folder), None)


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
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        raise EmotionError("error.model.no_weights", model=str(folder))


def _read(folder: Path) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # weights load in a blink; its bar would mix with our output on stderr
    model, report = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, local_files_only=True, trust_remote_code=False
    )
    # A weight that wasn't in the file was made up at random: such a model answers nonsense.
    if absent := [*report["missing_keys"], *report["mismatched_keys"]]:
        raise EmotionError("error.model.incomplete", model=str(folder), names=", ".join(map(str, absent[:3])))
    return model


def read_tokenizer(folder: Path, strict: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a model's folder; KoBERT's, which transformers would take for another, is recognised.

    `strict`: see `kobert.read_tokenizer`. Raises EmotionError, or what transformers raises for a damaged file.
    """
    from . import kobert

    if kobert.is_kobert(json.loads((folder / "config.json").read_text("utf-8")), folder):
        return kobert.read_tokenizer(folder, strict)
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _label_order(config: object, source: str) -> np.ndarray:
    """For each of LABELS its column in the model's logits, int64 (7,)."""
    names = [str(name) for _, name in sorted((int(i), name) for i, name in config.id2label.items())]
    columns = [find_label(name) for name in names]
    if len(names) != NUM_LABELS or set(columns) != set(LABELS):
        raise EmotionError("error.model.labels", model=source, count=len(names), names=", ".join(names[:10]))
    return np.array([columns.index(label) for label in LABELS])


def check_tokenizer(rows: int, tokenizer: PreTrainedTokenizerBase, source: str) -> None:
    """Raise where a model with `rows` embeddings has another model's tokenizer: ids too high, or no Korean read."""
    ids = tokenizer("나는 오늘 정말 행복해요", add_special_tokens=False)["input_ids"]
    if not ids or max(ids) >= rows or all(i == tokenizer.unk_token_id for i in ids):
        raise EmotionError("error.model.tokenizer", model=source, found=len(tokenizer), expected=rows)


def max_length(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The most tokens that both can take, special ones included."""
    positions = getattr(model.config, "max_position_embeddings", tokenizer.model_max_length)
    if "roberta" in model.config.model_type:  # positions start after the padding id
        positions -= model.config.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length))


def damaged(source: str | os.PathLike[str], error: BaseException) -> EmotionError:
    """The error for a model whose files can't be read."""
    return EmotionError("error.model.damaged", model=str(source), reason=reason_of(error))


def unwritable(folder: Path, error: OSError) -> EmotionError:
    """The error for a folder that can't be written: the disk is full, or it isn't ours."""
    if error.errno == errno.ENOSPC:
        return EmotionError("error.disk_full")
    return EmotionError("error.unwritable", folder=str(folder), reason=reason_of(error))
