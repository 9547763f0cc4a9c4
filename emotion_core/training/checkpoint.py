"""Checkpoints of a run that are whole or not there: `checkpoints/checkpoint-<step>/`.

transformers writes a checkpoint's files one by one and takes an empty folder for a checkpoint. Ours are written under
another name, brought to the disk, listed with their sizes in `complete.json` and renamed; at a resume the list is
checked, and one that fails is passed over for the one before.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

COMPLETE = "complete.json"
SAVING = ".saving"
_NAME = re.compile(r"checkpoint-([0-9]+)")
_NEEDED = ("config.json", "model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json", "progress.json")
_NOT_MODEL = re.compile(r"optimizer\.pt|scheduler\.pt|rng_state.*|trainer_state\.json|training_args\.bin|"
                        r"progress\.json|complete\.json|test_logits\.npy")


def complete(folder: Path, place: Path) -> None:
    """Bring all files of `folder` to the disk, list them, and rename it to `place`. Raises OSError."""
    sizes = {}
    for file in sorted(folder.iterdir()):
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())
        sizes[file.name] = file.stat().st_size
    write_text(folder / COMPLETE, json.dumps(sizes))
    if place.exists():
        shutil.rmtree(place)
    os.replace(folder, place)
    sync_folder(place.parent)


def is_whole(folder: Path) -> bool:
    """Whether every file is there as it was written."""
    try:
        sizes = json.loads((folder / COMPLETE).read_text("utf-8"))
        if not all(name in sizes for name in _NEEDED):
            return False
        return all((folder / Path(name).name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def whole(folder: Path) -> list[int]:
    """Steps of the whole checkpoints in `folder`, ascending."""
    try:
        names = [_NAME.fullmatch(entry.name) for entry in folder.iterdir()]
    except OSError:
        return []
    steps = sorted(int(name[1]) for name in names if name)
    return [step for step in steps if is_whole(folder / f"checkpoint-{step}")]


def last(folder: Path) -> Path | None:
    """The last whole checkpoint in `folder`, or None."""
    steps = whole(folder)
    return folder / f"checkpoint-{steps[-1]}" if steps else None


def clear(folder: Path, best: int | None) -> None:
    """Delete all but the last two and the best: the rule that the page states.

    Two, because the last one may turn out damaged. What a killed process left half-written goes too.
    """
    steps = whole(folder)
    kept = {f"checkpoint-{step}" for step in [*steps[-2:], *([best] if best is not None else [])]}
    for entry in folder.iterdir():
        if entry.name not in kept:
            shutil.rmtree(entry, ignore_errors=True)


def clear_unfinished(run: Path) -> None:
    """Delete what a failed save left of a checkpoint or a model in the run's folder `run`."""
    for rest in (run / "checkpoints" / SAVING, run / ".model"):
        shutil.rmtree(rest, ignore_errors=True)


def copy_model(source: Path, place: Path) -> None:
    """Make `place` a model's folder with what a checkpoint holds of one; it appears whole. Raises OSError."""
    fresh = place.with_name(f".{place.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for file in source.iterdir():
        if not _NOT_MODEL.fullmatch(file.name):
            shutil.copyfile(file, fresh / file.name)
            with (fresh / file.name).open("rb+") as opened:
                os.fsync(opened.fileno())
    if place.exists():
        shutil.rmtree(place)
    os.replace(fresh, place)
    sync_folder(place.parent)


def write_text(file: Path, text: str) -> None:
    """Replace `file` whole. Raises OSError."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with fresh.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(fresh, file)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
