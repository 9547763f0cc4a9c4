"""A run's model as a zip, made when it is asked for: nothing of it is on the disk a second time."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from ..messages import EmotionError
from . import store


def zip_bytes(run: str) -> bytes:
    """The Hugging Face folder of a run's model as a zip; memory holds it once.

    Not compressed: weights are noise. Raises EmotionError where the run has no model, and OSError.
    """
    model = _model(run)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for file in sorted(model.iterdir()):
            archive.write(file, f"{run}/{file.name}")
    return whole.getvalue()  # the buffer itself, not a copy


def zip_size(run: str) -> int:
    """Bytes of the model's files; the zip is a few hundred bytes a file larger."""
    return sum(file.stat().st_size for file in _model(run).iterdir())


def _model(run: str) -> Path:
    found = store.get(run)
    if found.model_name is None:
        raise EmotionError("error.run.no_model", name=found.name)
    return found.folder / "model"
