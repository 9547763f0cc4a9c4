"""Adding a model to `weights/` and removing one: its name, the lock around every change, no halves ever seen.

Not for finding and loading what is there (`models`).
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from .messages import EmotionError
from .models import BUNDLED, SavedModel, saved_models, unwritable, weights_folder

IMPORTING = ".importing-"
_DELETED = ".deleted-"
_NAME = re.compile(r"[\w][\w .-]{0,58}[\w]|\w")  # letters of any script; no path, no leading dot
_RESERVED = {"bundled", "runs", "jobs", "kobert"}
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])(\..*)?")
"""What Windows takes for a device, whatever stands after the dot."""
_LOCK_SECONDS = 120.0


def new_folder(name: str) -> Path:
    """The folder under `weights/` that a new model called `name` gets; it isn't made yet.

    Raises EmotionError when the name can't be a folder's on every system, or is taken there by one
    that differs in case or Unicode composition alone.
    """
    name = unicodedata.normalize("NFC", name)
    lower = name.casefold()
    if not _NAME.fullmatch(name) or lower in _RESERVED or _DEVICES.fullmatch(lower):
        raise EmotionError("error.name.invalid", name=name)
    root = weights_folder()
    try:
        there = [entry.name for entry in root.iterdir()]
    except FileNotFoundError:
        there = []
    except OSError as error:
        raise unwritable(root, error) from error
    if any(_same_name(name, other) for other in there):
        raise EmotionError("error.name.taken", name=name)
    return root / name


def _same_name(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one).casefold() == unicodedata.normalize("NFC", other).casefold()


@contextlib.contextmanager
def changing(wait: float | None = None) -> Iterator[Path]:
    """Hold the folder `weights/` for a change, made where it isn't there; one process or thread at a time.

    What a killed import or delete left there is swept away first: nobody else can be at it. Raises
    EmotionError where the folder can't be written, or another change doesn't end in `wait` seconds.
    """
    from filelock import FileLock, Timeout

    root = weights_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".lock", timeout=_LOCK_SECONDS if wait is None else wait)
        lock.acquire()
    except Timeout as error:
        raise EmotionError("error.store_busy", folder=str(root)) from error
    except OSError as error:
        raise unwritable(root, error) from error
    try:
        for rubbish in _left(root):
            _remove(rubbish)
        yield root
    finally:
        lock.release()


def _left(root: Path) -> list[Path]:
    return [*root.glob(f"{IMPORTING}*"), *root.glob(f"{_DELETED}*")]


def sweep() -> None:
    """Remove what a killed import or delete left, where no change is under way; said to nobody."""
    if _left(weights_folder()):
        with contextlib.suppress(EmotionError), changing(wait=0):
            pass


def deletable() -> list[SavedModel]:
    """The models that `delete` removes: not the bundled one, and none that belongs to its training run."""
    root = weights_folder()
    return [saved for saved in saved_models() if saved.folder.parent == root and saved.name != BUNDLED]


def delete(name: str) -> None:
    """Remove the model `name` from `weights/` for good. Raises EmotionError for one not `deletable`, or if it can't."""
    with changing() as root:
        found = next((saved for saved in deletable() if saved.name == name), None)
        if found is None:
            raise EmotionError("error.delete.model", name=name)
        doomed = root / f"{_DELETED}{secrets.token_hex(4)}"
        try:
            found.folder.rename(doomed)  # at once and whole: nobody ever sees half a model
        except OSError as error:
            raise unwritable(found.folder, error) from error
        _remove(doomed)


def _remove(folder: Path) -> None:
    """What can't be removed now, since a program reads it, is swept away by the next change."""
    if folder.is_symlink():
        folder.unlink(missing_ok=True)  # never what it points to
    else:
        shutil.rmtree(folder, ignore_errors=True)


def folder_size(folder: Path) -> int:
    """Bytes of the files in `folder`."""
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):  # deleted while we looked
            total += file.stat().st_size if file.is_file() else 0
    return total
