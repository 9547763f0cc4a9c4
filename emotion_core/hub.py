"""Fetching a model from the Hugging Face Hub, once, when a person asks for it.

What is in the Hub's cache is used without a network. Not for reading what was
fetched (`bases`, `models`).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .messages import EmotionError

Progress = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes there are in all."""

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the first that the repository has is taken
_SMALL = ("*.json", "*.txt", "*.model", "*.spiece")


def cached(repo_id: str) -> Path | None:
    """The folder of `repo_id` in the Hub's cache, if a whole model is there."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(repo_id, local_files_only=True, allow_patterns=["config.json"]))
    except Exception:  # not there, half there, or no name that the Hub could have
        return None
    whole = (folder / "config.json").is_file() and any(folder.glob("*.safetensors")) | any(folder.glob("*.bin"))
    return folder if whole else None


def snapshot(repo_id: str, progress: Progress | None = None) -> Path:
    """The folder of `repo_id`: from the cache, else downloaded, a broken download resumed.

    Without `progress` the Hub's own bar is drawn on stderr. Raises EmotionError when the Hub can't be
    reached or refuses, there is no such model, or the disk is full.
    """
    if folder := cached(repo_id):
        return folder
    from huggingface_hub import HfApi, errors, snapshot_download

    try:
        names = [file.rfilename for file in HfApi().model_info(repo_id, timeout=20).siblings or []]
        weights = next((name for name in _WEIGHTS if name in names), "*.safetensors")
        bar = {"tqdm_class": _bar(progress)} if progress else {}
        return Path(snapshot_download(repo_id, allow_patterns=[*_SMALL, weights], max_workers=2, **bar))
    except errors.GatedRepoError as error:
        raise EmotionError("error.hub.refused", model=repo_id) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise EmotionError("error.hub.missing", model=repo_id) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise EmotionError("error.disk_full") from error
        raise EmotionError("error.model.unreachable", model=repo_id, reason=_first_line(error)) from error
    except Exception as error:  # the HTTP library's own errors are not OSErrors in every version
        raise EmotionError("error.model.unreachable", model=repo_id, reason=_first_line(error)) from error


def _bar(progress: Progress) -> type:
    """A tqdm that draws nothing and reports the bytes of the whole download."""
    from tqdm.auto import tqdm

    class Reporter(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            self._counts_bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **kwargs)

        def display(self, *args: Any, **kwargs: Any) -> None:
            pass

        def update(self, n: float | None = 1) -> bool | None:
            result = super().update(n)
            if self._counts_bytes and self.total:
                progress(int(self.n), int(self.total))
            return result

    return Reporter


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
