"""The Colab notebook's checkpoint made a model of ours: a plain Hugging Face folder under `weights/`.

The notebook saved `{'epoch', 'model_state_dict', 'optimizer_state_dict'}` of its
`BERTClassifier` (BERT's pooler, dropout, linear). A checkpoint is a stranger's file:
it is read with `weights_only=True` and every tensor's name and shape is checked.
Not for the checkpoints of our own runs (`training`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from safetensors import SafetensorError

from . import bases, card, hub, library, models
from .labels import NUM_LABELS
from .messages import EmotionError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

NOTEBOOK_DROPOUT = 0.5
LARGEST = 8 * 1024**3
"""Bytes; KoBERT's checkpoint with Adam's state has 1.1 GB."""
_STATE_KEYS = ("model_state_dict", "state_dict", "model")
Steps = Callable[[str], None]
"""Called with the catalogue's key of what begins now: a gigabyte takes its time on a slow disk."""
_NOT_WEIGHTS = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")  # buffers of old transformers


def import_checkpoint(checkpoint: str | os.PathLike[str] | BinaryIO, name: str,
                      base: str | os.PathLike[str] = bases.KOBERT, progress: hub.Progress | None = None,
                      warn: Callable[[EmotionError], None] | None = None, step: Steps = lambda _: None) -> Path:
    """Write the notebook's `checkpoint`, a file or an open one, as the model `name` under `weights/`; its folder.

    The checkpoint holds neither tokenizer nor configuration: they come from `base` (see
    `bases.locate`). `warn` gets what a person should know of the base, `step` the beginning of each part of
    the work. Raises EmotionError when the name is taken or can't be one, the file isn't the notebook's, or
    it doesn't fit the base; then nothing is left behind.
    """
    library.new_folder(name)  # a bad name is said before the long work
    source = checkpoint if hasattr(checkpoint, "seek") else Path(checkpoint)
    step("import.reading")
    state = read_state(source)
    step("import.base")
    foundation = bases.load(base, progress)
    step("import.checking")
    model = _classifier(foundation, state, _name_of(source))
    step("import.writing")
    folder = _save(model, foundation, name, _name_of(source))
    if warn and foundation.warning:
        warn(foundation.warning)
    return folder


def _save(model: PreTrainedModel, base: bases.Base, name: str, source: str) -> Path:
    """Write the folder under another name, then rename it: after a kill or a power cut it is whole or not there."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    with library.changing() as root:
        folder = library.new_folder(name)
        needed = sum(value.numel() * value.element_size() for value in model.state_dict().values())
        fresh: Path | None = None
        try:
            if shutil.disk_usage(root).free < needed:
                raise EmotionError("error.disk_full")
            fresh = Path(tempfile.mkdtemp(prefix=library.IMPORTING, dir=root))
            model.save_pretrained(fresh)
            base.tokenizer.save_pretrained(fresh)
            card.write(fresh, name, base.tokenizer, "card.imported", file=source, base=base.name)
            fresh.chmod(0o755)  # mkdtemp's folder is its owner's alone
            _settle(fresh)
            fresh.rename(folder)
        except EmotionError:
            raise
        except OSError as error:
            raise models.unwritable(folder, error) from error
        except SafetensorError as error:  # a full disk is this to safetensors, in words alone
            code = errno.ENOSPC if "space" in str(error).lower() or "os error 28" in str(error) else errno.EIO
            raise models.unwritable(folder, OSError(code, str(error))) from error
        finally:
            if fresh:
                shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _settle(folder: Path) -> None:
    """Have the files of `folder` on the disk itself before it gets its name."""
    mode = (folder / "config.json").stat().st_mode
    for file in folder.iterdir():
        file.chmod(stat.S_IMODE(mode))  # safetensors' own is its owner's alone
        with file.open("rb+") as written:
            os.fsync(written.fileno())
    if os.name == "posix":  # elsewhere a folder can't be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _name_of(source: Path | BinaryIO) -> str:
    """What an error calls the file: its name without the folders."""
    return _in_one_line(Path(str(getattr(source, "name", "checkpoint"))).name)


def _in_one_line(name: str) -> str:
    """A name that a stranger chose, as a sentence can hold it."""
    return "".join(c if c.isprintable() else "?" for c in name[:80]) + ("…" if len(name) > 80 else "")


def read_state(source: Path | BinaryIO) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint by the names of `BertForSequenceClassification`, on the CPU.

    Raises EmotionError when the file is missing, no checkpoint, damaged, carries pickled objects, or
    would unpack to more than it weighs.
    """
    import pickle

    import torch

    file = _name_of(source)
    if isinstance(source, Path):
        try:
            there = source.is_file()
        except OSError:  # a name that no file can have
            there = False
        if not there:
            raise EmotionError("error.checkpoint.missing", file=str(source)[:200])
        size = source.stat().st_size
    else:
        size = source.seek(0, os.SEEK_END)
        source.seek(0)
    if size > LARGEST:
        raise EmotionError("error.checkpoint.too_large", file=file, limit=LARGEST // 1024**3)
    _check_archive(source, size, file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on old and odd files are no help to a person
            content = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        foreign = "GLOBAL" in str(error) or "Unsupported class" in str(error)
        raise EmotionError("error.checkpoint.objects" if foreign else "error.checkpoint.damaged",
                           file=file) from error
    except OSError as error:
        raise EmotionError("error.checkpoint.unreadable", file=file, reason=str(error)[:200]) from error
    except Exception as error:  # truncated or made up: fails anywhere in torch
        raise EmotionError("error.checkpoint.damaged", file=file) from error
    state = _named(_state_dict(content, file), file)
    _check_values(state, file, size)
    return state


def _check_values(state: dict[str, torch.Tensor], file: str, size: int) -> None:
    """Raise for a tensor that isn't plain numbers on the CPU, and for more of them than the file can hold.

    Nothing of a tensor has been touched before: the older file format sets aside as much memory as it is told to.
    """
    import torch

    plain = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
    for name, value in state.items():
        if type(value) not in (torch.Tensor, torch.nn.Parameter) or value.is_nested or value.is_quantized \
                or value.layout is not torch.strided or value.device.type != "cpu" or value.dtype not in plain:
            raise EmotionError("error.checkpoint.kind", file=file, name=_in_one_line(name))
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in state.values()}
    if sum(storages.values()) > size:
        raise EmotionError("error.checkpoint.bomb", file=file)


def _check_archive(source: Path | BinaryIO, size: int, file: str) -> None:
    """Raise for an archive that holds a checkpoint, as a download of several files is one, and for a zip bomb.

    torch stores its tensors uncompressed, so an honest checkpoint never unpacks to more than it weighs.
    """
    try:
        if _is_tar(source):  # asked first, since a checkpoint in a tar looks like a zip with something around it
            raise EmotionError("error.checkpoint.archive", file=file)
        if not zipfile.is_zipfile(source):
            return
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise EmotionError("error.checkpoint.damaged", file=file) from error
    finally:
        if not isinstance(source, Path):
            source.seek(0)
    if not any(entry.filename.endswith("data.pkl") for entry in entries):
        raise EmotionError("error.checkpoint.archive", file=file)
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or sum(e.file_size for e in entries) > size:
        raise EmotionError("error.checkpoint.bomb", file=file)


def _is_tar(source: Path | BinaryIO) -> bool:
    """Whether it is a real tar or a gzip: the notebook's model_10.tar is neither, whatever its name."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as opened:  # an unreadable file is said by who reads it
        content = opened.enter_context(source.open("rb")) if isinstance(source, Path) else source
        content.seek(0)
        head = content.read(512)
        return head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar"
    return False


def _state_dict(content: Any, file: str) -> dict[str, Any]:
    import torch

    for _ in range(2):
        if not isinstance(content, dict):
            break
        if content and all(isinstance(key, str) and isinstance(v, torch.Tensor) for key, v in content.items()):
            return content
        content = next((content[key] for key in _STATE_KEYS if key in content), None)
    raise EmotionError("error.checkpoint.not_notebook", file=file)


def _named(state: dict[str, Any], file: str) -> dict[str, torch.Tensor]:
    """Names without DataParallel's `module.` and without what is no weight."""
    named = {key.removeprefix("module."): value for key, value in state.items()}
    if len(named) != len(state):
        raise EmotionError("error.checkpoint.twice", file=file)
    if "classifier.weight" not in named or not any(key.startswith("bert.") for key in named):
        raise EmotionError("error.checkpoint.not_notebook", file=file)
    return {key: value for key, value in named.items() if key not in _NOT_WEIGHTS}


def _classifier(base: bases.Base, state: dict[str, torch.Tensor], file: str) -> PreTrainedModel:
    """The base's architecture with the checkpoint's weights, fp32."""
    import torch
    from transformers import BertForSequenceClassification

    if base.config.model_type != "bert":
        raise EmotionError("error.checkpoint.base", base=base.name, found=base.config.model_type)
    classes = len(state["classifier.weight"]) if state["classifier.weight"].dim() == 2 else 0
    if classes != NUM_LABELS:
        raise EmotionError("error.checkpoint.classes", file=file, found=classes)
    with torch.device("meta"):
        model = BertForSequenceClassification(bases.classifier_config(base, NOTEBOOK_DROPOUT))
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for name in [*expected, *state]:
        found = tuple(state[name].shape) if name in state else None
        if found != expected.get(name):
            raise EmotionError("error.checkpoint.shape", file=file, name=_in_one_line(name), found=found or "-",
                               expected=expected.get(name, "-"), base=base.name)
    fresh = {}
    for name in list(state):  # one by one, so that the two copies are never both whole in memory
        fresh[name] = state.pop(name).detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        if not bool(fresh[name].isfinite().all()):  # a double can be too large for a float
            raise EmotionError("error.checkpoint.values", file=file, name=_in_one_line(name))
    model.load_state_dict(fresh, assign=True)
    return model.eval()
