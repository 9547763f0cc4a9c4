"""Fetching a model from the Hugging Face Hub, once, when a person asks for it.

What is in the Hub's cache is used without a network. A download that broke, was
stopped or killed goes on from the bytes that are here, which the Hub's own
`snapshot_download` has given up since version 2: so the transfer is done here, into
the cache's documented layout (huggingface.co/docs/huggingface_hub/guides/manage-cache).
Not for reading what was fetched (`bases`, `models`).
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .messages import EmotionError, reason_of

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

Progress = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes there are in all; what it raises ends the download."""

METADATA_SECONDS = 6.0
"""How long the Hub may be silent when asked what a model consists of."""
ANSWER_SECONDS = 30.0
"""How long that answer may take in all; no HTTP timeout ends one that comes byte by byte."""
STALL_SECONDS = 10.0
"""A connection that brings nothing for so long is given up and made anew."""
TRIES = 4
"""Connections in a row that bring nothing before the download is given up."""
PAUSE_SECONDS = 0.5
_CHUNK = 1024**2
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")  # the first there is, is taken
_SMALL = ("*.json", "*.txt", "*.model", "*.spiece")
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.spiece")
_ETAG = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class _RemoteFile:
    """A file of the repository: its size in bytes, and the hash that the cache calls it by (git's or SHA-256)."""

    name: str
    size: int
    etag: str


class _ConnectionLostError(Exception):
    """The transfer broke; the next try goes on from what is here."""


def cached(repo_id: str) -> Path | None:
    """The folder of `repo_id` in the Hub's cache, if a whole model is there: configuration, tokenizer, every weight."""
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(repo_id, "config.json")
    except ValueError:  # no name that the Hub could have
        return None
    folder = Path(config).parent if isinstance(config, str) else None
    return folder if folder and _is_whole(folder) else None


def _is_whole(folder: Path) -> bool:
    """Files come into a snapshot one by one, each of them whole."""
    if not any(file.is_file() for pattern in _TOKENIZERS for file in folder.glob(pattern)):
        return False
    if (folder / "model.safetensors").is_file() or (folder / "pytorch_model.bin").is_file():
        return True
    try:
        shards = set(json.loads((folder / "model.safetensors.index.json").read_text("utf-8"))["weight_map"].values())
        return bool(shards) and all((folder / shard).is_file() for shard in shards)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def snapshot(repo_id: str, progress: Progress | None = None) -> Path:
    """The folder of `repo_id`: from the cache, else downloaded, a broken download resumed.

    Without `progress` a bar is drawn on stderr where that is a terminal. Raises EmotionError when the
    Hub can't be reached or refuses, there is no such model, the connection breaks for good, what comes
    isn't what the Hub announced, or the disk is full; and whatever `progress` raises.
    """
    if folder := cached(repo_id):
        return folder
    info = _ask(repo_id)
    files = _wanted(repo_id, info)
    place = _cache_folder(repo_id)
    total = sum(file.size for file in files)
    with _bar(repo_id, total) if progress is None else contextlib.nullcontext(progress) as report:
        try:
            done = 0
            for file in files:
                _fetch(repo_id, info.sha, file, place, lambda here, before=done: report(before + here, total))
                done += file.size
            _name_main(place, info.sha)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise EmotionError("error.disk_full") from error
            raise EmotionError("error.unwritable", folder=str(place), reason=reason_of(error)) from error
    if not (folder := cached(repo_id)):
        raise EmotionError("error.hub.not_whole", model=repo_id)
    return folder


def _ask(repo_id: str) -> ModelInfo:
    """What the Hub says that `repo_id` consists of."""
    from huggingface_hub import HfApi, errors

    answer: Future[ModelInfo] = Future()

    def ask() -> None:
        try:
            answer.set_result(HfApi().model_info(repo_id, files_metadata=True, timeout=METADATA_SECONDS))
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=ask, name=f"ask {repo_id}", daemon=True).start()
    try:
        with _refusals(repo_id):
            return answer.result(ANSWER_SECONDS)
    except EmotionError:
        raise
    except errors.OfflineModeIsEnabled as error:
        raise EmotionError("error.model.unreachable", model=repo_id, reason="HF_HUB_OFFLINE=1") from error
    except Exception as error:  # the HTTP library's own errors are not OSErrors in every version
        raise EmotionError("error.model.unreachable", model=repo_id, reason=reason_of(error)) from error


def _wanted(repo_id: str, info: ModelInfo) -> list[_RemoteFile]:
    """The files that a model is read from, the configuration last: where it is, the others are."""
    found = {}
    for file in info.siblings or []:
        etag, size = (file.lfs.sha256, file.lfs.size) if file.lfs else (file.blob_id, file.size)
        plain = "/" not in file.rfilename and "\\" not in file.rfilename
        if plain and size is not None and _ETAG.fullmatch(etag or ""):
            found[file.rfilename] = _RemoteFile(file.rfilename, size, etag)
    weights = next((name for name in _WEIGHTS if name in found), None)
    if weights is None or "config.json" not in found or not _COMMIT.fullmatch(info.sha or ""):
        raise EmotionError("error.hub.no_model", model=repo_id)
    patterns = [*_SMALL, "model-*.safetensors" if weights.endswith(".index.json") else weights]
    chosen = [file for name, file in found.items() if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    return sorted(chosen, key=lambda file: (file.name == "config.json", file.size))


def _cache_folder(repo_id: str) -> Path:
    """The cache's folder of a model whose name the Hub has accepted."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser() / "--".join(["models", *repo_id.split("/")])


def _fetch(repo_id: str, commit: str, file: _RemoteFile, place: Path, report: Callable[[int], None]) -> None:
    """Bring one file into the cache, whole and verified, or leave what came of it for the next time."""
    from filelock import FileLock, Timeout

    link = place / "snapshots" / commit / file.name
    blob = place / "blobs" / file.etag
    for folder in (link.parent, blob.parent, locks := place.parent / ".locks" / place.name):
        folder.mkdir(parents=True, exist_ok=True)
    if link.is_file() and link.stat().st_size == file.size:
        report(file.size)
        return
    lock = FileLock(locks / f"{file.etag}.lock")  # the Hub's library takes the same one
    while True:
        report(0)
        try:
            lock.acquire(timeout=0.2)
            break
        except Timeout:
            continue
    try:
        if not blob.is_file() or blob.stat().st_size != file.size:
            _transfer(repo_id, commit, file, blob, report)
        link.unlink(missing_ok=True)
        try:
            link.symlink_to(os.path.relpath(blob, link.parent))
        except OSError:  # Windows lets only developers make links; there the cache keeps the file itself
            blob.replace(link)
    finally:
        lock.release()
    report(file.size)


def _transfer(repo_id: str, commit: str, file: _RemoteFile, blob: Path, report: Callable[[int], None]) -> None:
    """Download into a file beside `blob`, from where the last download ended, and move it there when it is right."""
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(repo_id, file.name, revision=commit)
    partial = blob.with_name(f"{file.etag}.emotion.incomplete")
    with partial.open("ab") as written:
        here, fruitless = written.tell(), 0
        if shutil.disk_usage(partial.parent).free < file.size - here:
            raise EmotionError("error.disk_full")
        while here < file.size:
            report(here)
            before, lost = here, None
            try:
                for start, chunk in _chunks(repo_id, url, here, file):
                    if start < written.tell():  # the server can't go on from the middle
                        written.truncate(start)
                    written.write(chunk)
                    here = start + len(chunk)
                    report(here)
            except _ConnectionLostError as error:
                lost = error
            if lost and here <= before and (fruitless := fruitless + 1) >= TRIES:
                raise EmotionError("error.hub.broken", model=repo_id, reason=str(lost)) from lost
            if lost:
                written.flush()
                time.sleep(PAUSE_SECONDS)
        written.flush()
        os.fsync(written.fileno())
    if not _is_right(partial, file):
        partial.unlink()  # no later download could make it right
        raise EmotionError("error.hub.damaged", model=repo_id, file=file.name)
    partial.replace(blob)


def _chunks(repo_id: str, url: str, start: int, file: _RemoteFile) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of the file at `url` from offset `start`, or from 0 where the server knows no ranges.

    Raises _ConnectionLostError where trying again may help, EmotionError where not.
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    headers = {**build_hf_headers(), "Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        with get_session().stream("GET", url, headers=headers, timeout=STALL_SECONDS,
                                  follow_redirects=True) as response:
            status = response.status_code
            if status in (408, 429) or status >= 500:
                raise _ConnectionLostError(f"HTTP {status}")
            if status == 416:  # there it ends before what it was announced to hold
                raise EmotionError("error.hub.damaged", model=repo_id, file=file.name)
            with _refusals(repo_id):
                hf_raise_for_status(response)
            offset = start if status == 206 else 0
            if int(response.headers.get("Content-Length", file.size - offset)) != file.size - offset:
                raise EmotionError("error.hub.damaged", model=repo_id, file=file.name)  # a log-in page, for one
            for chunk in response.iter_bytes():  # as they come: gathered ones would be lost where the connection breaks
                yield offset, chunk[: file.size - offset]
                offset += len(chunk)
        if offset < file.size:
            raise _ConnectionLostError("end of data")
    except (EmotionError, _ConnectionLostError):
        raise
    except Exception as error:  # the HTTP library's own, which differ between its versions
        raise _ConnectionLostError(reason_of(error)) from error


def _is_right(file: Path, remote: _RemoteFile) -> bool:
    """Whether size and hash are those that the Hub announced."""
    if file.stat().st_size != remote.size:
        return False
    digest = hashlib.sha256() if len(remote.etag) == 64 else hashlib.sha1(b"blob %d\0" % remote.size)
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == remote.etag


def _name_main(place: Path, commit: str) -> None:
    """Make `commit` what the cache calls "main"."""
    reference = place / "refs" / "main"
    reference.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=reference.parent, prefix=".main-", delete=False) as fresh:
        fresh.write(commit)
    os.replace(fresh.name, reference)


@contextlib.contextmanager
def _refusals(repo_id: str) -> Iterator[None]:
    """Turn the Hub's answer that it won't give something into one sentence."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise EmotionError("error.hub.missing", model=repo_id) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if isinstance(error, errors.GatedRepoError) or status == 403:
            raise EmotionError("error.hub.refused", model=repo_id) from error
        if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
            raise EmotionError("error.hub.missing", model=repo_id) from error
        if status == 401:
            raise EmotionError("error.hub.refused", model=repo_id) from error
        raise EmotionError("error.hub.answer", model=repo_id, status=status) from error


@contextlib.contextmanager
def _bar(repo_id: str, total: int) -> Iterator[Progress]:
    """A bar on stderr, in a terminal only."""
    from tqdm.auto import tqdm

    with tqdm(total=total, unit="B", unit_scale=True, desc=repo_id, disable=None) as bar:
        yield lambda done, _: bar.update(done - bar.n)
