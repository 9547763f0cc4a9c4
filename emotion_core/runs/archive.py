"""A run's model as a zip that is made while it is sent: nothing of it is held whole in memory or on the disk."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from ..messages import EmotionError
from . import store

_CHUNK = 1024**2


class _Sink:
    """What ZipFile writes to, taken away again after each chunk."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def zip_chunks(run: str) -> Iterator[bytes]:
    """The Hugging Face folder of a run's model as a zip, in chunks of about a megabyte.

    Not compressed: weights are noise. Raises EmotionError where the run has no model.
    """
    model = _model(run)
    return _chunks(model, run)


def _chunks(model: Path, run: str) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[arg-type]
        for file in sorted(model.iterdir()):
            with file.open("rb") as source, archive.open(f"{run}/{file.name}", "w", force_zip64=True) as target:
                while part := source.read(_CHUNK):
                    target.write(part)
                    yield sink.take()
    yield sink.take()


def zip_size(run: str) -> int:
    """Bytes of the model's files; the zip is a few hundred bytes a file larger."""
    return sum(file.stat().st_size for file in _model(run).iterdir())


def _model(run: str) -> Path:
    found = store.get(run)
    if found.model_name is None:
        raise EmotionError("error.run.no_model", name=found.name)
    return found.folder / "model"
