"""Downloading from a Hub that is whole, cut, silent, refusing or lying: each ends in the model or in one sentence."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from emotion_core import EmotionError, bases, hub, kobert
from tests.fake_hub import COMMIT, FakeHub, files_of, serving
from tests.tiny_kobert import save_tiny_kobert

REPO = "somebody/kobert"
EXTRA = {"README.md": b"# not needed", "onnx/model.onnx": b"no", "flax_model.msgpack": b"no", "evil.py": b"raise"}


class StopError(Exception):
    """The person's Stop."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(hub, "PAUSE_SECONDS", 0.01)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files_of(save_tiny_kobert(tmp_path_factory.mktemp("kobert") / "files")) | EXTRA


@pytest.fixture
def online(files: dict[str, bytes], cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A Hub with a tiny KoBERT."""
    with serving(FakeHub(REPO, dict(files))) as fake:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", fake.address)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
                            fake.address + "/{repo_id}/resolve/{revision}/{filename}")
        yield fake


def quiet(_: int, __: int) -> None:
    """A progress that nobody looks at."""


def refused(repo_id: str = REPO) -> EmotionError:
    with pytest.raises(EmotionError) as caught:
        hub.snapshot(repo_id, quiet)
    for language in ("ko", "en"):
        assert repo_id in caught.value.text(language) and "\n" not in caught.value.text(language)
    return caught.value


def test_a_whole_model_comes_once_and_is_there_for_the_hubs_own_library(online: FakeHub, cache: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = hub.snapshot(REPO, lambda done, total: seen.append((done, total)))
    wanted = set(online.files) - set(EXTRA)
    assert {file.name for file in folder.iterdir()} == wanted, "and nothing that isn't needed"
    assert all((folder / name).read_bytes() == online.files[name] for name in wanted)
    total = sum(len(online.files[name]) for name in wanted)
    assert seen[0] == (0, total) and seen[-1] == (total, total) and seen == sorted(seen) and len(seen) > 5
    assert Path(snapshot_download(REPO, local_files_only=True)) == folder
    asked = len(online.asked)
    assert hub.snapshot(REPO, quiet) == folder == hub.cached(REPO) and len(online.asked) == asked
    assert bases.load(REPO).name == REPO
    assert not list(cache.rglob("*incomplete"))


def test_kobert_by_its_name(online: FakeHub) -> None:
    online.repo_id = kobert.HUB_ID
    with pytest.raises(EmotionError) as caught:
        bases.load("kobert")
    assert caught.value.key == "error.kobert.not_original", "the tiny one's vocabulary isn't SKT's"
    assert bases.locate("kobert") == hub.cached(kobert.HUB_ID)


def large(online: FakeHub) -> tuple[str, int]:
    name = "model.safetensors"
    assert name in online.large
    return name, len(online.files[name])


def test_a_stopped_download_goes_on_where_it_was(online: FakeHub) -> None:
    name, size = large(online)

    def stop(done: int, total: int) -> None:
        if done > total - size // 2:
            raise StopError

    with pytest.raises(StopError):
        hub.snapshot(REPO, stop)
    assert hub.cached(REPO) is None, "half a model is none"
    online.asked.clear()
    seen: list[int] = []
    folder = hub.snapshot(REPO, lambda done, _: seen.append(done))
    ranges = [wanted for path, wanted in online.asked if path.endswith(name)]
    assert len(ranges) == 1 and int(ranges[0].removeprefix("bytes=").removesuffix("-")) >= size // 2 - 40_000
    assert [path for path, _ in online.asked if "/resolve/" in path and not path.endswith((name, "config.json"))] == []
    assert (folder / name).read_bytes() == online.files[name]


def test_a_connection_cut_again_and_again_still_brings_it(online: FakeHub) -> None:
    name, size = large(online)
    online.cut_after = size // 5
    folder = hub.snapshot(REPO, quiet)
    assert (folder / name).read_bytes() == online.files[name]
    assert 3 < sum(path.endswith(name) for path, _ in online.asked) < 12


def test_a_server_that_knows_no_ranges_is_asked_from_the_beginning(online: FakeHub) -> None:
    name, size = large(online)
    online.cut_after, online.ranges = size // 2, False
    assert refused().key == "error.hub.broken"
    online.cut_after = None
    assert (hub.snapshot(REPO, quiet) / name).read_bytes() == online.files[name]


def test_a_connection_that_brings_nothing_more_is_given_up_and_what_came_is_kept(online: FakeHub) -> None:
    online.cut_after = 0
    error = refused()
    assert error.key == "error.hub.broken" and "이어받" in error.text("ko")
    assert sum(path.endswith("spiece.model") for path, _ in online.asked) == hub.TRIES
    online.cut_after = None
    hub.snapshot(REPO, quiet)


def test_a_silent_server_is_left_and_asked_again(online: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    name, size = large(online)
    monkeypatch.setattr(hub, "STALL_SECONDS", 0.3)
    online.stall_after = size // 2
    folder = hub.snapshot(REPO, quiet)
    assert (folder / name).read_bytes() == online.files[name]
    assert sum(path.endswith(name) for path, _ in online.asked) >= 2


def test_a_hub_that_does_not_answer_is_not_waited_for_long(
        online: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.METADATA_SECONDS <= 8
    monkeypatch.setattr(hub, "METADATA_SECONDS", 0.3)
    online.silent = True
    assert refused().key == "error.model.unreachable"
    with pytest.raises(EmotionError) as caught:
        bases.locate("kobert")
    assert caught.value.key == "error.kobert.unreachable"


def test_an_answer_that_comes_byte_by_byte_is_not_waited_for_to_its_end(
        online: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.ANSWER_SECONDS <= 30
    monkeypatch.setattr(hub, "ANSWER_SECONDS", 0.5)
    online.drips = True
    assert refused().key == "error.model.unreachable"
    assert online.dripped < 1000, "not waited for"


def test_kobert_that_is_not_found_is_the_networks_fault(online: FakeHub) -> None:
    """A proxy or a hotel's login page says 404; the person gave no name that could be wrong."""
    online.status = 404
    for name in ("kobert", kobert.HUB_ID):
        with pytest.raises(EmotionError) as caught:
            bases.locate(name)
        assert caught.value.key == "error.kobert.unreachable" and "HTTP 404" in caught.value.text("ko")


@pytest.mark.parametrize(("status", "code", "key"), [
    (401, "RepoNotFound", "error.hub.missing"), (404, "RepoNotFound", "error.hub.missing"),
    (404, None, "error.hub.missing"), (401, None, "error.hub.refused"), (403, "GatedRepo", "error.hub.refused"),
    (403, None, "error.hub.refused"), (500, None, "error.hub.answer"), (429, None, "error.hub.answer"),
])
def test_a_refusal_is_said(online: FakeHub, status: int, code: str | None, key: str) -> None:
    online.status, online.error_code = status, code
    assert refused().key == key
    assert hub.cached(REPO) is None


@pytest.mark.parametrize(("status", "key"), [(403, "error.hub.refused"), (404, "error.hub.missing"),
                                             (401, "error.hub.refused"), (503, "error.hub.broken")])
def test_files_that_are_refused(online: FakeHub, status: int, key: str) -> None:
    online.file_status = status
    online.error_code = "GatedRepo" if status == 401 else None
    assert refused().key == key


@pytest.mark.parametrize("change", ["shorter", "longer", "other", "page"])
def test_what_is_not_as_announced_is_never_used(online: FakeHub, cache: Path, change: str) -> None:
    name, size = large(online)
    whole = online.files[name]
    online.served[name] = {"shorter": whole[:-100], "longer": whole + b"more", "other": b"\1" * size,
                           "page": b"<html>Please log in</html>"}[change]
    assert refused().key == "error.hub.damaged"
    assert hub.cached(REPO) is None
    online.served.clear()
    assert hashlib.sha256((hub.snapshot(REPO, quiet) / name).read_bytes()).digest() == hashlib.sha256(whole).digest()


def test_names_that_lead_out_of_the_folder_are_not_written(online: FakeHub, cache: Path) -> None:
    online.files |= {"../../evil.json": b"{}", "..\\evil.json": b"{}", "/tmp/evil.json": b"{}"}
    hub.snapshot(REPO, quiet)
    assert not list(cache.parent.rglob("*evil*"))


def test_a_repository_without_weights_or_tokenizer(online: FakeHub) -> None:
    kept = online.files.pop("model.safetensors")
    assert refused().key == "error.hub.no_model"
    online.files["model.safetensors"] = kept
    del online.files["spiece.model"]
    assert refused().key == "error.hub.not_whole"


@pytest.mark.parametrize("name", ["", "a/b/c", "../..", "a b/c", "ㅋ/ㅋ", "a/" + "x" * 200])
def test_a_name_that_is_none(online: FakeHub, name: str) -> None:
    with pytest.raises(EmotionError) as caught:
        hub.snapshot(name, quiet)
    assert caught.value.key == "error.hub.missing"


def test_a_full_disk(online: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(EmotionError) as caught:
        hub.snapshot(REPO, quiet)
    assert caught.value.key == "error.disk_full"


def test_a_cache_that_cannot_be_written(online: FakeHub, cache: Path) -> None:
    cache.write_text("a file is in the way")
    with pytest.raises(EmotionError) as caught:
        hub.snapshot(REPO, quiet)
    assert caught.value.key == "error.unwritable"


def test_only_a_whole_snapshot_counts(online: FakeHub) -> None:
    folder = hub.snapshot(REPO, quiet)
    for name in ("spiece.model", "model.safetensors", "config.json"):
        kept = (folder / name).readlink()
        (folder / name).unlink()
        assert hub.cached(REPO) is None, name
        (folder / name).symlink_to(kept)
    assert hub.cached(REPO) == folder
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}')
    assert hub.cached(REPO) is None, "a shard is missing"
    (folder / "model-1.safetensors").write_bytes(b"x")
    assert hub.cached(REPO) == folder


def test_two_at_once_bring_it_once(online: FakeHub) -> None:
    name, _ = large(online)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(hub.snapshot(REPO, quiet))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 2 and found[0] == found[1]
    assert sum(path.endswith(name) for path, _ in online.asked) == 1
    assert found[0].name == COMMIT
