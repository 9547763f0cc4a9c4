"""What a person does on the models page, in a real browser, with a Hub of our own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from playwright.sync_api import Browser, Locator, Page, expect
from transformers import BertModel

from emotion_core import kobert
from emotion_core.messages import message
from tests.conftest import BUNDLED, ROOT
from tests.e2e.conftest import Open, _wait_until_healthy, opening
from tests.fake_hub import FakeHub, files_of, serving
from tests.test_checkpoints import BERTClassifier, Evil, checkpoint_of, names
from tests.tiny_kobert import save_tiny_kobert

MEGABYTE = 1024**2


@dataclass(frozen=True)
class Studio:
    """A running app, the Hub it asks, and the folders it works on."""

    address: str
    hub: FakeHub
    weights: Path
    base: Path
    files: Path


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The app with a Hub that has a tiny KoBERT, its weights made 8 MB long."""
    place = tmp_path_factory.mktemp("studio")
    base = save_tiny_kobert(place / "base")
    (place / "weights").mkdir()
    (place / "weights" / "bundled").symlink_to(BUNDLED, target_is_directory=True)
    files = place / "files"
    files.mkdir()
    torch.manual_seed(1)
    content = checkpoint_of(BERTClassifier(BertModel.from_pretrained(base)))
    torch.save(content, files / "model_10.tar")
    torch.save(content | {"extra": Evil(files / "owned")}, files / "evil.tar")
    torch.save(content["model_state_dict"] | {"bert.![x](/evil.png)": torch.zeros(2)}, files / "picture.tar")
    fake = FakeHub(kobert.HUB_ID, files_of(base) | {"model.safetensors": os.urandom(8 * MEGABYTE)})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serving(fake), (place / "server.log").open("wb") as log:
        hub = ("HF_", "HUGGING", "TRANSFORMERS_")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(hub)}
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)], cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=environment | {"EMOTION_WEIGHTS": str(place / "weights"), "HF_HOME": str(place / "hub"),
                               "HF_ENDPOINT": fake.address})
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_healthy(process, address)
            yield Studio(address, fake, place / "weights", base, files)
        finally:
            fake.go_on.set()
            process.terminate()
            process.wait(20)


@pytest.fixture
def open_models(browser: Browser, studio: Studio) -> Iterator[Open]:
    """Open the models page, all of it."""
    with opening(browser, studio.address) as open_page:

        def open_(*, locale: str = "ko-KR", **options: object) -> Page:
            page = open_page("/models", locale=locale, **options)
            button(page, "models.import_button", "ko" if locale.startswith("ko") else "en").wait_for()
            return page

        yield open_


def button(page: Page, key: str, language: str = "ko") -> Locator:
    return page.get_by_role("button", name=message(key, language))


def fill(page: Page, label: str, text: str) -> None:
    page.get_by_label(message(label, "ko"), exact=True).fill(text)


def upload(page: Page, file: Path, name: str, folder: Path) -> None:
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_test_id("stFileUploader").get_by_text(file.name)).to_be_visible()
    fill(page, "models.import_name", name)
    fill(page, "models.import_folder", str(folder))
    button(page, "models.import_button").click()


def test_kobert_is_fetched_with_progress_stopped_and_resumed(open_models: Open, studio: Studio) -> None:
    other, page = open_models(), open_models()
    studio.hub.stall_after = 3 * MEGABYTE + 1
    button(page, "models.kobert_fetch").click()
    bar = page.get_by_role("progressbar")
    expect(page.get_by_text(re.compile("내려받는 중: 8MB 중 3MB"))).to_be_visible()
    studio.hub.stall_after = 1  # later connections bring little: a slow machine is not done before the other tab looks
    assert 30 < float(bar.first.get_attribute("aria-valuenow")) < 50
    expect(page.get_by_text(message("models.kobert_silent", "ko"))).to_be_visible()
    other.reload()  # one download for all tabs; on a slow machine the second connection is at work by then
    expect(other.get_by_text(re.compile("8MB 중 [36]MB"))).to_be_visible()
    button(page, "models.kobert_stop").click()
    expect(page.get_by_text(message("models.kobert_stopped", "ko"))).to_be_visible(timeout=5_000)
    assert not studio.hub.go_on.is_set(), "the server is silent still, and the stop didn't wait for it"
    studio.hub.stall_after = None
    studio.hub.go_on.set()
    studio.hub.asked.clear()
    button(page, "models.kobert_fetch").click()
    expect(page.get_by_text(message("models.kobert_here", "ko"))).to_be_visible()
    expect(page.locator("code", has_text="snapshots")).to_be_visible()
    ranges = [wanted for path, wanted in studio.hub.asked if path.endswith("model.safetensors")]
    assert len(ranges) == 1 and int(ranges[0].removeprefix("bytes=").rstrip("-")) >= 3 * MEGABYTE


def test_an_uploaded_checkpoint_is_used_on_the_first_page_and_deleted_after_a_question(
        open_models: Open, studio: Studio) -> None:
    page = open_models()
    upload(page, studio.files / "model_10.tar", "내 노트북", studio.base)
    expect(page.get_by_text(message("models.import_done", "ko", name="내 노트북"))).to_be_visible()
    expect(page.get_by_test_id("stFileUploader").get_by_text("model_10.tar")).to_have_count(0)
    assert names(studio.weights) == ["bundled", "내 노트북"]

    page.get_by_role("link", name=message("live.title", "ko")).click()
    page.get_by_test_id("stSidebar").get_by_test_id("stSelectbox").click()
    page.get_by_role("option", name="내 노트북").click()
    page.get_by_role("textbox").fill("오늘 정말 행복해요")
    page.get_by_role("button", name="감정 읽기").click()
    expect(page.get_by_text("사용한 모델: 내 노트북")).to_be_visible()
    expect(page.locator(".js-plotly-plot:visible")).to_be_visible()

    page.get_by_role("link", name=message("models.title", "ko")).click()
    button(page, "models.delete").click()
    confirm = button(page, "models.delete_confirm")
    expect(confirm).to_be_disabled()
    assert names(studio.weights) == ["bundled", "내 노트북"], "asked first"
    page.get_by_test_id("stPopoverBody").get_by_test_id("stSelectbox").click()
    page.get_by_role("option", name="내 노트북").click()
    expect(confirm).to_be_enabled()
    confirm.click()
    expect(page.get_by_text(message("models.deleted", "ko", name="내 노트북"))).to_be_visible()
    expect(page.get_by_test_id("stSidebar").get_by_role("combobox")).to_have_value("bundled")
    assert names(studio.weights) == ["bundled"]


def test_a_file_of_this_computer_by_its_path(open_models: Open, studio: Studio) -> None:
    page = open_models()
    page.get_by_text(message("models.import_path_way", "ko")).click()
    expect(page.locator("input[type=file]")).to_have_count(0)
    fill(page, "models.import_path", str(studio.files / "model_10.tar"))
    fill(page, "models.import_name", "by_path")
    fill(page, "models.import_folder", str(studio.base))
    button(page, "models.import_button").click()
    expect(page.get_by_text(message("models.import_done", "ko", name="by_path"))).to_be_visible()
    expect(page.get_by_label(message("models.import_name", "ko"), exact=True)).to_have_value("")
    expect(page.get_by_text(message("warning.kobert_vocabulary", "ko", folder=str(studio.base)))).to_be_visible()
    assert "by_path" in names(studio.weights)


def test_a_hostile_file_runs_nothing_and_leaves_nothing(open_models: Open, studio: Studio) -> None:
    page = open_models()
    before = names(studio.weights)
    upload(page, studio.files / "evil.tar", "evil", studio.base)
    expect(page.get_by_text(message("error.checkpoint.objects", "ko", file="evil.tar"))).to_be_visible()
    assert not (studio.files / "owned").exists() and names(studio.weights) == before
    fill(page, "models.import_name", "../evil")
    button(page, "models.import_button").click()
    expect(page.get_by_text(message("error.name.invalid", "ko", name="../evil"))).to_be_visible()
    assert names(studio.weights) == before


def test_a_picture_named_in_a_file_is_not_fetched(open_models: Open, studio: Studio) -> None:
    page = open_models()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    upload(page, studio.files / "picture.tar", "picture", studio.base)
    expect(page.get_by_text("bert.![x](/evil.png)")).to_be_visible()
    assert not [url for url in asked if "evil.png" in url] and "picture" not in names(studio.weights)


def test_an_import_goes_on_while_its_person_is_on_another_page(open_models: Open, studio: Studio) -> None:
    page = open_models()
    with FileLock(studio.weights / ".lock"):  # the import waits here, as on a slow disk
        upload(page, studio.files / "model_10.tar", "slow", studio.base)
        expect(page.get_by_text(message("import.writing", "ko"))).to_be_visible()
        page.get_by_role("link", name=message("live.title", "ko")).click()
        expect(page.get_by_role("button", name="감정 읽기")).to_be_visible()
        assert "slow" not in names(studio.weights)
    page.get_by_role("link", name=message("models.title", "ko")).click()
    expect(page.get_by_text(message("models.import_done", "ko", name="slow"))).to_be_visible()
    assert "slow" in names(studio.weights)


def test_the_uploader_speaks_the_reader_s_language(open_models: Open, studio: Studio) -> None:
    page = open_models()
    zone = page.get_by_test_id("stFileUploaderDropzone")
    seen = zone.evaluate("""zone => [...zone.querySelectorAll('*')].flatMap(element => [
        ...(getComputedStyle(element).fontSize === '0px' ? [] : [...element.childNodes].filter(
            node => node.nodeType === Node.TEXT_NODE).map(node => node.data)),
        getComputedStyle(element, '::after').content])""")
    assert {f'"{message("table.browse", "ko")}"', f'"{message("models.import_kinds", "ko", limit=1500)}"'} <= set(seen)
    assert not [said for said in seen if re.search("Upload|per file", said)]
    (studio.files / "notes.txt").write_text("no checkpoint")
    page.locator("input[type=file]").set_input_files(studio.files / "notes.txt")
    page.wait_for_function("""said => [...document.querySelectorAll('[class*=st-key-import-file]')].some(
        element => getComputedStyle(element, '::after').content.includes(said))""",
                           arg=message("models.import_refused", "ko", limit=1500))


@pytest.mark.parametrize(("locale", "dark"), [("ko-KR", False), ("en-US", True)])
def test_a_narrow_screen_needs_no_sideways_scrolling(open_models: Open, locale: str, dark: bool) -> None:
    page = open_models(locale=locale, width=390, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    main = page.get_by_test_id("stMain")
    assert main.evaluate("element => element.scrollWidth <= element.clientWidth")
    if locale == "en-US":
        assert not re.search("[가-힣]", main.inner_text())
