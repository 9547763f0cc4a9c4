"""Adding to `weights/` and removing from it: names, the lock, nothing half seen, nothing left."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import pytest

from emotion_core import EmotionError
from emotion_core.library import changing, deletable, delete, new_folder, sweep
from emotion_core.models import saved_models


@pytest.fixture
def folder(tiny_folder: Path, weights: Path) -> Path:
    """A copy of the tiny model under this test's `weights/`."""
    return Path(shutil.copytree(tiny_folder, weights / "mine"))


def names(weights: Path) -> list[str]:
    """What is in the folder besides its lock."""
    return sorted(path.name for path in weights.iterdir() if path.name != ".lock")


BAD_NAMES = ["../old", "a/b", "a\\b", ".hidden", "", " ", "bundled", "Runs", "jobs", "KoBERT", "x" * 61, "CON",
             "con.txt", "COM1", "com9.model", "lpt3", "LPT\u00b9", "nul.tar.gz", "aux", "a:b", "a*b", "a\nb", "a\0b",
             "끝.", "a "]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_no_folders_everywhere_is_refused(name: str, weights: Path) -> None:
    with pytest.raises(EmotionError) as caught:
        new_folder(name)
    assert caught.value.key == "error.name.invalid" and caught.value.text("ko") and caught.value.text("en")


@pytest.mark.parametrize("name", ["내 모델 1", "a", "com10", "console", "lpt", "model_10", "v1.2-beta", "x" * 60])
def test_a_good_name_is_a_folder_beside_the_others(name: str, weights: Path) -> None:
    assert new_folder(name) == weights / name


@pytest.mark.parametrize(("there", "wanted"), [
    ("내 모델", unicodedata.normalize("NFD", "내 모델")), (unicodedata.normalize("NFD", "내 모델"), "내 모델"),
    ("Mine", "mine"), ("mine", "MINE")])
def test_names_that_differ_in_composition_or_case_alone_are_one(weights: Path, there: str, wanted: str) -> None:
    (weights / there).mkdir()
    with pytest.raises(EmotionError) as caught:
        new_folder(wanted)
    assert caught.value.key == "error.name.taken"


def test_delete_removes_the_folder_and_only_that(folder: Path, weights: Path, tiny_folder: Path) -> None:
    shutil.copytree(folder, weights / "other")
    (weights / "linked").symlink_to(tiny_folder, target_is_directory=True)
    delete("mine")
    assert [saved.name for saved in saved_models()] == ["linked", "other"]
    delete("linked")
    assert (tiny_folder / "config.json").is_file(), "what a link points to stays"
    assert sorted(path.name for path in weights.iterdir() if path.name != ".lock") == ["other"]


@pytest.mark.parametrize("name", ["bundled", "nothing", "../mine", ""])
def test_what_cannot_be_deleted_is_said(folder: Path, weights: Path, name: str) -> None:
    shutil.copytree(folder, weights / "bundled")
    with pytest.raises(EmotionError) as caught:
        delete(name)
    assert caught.value.key == "error.delete.model" and (weights / "bundled").is_dir() and folder.is_dir()


def test_what_killed_deletes_and_imports_left_stands_in_nobodys_way(folder: Path, weights: Path) -> None:
    for left in (".deleted-mine", ".deleted-12345678", ".importing-abc"):
        shutil.copytree(folder, weights / left)
    assert [saved.name for saved in saved_models()] == ["mine"]
    delete("mine")
    assert [path.name for path in weights.iterdir() if path.name != ".lock"] == []


def test_a_folder_that_will_not_go_is_said(folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(EmotionError) as caught:
        delete("mine")
    assert caught.value.key == "error.unwritable" and folder.is_dir()


def test_changes_wait_for_one_another(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion_core.library._LOCK_SECONDS", 0.1)
    with changing() as root:
        assert root == weights
        with pytest.raises(EmotionError) as caught, changing():
            pass
    assert caught.value.key == "error.store_busy"
    with changing():
        pass


def test_what_a_kill_left_is_swept_away_but_not_under_a_change(
        weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (weights / ".importing-abc").mkdir()
    with changing():
        (weights / ".importing-now").mkdir()
        sweep()
        assert names(weights) == [".importing-now"], "the change goes on"
    sweep()
    assert names(weights) == []
    monkeypatch.setenv("EMOTION_WEIGHTS", str(weights / "nowhere"))
    sweep()
    assert names(weights) == [], "and makes no folder"


def test_a_runs_model_goes_with_its_run_only(folder: Path, weights: Path) -> None:
    run = weights / "runs" / "20260101-000000-abcdef"
    shutil.copytree(folder, run / "model")
    (run / "about.json").write_text(json.dumps({"name": "내 학습"}), "utf-8")
    assert [saved.name for saved in deletable()] == ["mine"]
    name = f"runs/{run.name}"
    assert name in [saved.name for saved in saved_models()]
    with pytest.raises(EmotionError) as caught:
        delete(name)
    assert caught.value.key == "error.delete.model" and (run / "model" / "config.json").is_file()
