"""The models page's logic: lists, refusals, an import, a download that can't be had."""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest
from transformers import BertModel

from emotion_core import EmotionClassifier, EmotionError
from emotion_core.messages import message
from pages.shared import fetching
from pages.shared.importing import Import
from pages.shared.wording import plain
from tests.conftest import ROOT
from tests.test_checkpoints import BERTClassifier, names
from tests.tiny_kobert import save_tiny_kobert


@pytest.fixture
def app(tiny_folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The models page, with an empty Hub cache and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    fetching.of.clear()
    shutil.copytree(tiny_folder, weights / "bundled")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    return app.switch_page("pages/models.py").run()


def press(app: AppTest, key: str) -> AppTest:
    return next(button for button in app.button if button.label == message(key, "ko")).click().run()


def fill(app: AppTest, content: bytes, name: str, folder: str) -> AppTest:
    app.file_uploader[0].upload("model_10.tar", content, "application/x-tar")
    app.text_input(key="import-name").set_value(name)
    app.text_input(key="import-folder").set_value(folder)
    return press(app, "models.import_button")


def checkpoint(base: Path) -> bytes:
    written = io.BytesIO()
    model = BERTClassifier(BertModel.from_pretrained(base))
    torch.save({"epoch": 1, "model_state_dict": model.state_dict(), "optimizer_state_dict": {}}, written)
    return written.getvalue()


def test_the_page_lists_models_and_offers_kobert(app: AppTest) -> None:
    assert not app.exception and not app.error
    assert "bundled" in app.dataframe[0].value.to_string()
    assert message("models.kobert_fetch", "ko") in [button.label for button in app.button]
    assert message("models.delete_confirm", "ko") not in [button.label for button in app.button]  # only bundled


def test_import_makes_a_model_that_can_be_used_and_deleted(app: AppTest, weights: Path, tmp_path: Path) -> None:
    base = save_tiny_kobert(tmp_path / "base")
    fill(app, checkpoint(base), "내 노트북", str(base))
    assert [element.value for element in app.success] == [message("models.import_done", "ko", name="내 노트북")]
    assert EmotionClassifier.load("내 노트북").predict("안녕").logits.shape == (7,)
    assert "내 노트북" in app.sidebar.selectbox[0].options
    chosen = next(box for box in app.main.selectbox if box.label == message("models.delete_which", "ko"))
    chosen.set_value("내 노트북").run()
    press(app, "models.delete_confirm")
    assert names(weights) == ["bundled"]
    assert not app.exception


def test_bad_files_and_names_get_one_sentence(app: AppTest, weights: Path, tmp_path: Path) -> None:
    base = save_tiny_kobert(tmp_path / "base")
    fill(app, b"not a checkpoint", "mine", str(base))
    said = message("error.checkpoint.damaged", "ko", file=plain("model_10.tar"))
    assert [error.value for error in app.error] == [said]
    fill(app, checkpoint(base), "../mine", str(base))
    assert [error.value for error in app.error] == [message("error.name.invalid", "ko", name=plain("../mine"))]
    fill(app, checkpoint(base), "mine", "")
    assert [warning.value for warning in app.warning] == [message("models.import_needs_kobert", "ko")]
    fill(app, checkpoint(base), " ", str(base))
    assert [warning.value for warning in app.warning] == [message("models.import_incomplete", "ko")]
    assert names(weights) == ["bundled"] and not app.exception


def fill_path(app: AppTest, path: str, name: str, folder: str) -> AppTest:
    app.radio(key="import-way").set_value("path").run()
    app.text_input(key="import-path").set_value(path)
    app.text_input(key="import-name").set_value(name)
    app.text_input(key="import-folder").set_value(folder)
    return press(app, "models.import_button")


def test_a_file_of_this_computer_is_imported_by_its_path(app: AppTest, weights: Path, tmp_path: Path) -> None:
    base = save_tiny_kobert(tmp_path / "내 base")
    (tmp_path / "model 10.tar").write_bytes(checkpoint(base))
    fill_path(app, f'  "{tmp_path / "model 10.tar"}" ', "mine", f"'{base}'")
    assert [element.value for element in app.success] == [message("models.import_done", "ko", name="mine")]
    said = message("warning.kobert_vocabulary", "ko", folder=plain(str(base)))
    assert said in [element.value for element in app.main.warning], "the tiny one's vocabulary isn't SKT's"
    assert names(weights) == ["bundled", "mine"] and (tmp_path / "model 10.tar").is_file() and not app.exception


@pytest.mark.parametrize("path", ["/no/such.tar", "~nobody/x.tar", "x" * 5000, "/dev/zero", "/"])
def test_a_path_without_a_file_is_said(app: AppTest, weights: Path, tmp_path: Path, path: str) -> None:
    fill_path(app, path, "mine", str(save_tiny_kobert(tmp_path / "base")))
    assert len(app.error) == 1 and app.error[0].value.startswith("'") and not app.exception
    assert names(weights) == ["bundled"]


@pytest.mark.parametrize("folder", ["/no/such", "skt/kobert-base-v1", "y" * 5000])
def test_a_folder_that_is_none_is_said(app: AppTest, tmp_path: Path, folder: str) -> None:
    fill(app, b"x", "mine", folder)
    said = message("models.import_no_folder", "ko", folder=plain(folder[:200]))
    assert [error.value for error in app.error] == [said]


def test_what_nobody_foresaw_is_one_sentence_and_the_page_goes_on(
        app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("emotion_core.checkpoints.import_checkpoint", broken)
    fill(app, b"x", "mine", str(save_tiny_kobert(tmp_path / "base")))
    assert len(app.error) == 1 and "unforeseen" in app.error[0].value
    assert message("models.import_button", "ko") in [button.label for button in app.button] and not app.exception


def test_a_name_in_a_file_is_never_markdown(app: AppTest, weights: Path, tmp_path: Path) -> None:
    base = save_tiny_kobert(tmp_path / "base")
    state = BERTClassifier(BertModel.from_pretrained(base)).state_dict()
    written = io.BytesIO()
    torch.save(state | {"bert.![x](http://evil.example/x.png)": torch.zeros(2)}, written)
    fill(app, written.getvalue(), "mine", str(base))
    assert len(app.error) == 1 and "evil" in app.error[0].value and "![" not in app.error[0].value
    assert "](" not in app.error[0].value and names(weights) == ["bundled"]


def test_an_import_goes_on_without_anybody_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, at_work = threading.Event(), threading.Event()

    def slow(source: object, name: str, base: object, *, warn: Callable[[EmotionError], None],
             step: Callable[[str], None]) -> None:
        step("import.writing")
        at_work.set()
        go_on.wait(10)
        warn(EmotionError("error.disk_full"))

    monkeypatch.setattr("emotion_core.checkpoints.import_checkpoint", slow)
    work = Import(Path("model.tar"), "mine", "kobert")
    assert at_work.wait(10) and not work.ended(0) and work.step == "import.writing"
    go_on.set()
    assert work.ended(10) and work.error is None and [said.key for said in work.said] == ["error.disk_full"]


def test_a_runs_model_is_listed_by_its_title_and_not_deleted_here(
        app: AppTest, weights: Path, tiny_folder: Path) -> None:
    shutil.copytree(tiny_folder, weights / "runs" / "20260101-000000-abcdef" / "model")
    (weights / "runs" / "20260101-000000-abcdef" / "about.json").write_text('{"name": "첫 학습"}', "utf-8")
    (weights / ".importing-left").mkdir()
    app.run()
    assert "첫 학습" in app.dataframe[0].value.to_string()
    assert message("models.delete_confirm", "ko") not in [button.label for button in app.button]
    assert not (weights / ".importing-left").exists(), "what a killed import left"


def test_a_model_that_will_not_go_is_said(
        app: AppTest, weights: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "in use")

    shutil.copytree(tiny_folder, weights / "mine")
    app.run()
    app.selectbox(key="delete-name").set_value("mine").run()
    monkeypatch.setattr(Path, "rename", denied)
    press(app, "models.delete_confirm")
    assert len(app.error) == 1 and "in use" in app.error[0].value and (weights / "mine").is_dir()
    assert not app.exception


def test_over_a_network_no_path_of_this_computer_is_asked_for(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    import streamlit

    assert app.radio(key="import-way")
    real = streamlit.get_option
    monkeypatch.setattr("streamlit.get_option", lambda name: "0.0.0.0" if name == "server.address" else real(name))
    app.run()
    assert "import-folder" not in [field.key for field in app.text_input] and not app.exception
    assert "import-way" not in [field.key for field in app.radio]


def test_without_a_network_the_button_says_so_and_can_be_pressed_again(app: AppTest) -> None:
    from emotion_core import kobert

    press(app, "models.kobert_fetch")
    fetching.of(kobert.HUB_ID).join(30)
    app.run()
    assert len(app.error) == 1 and "인터넷" in app.error[0].value
    assert message("models.kobert_fetch", "ko") in [button.label for button in app.button]
    assert not app.exception


def test_a_download_reports_stops_at_once_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def silent(repo_id: str, progress: Callable[[int, int], None]) -> None:
        try:
            progress(10, 100)
            arrived.set()
            go_on.wait(10)
            progress(20, 100)
        finally:
            ended.set()

    monkeypatch.setattr("emotion_core.hub.snapshot", silent)
    download = fetching.Fetching("somebody/model")
    download.start()
    assert arrived.wait(10) and download.running and (download.done, download.total) == (10, 100)
    first = download._run
    download.start()
    assert download._run is first, "two presses start one download"
    monkeypatch.setattr(fetching, "SILENT_SECONDS", 0)
    assert download.silent
    download.stop()
    assert not download.running and not go_on.is_set(), "though the server is silent still"
    monkeypatch.setattr("emotion_core.hub.snapshot", lambda _, progress: progress(30, 100))
    download.start()
    download.join(10)
    go_on.set()
    assert ended.wait(10)
    first.thread.join(10)
    assert (download.done, download.total) == (30, 100), "the stopped one reports to nobody"
    assert first.error is None and download.error is None, "a stop is no failure"


def test_whatever_a_download_fails_of_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("unforeseen")

    monkeypatch.setattr("emotion_core.hub.snapshot", broken)
    download = fetching.Fetching("somebody/model")
    download.start()
    download.join(10)
    assert download.error is not None and "unforeseen" in download.error.text("ko")
