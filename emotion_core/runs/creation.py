"""Makes the folder of a run that waits, whole or not at all. Not for doing its work (`execution`)."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from .. import models
from ..jobs.process import record
from ..jobs.store import read_json, write_json
from ..labels import LABELS
from ..training import checkpoint
from ..training.config import TrainingConfig
from . import store
from .migrations import SCHEMA

if TYPE_CHECKING:
    from ..training.data import DataChoice

_VERSIONED = ("torch", "transformers", "accelerate", "numpy", "sentencepiece")


def create(choice: DataChoice, base: str, config: TrainingConfig, *, name: str = "", note: str = "",
           device: str | None = None, token: str = "", sweep: dict[str, Any] | None = None,
           own: bool = False) -> tuple[str, bool]:
    """Make a run that waits, and return its id and whether it is new.

    With a `token` that a run has already, nothing is made and that run's id comes back: two clicks, one run. With
    `own` this process is going to do the work, and the queue leaves it alone. Raises EmotionError for data or a base
    that can't be trained with and where the disk won't take it; then nothing is left behind.
    """
    root = store.runs_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".lock")
        with lock:
            store.sweep()
            if token and (found := _with_token(root, token)):
                return found, False
            return _create(root, choice, base, config, name, note, device, token, sweep, own), True
    except OSError as error:
        raise models.unwritable(root, error) from error


def _create(root: Path, choice: DataChoice, base: str, config: TrainingConfig, name: str, note: str,
            device: str | None, token: str, sweep: dict[str, Any] | None, own: bool) -> str:
    from ..training.data import read, write_choice  # brings pandas along

    where = _locate(base)
    data = read(choice, config)
    data.check()
    now = time.time()
    run = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{secrets.token_hex(3)}"
    fresh = root / f"{store.NEW}{run}"
    fresh.mkdir()
    try:
        facts = {"fingerprint": data.fingerprint, "rows": data.rows, "train_rows": len(data.train),
                 "test_rows": len(data.test),
                 "balance": list(zip(LABELS, data.train.counts.tolist(), data.test.counts.tolist(), strict=True))}
        write_json(fresh / "run.json", {
            "schema": SCHEMA, "created": now, "base": base, "base_folder": where, "config": config.as_dict(),
            "data": write_choice(choice, fresh) | {"facts": facts}, "device": _device(device),
            "versions": versions(), "token": token, "sweep": sweep})
        write_json(fresh / "split.json", {"train": data.train.row.tolist(), "test": data.test.row.tolist()})
        write_json(fresh / "about.json", {"name": " ".join(name.split())[: store.LONGEST_NAME] or run,
                                          "note": note.strip()[: store.LONGEST_NOTE]})
        write_json(fresh / "queue.json", {"place": now})
        store.write_status(fresh, "queued", epochs=config.epochs)
        if own:
            record(fresh, os.getpid())
        checkpoint.sync_folder(fresh)
        os.replace(fresh, root / run)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return run


def _with_token(root: Path, token: str) -> str | None:
    for entry in root.iterdir():
        with contextlib.suppress(OSError, ValueError):
            if not entry.name.startswith(".") and read_json(entry / "run.json").get("token") == token:
                return entry.name
    return None


def _locate(base: str) -> str:
    """The base's folder, or "" for one that its process may have to fetch. Raises EmotionError where it isn't there."""
    from .. import bases  # brings transformers along

    if base == bases.KOBERT:
        return ""
    found = models.locate(base)
    if not isinstance(found, Path):
        return ""
    bases.read_config(found)
    return str(found.resolve())


def _device(name: str | None) -> str:
    """The device's name as the queue knows it."""
    chosen = models.choose_device(name)
    return f"{chosen.type}:{chosen.index or 0}" if chosen.type == "cuda" else chosen.type


def versions() -> dict[str, str]:
    """What a run is made with, by name."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _VERSIONED:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
