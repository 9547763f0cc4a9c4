"""What a person does on the training page: a server of its own, that may be killed, and real runs of a tiny model."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from emotion_core import runs
from emotion_core.jobs.store import alive, read_json
from emotion_core.labels import LABELS
from emotion_core.messages import message
from emotion_core.runs import Run, creation, execution
from emotion_core.training.config import PRESETS
from tests.conftest import ROOT
from tests.e2e.conftest import _wait_until_healthy
from tests.runs.conftest import wait_for
from tests.tiny import save_tiny_model
from tests.training.data import choice, write_table

# A run is a process of its own, which a busy machine is slow to start; one of these starts three, and two servers.
pytestmark = pytest.mark.timeout(600)
Open = Callable[..., Page]
ROWS, LEARNED = 320, 256
LONG = "A run with a very long name, to be read on a narrow screen without scrolling it"
QUICK = PRESETS["quick"].with_changes(epochs=2, max_length=24, precision="fp32")


class Studio:
    """The app on weights of its own."""

    def __init__(self, place: Path) -> None:
        self.weights, self.table = place / "weights", place / "문장.csv"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        self._log = place / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self._port)], cwd=ROOT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "EMOTION_WEIGHTS": str(self.weights), "OMP_NUM_THREADS": "1"})
        _wait_until_healthy(self.process, self.address)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    place = tmp_path_factory.mktemp("training")
    studio = Studio(place)
    save_tiny_model(studio.weights / "bundled")
    write_table(studio.table, rows=ROWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOTION_WEIGHTS", str(studio.weights))
        patch.setenv("HF_HUB_CACHE", str(place / "hub"))
        studio.start()
        yield studio
        studio.kill()
        for run in runs.all_runs():
            runs.stop(run.id, force=True)


@pytest.fixture
def empty(studio: Studio) -> Studio:
    """No run before the test."""
    _clear()
    return studio


def _clear() -> None:
    for run in runs.all_runs():
        runs.stop(run.id, force=True)
    for run in runs.all_runs():
        wait_for(run.id, lambda found: found.ended)
        runs.delete(run.id)


@pytest.fixture
def open_training(browser: Browser, studio: Studio) -> Iterator[Open]:
    """Open the training page in a browser of its own; fails the test on a traceback or a script's error."""
    contexts, problems = [], []

    def open_(query: str = "", *, locale: str = "ko-KR", width: int = 1280, dark: bool = False) -> Page:
        context = browser.new_context(locale=locale, viewport={"width": width, "height": 900},
                                      color_scheme="dark" if dark else "light")
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.set_default_timeout(120_000)
        page.goto(f"{studio.address}/training{query}")
        page.get_by_role("heading", level=1).wait_for()
        return page

    yield open_
    tracebacks = [page.get_by_test_id("stException").count() for context in contexts for page in context.pages]
    for context in contexts:
        context.close()
    assert not any(tracebacks), "a traceback on the page"
    assert problems == []


def finished(studio: Studio, name: str, **changes: object) -> str:
    """A run that has finished; its work is done in this process."""
    run, _ = creation.create(choice(studio.table), "bundled", QUICK.with_changes(**changes), name=name)
    execution.execute(run)
    return run


@pytest.fixture
def looked_at(studio: Studio) -> Run:
    """The only run, finished, for tests that change nothing of it: the last one's where that left it so."""
    if [run.name for run in runs.all_runs()] != [LONG]:
        _clear()
        finished(studio, LONG)
    return only_run()


def button(page: Page, key: str, **values: object) -> Locator:
    return page.get_by_role("button", name=message(key, "ko", **values), exact=True)


def upload(page: Page, table: Path) -> None:
    page.locator("input[type=file]").set_input_files(table)
    expect(page.get_by_text(f"{ROWS}행 가운데 {LEARNED}문장으로 배우고")).to_be_visible()


def set_number(page: Page, key: str, value: str) -> None:
    box = page.get_by_role("spinbutton", name=message(key, "ko"), exact=True)
    box.fill(value)
    box.press("Enter")
    expect(page.get_by_text(message("training.preset_own", "ko"))).to_be_visible()


def step_shown(page: Page) -> int:
    shown = page.get_by_test_id("stProgress").inner_text()
    found = re.search(r"([\d,]+)/[\d,]+단계", shown)
    return int(found[1].replace(",", "")) if found else 0


def wait_for_step(page: Page, least: int) -> int:
    """The step that is on the screen, once it is at least `least`."""
    page.wait_for_function(
        """least => { const bar = document.querySelector('[data-testid=stProgress]');
           const found = bar && bar.innerText.match(/([\\d,]+)\\/[\\d,]+단계/);
           return found && Number(found[1].replaceAll(',', '')) >= least; }""", arg=least)
    return step_shown(page)


def wait_for_points(page: Page, chart: str, least: int) -> int:
    """How many points Plotly drew of a chart's curves, once there are at least `least`."""
    found = page.wait_for_function(
        """([chart, least]) => { const plot = document.querySelector(`.st-key-${chart} .js-plotly-plot`);
           const points = (plot && plot.data || []).reduce((sum, trace) => sum + trace.x.length, 0);
           return points >= least && points; }""", arg=[chart, least])
    return int(found.json_value())


def only_run() -> Run:
    found = runs.all_runs()
    assert len(found) == 1, [run.name for run in found]
    return found[0]


def test_a_run_outlives_reload_server_stop_and_kill(open_training: Open, empty: Studio) -> None:
    page = open_training()
    expect(button(page, "training.start")).to_have_count(0)
    upload(page, empty.table)
    set_number(page, "setting.epochs", "900")
    page.get_by_label(message("training.name", "ko"), exact=True).fill("밤새")
    button(page, "training.start").dblclick()
    expect(page.get_by_role("heading", name="밤새")).to_be_visible()
    run = only_run()
    assert page.url.endswith(f"?run={run.id}")

    wait_for_step(page, 20)
    for chart in ("run-loss", "run-accuracy"):
        wait_for_points(page, chart, wait_for_points(page, chart, 1) + 8)
    expect(page.locator(".st-key-run-accuracy .scatterlayer .trace")).to_have_count(3)

    seen = step_shown(page)
    page.reload()
    expect(page.get_by_role("heading", name="밤새")).to_be_visible()
    assert wait_for_step(page, seen) >= seen
    other = open_training()
    expect(other.locator(".st-key-queue")).to_contain_text("밤새")

    trainer = read_json(run.folder / "process.json")["pid"]
    empty.kill()
    assert alive(run.folder)
    at = runs.get(run.id).step
    empty.start()
    page.goto(f"{empty.address}/training?run={run.id}")
    wait_for_step(page, at + 1)
    assert read_json(run.folder / "process.json")["pid"] == trainer, "it was started again"

    button(page, "run.stop").click()
    expect(button(page, "run.resume")).to_be_visible()
    stopped = only_run()
    assert stopped.state == "stopped" and stopped.checkpoint == stopped.step
    expect(page.get_by_text(message("run.resumes_at", "ko", step=stopped.step, steps=stopped.steps))).to_be_visible()
    button(page, "run.resume").click()
    wait_for_step(page, stopped.step + 1)

    os.kill(read_json(run.folder / "process.json")["pid"], signal.SIGKILL)
    expect(page.get_by_text("학습이 끊겼습니다")).to_be_visible()
    killed = only_run()
    kept = killed.checkpoint  # looked up on disk each time, where the resumed run soon writes the next
    assert killed.state == "interrupted" and kept
    button(page, "run.resume").click()
    assert wait_for_step(page, kept + 1) > kept
    steps = [point.step for point in runs.metrics(run.id).points]
    assert steps == sorted(set(steps)), "a step is drawn twice"


def test_a_finished_run_is_looked_into_used_and_downloaded(open_training: Open, empty: Studio, tmp_path: Path) -> None:
    page = open_training()
    upload(page, empty.table)
    page.get_by_text("빠르게", exact=True).click()
    button(page, "training.start").click()
    expect(page.get_by_text(re.compile("에폭을 마쳤습니다"))).to_be_visible()
    run = wait_for(only_run().id, lambda found: not (found.folder / "checkpoints").exists())  # once it ended
    expect(page.get_by_test_id("stMetricValue").nth(1)).to_have_text(f"{run.figures['test_macro_f1']:.1%}")

    matrix = page.locator("[class*=st-key-batch-matrix-]")
    matrix.locator(".js-plotly-plot").wait_for()
    page.get_by_test_id("stSelectbox").filter(has_text=message("figure.true", "ko")).scroll_into_view_if_needed()
    count = int(sum(runs.test_results(run.id).truth == 0))
    box = page.get_by_role("combobox", name=message("figure.true", "ko"), exact=False).first
    box.click()
    page.get_by_role("option", name=LABELS[0]).click()
    expect(page.get_by_text(message("batch.found", "ko", count=count))).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("^모델 내려받기")).click()
    content = io.BytesIO(Path(download.value.path()).read_bytes())
    names = {Path(name).name for name in zipfile.ZipFile(content).namelist()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not {"optimizer.pt", "trainer_state.json", "test_logits.npy"} & names

    button(page, "run.use").click()
    expect(page.get_by_text(message("run.used", "ko", name=run.name).split("이제")[1][:8])).to_be_visible()
    page.get_by_test_id("stMain").get_by_role("link", name=message("live.title", "ko")).click()
    page.get_by_role("textbox").fill("가나다")
    page.get_by_role("button", name=message("live.analyse", "ko")).click()
    expect(page.get_by_text(f"사용한 모델: {run.name}")).to_be_visible()
    expect(page.get_by_text("사용한 모델: bundled")).to_have_count(0)

    page.reload()
    sidebar = page.get_by_test_id("stSidebar")
    expect(sidebar.get_by_role("combobox")).to_have_value(run.name)
    sidebar.get_by_text("English", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(message("live.title", "en"))
    expect(sidebar.get_by_role("combobox")).to_have_value(run.name)
    runs.delete(run.id)
    page.reload()
    expect(sidebar.get_by_role("combobox")).to_have_value("bundled")
    expect(page.get_by_test_id("stMain").get_by_role("alert")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("model="))


def test_runs_are_chosen_in_the_table_compared_and_deleted(open_training: Open, empty: Studio) -> None:
    ids = [finished(empty, "작은 배치", batch_size=16), finished(empty, "큰 배치", batch_size=64)]
    page = open_training()
    page.get_by_role("tab", name=message("training.tab_runs", "ko")).click()
    table = page.locator(".st-key-runs-chosen")
    canvas = table.locator(".dvn-scroller")  # lies over the canvas
    canvas.wait_for()
    expect(button(page, "runs.compare", count=0)).to_be_disabled()
    for row in (0, 1):
        canvas.click(position={"x": 16, "y": 35 + 35 * row + 17})
    button(page, "runs.compare", count=2).click()
    expect(page.get_by_role("heading", name=message("runs.compared", "ko"))).to_be_visible()
    assert set(page.url.rpartition("=")[2].replace("%2C", ",").split(",")) == set(ids)
    expect(page.locator(".st-key-compare-test_accuracy .scatterlayer .trace")).to_have_count(2)
    expect(page.locator(".st-key-compare-loss .scatterlayer .trace")).to_have_count(4)
    page.reload()
    expect(page.locator(".st-key-compare-test_accuracy .legendtext").first).to_be_visible()

    button(page, "training.back").click()
    page.get_by_role("tab", name=message("training.tab_runs", "ko")).click()
    canvas.click(position={"x": 16, "y": 35 + 17})
    page.get_by_test_id("stPopoverButton").filter(has_text=message("runs.delete", "ko", count=1)).click()
    assert len(runs.all_runs()) == 2, "deleted without a question"
    button(page, "batch.delete_confirm").click()
    expect(page.get_by_test_id("stPopoverButton")).to_have_count(0)
    assert [run.name for run in runs.all_runs()] == ["작은 배치"]


def test_a_row_of_the_table_opens_its_run(open_training: Open, looked_at: Run) -> None:
    page = open_training()
    page.get_by_role("tab", name=message("training.tab_runs", "ko")).click()
    canvas = page.locator(".st-key-runs-chosen .dvn-scroller")
    canvas.wait_for()
    canvas.click(position={"x": 70, "y": 35 + 17})
    expect(page.get_by_role("heading", name=LONG)).to_be_visible()
    assert page.url.endswith(f"?run={looked_at.id}")
    button(page, "training.back").click()
    expect(page.get_by_role("heading", name=LONG)).to_have_count(0)
    assert "run=" not in page.url


def test_time_and_memory_are_measured_before_a_run(open_training: Open, empty: Studio) -> None:
    page = open_training()
    upload(page, empty.table)
    button(page, "training.estimate").click()
    expect(page.get_by_text(re.compile(r"약 .+ 걸립니다 \(한 에폭 .*메모리 [\d.]+ GB"))).to_be_visible()
    set_number(page, "setting.epochs", "20")
    expect(page.get_by_text(re.compile(r"약 .+ 걸립니다"))).to_be_visible()
    assert runs.all_runs() == [], "measuring is no run"
    set_number(page, "setting.batch_size", "32")
    expect(button(page, "training.estimate")).to_be_visible()


@pytest.mark.parametrize(("locale", "dark"), [("ko-KR", False), ("en-US", True)])
def test_a_narrow_screen_needs_no_sideways_scrolling(open_training: Open, looked_at: Run, locale: str,
                                                     dark: bool) -> None:
    """And what is read in English has no Korean in it."""
    for query in ("", f"?run={looked_at.id}", f"?compare={looked_at.id}"):
        page = open_training(query, locale=locale, width=390, dark=dark)
        empty = page.get_by_text(message("training.not_ready", locale[:2]))
        (page.locator(".js-plotly-plot").first if query else empty).wait_for()
        main = page.get_by_test_id("stMain")
        assert main.evaluate("element => element.scrollWidth <= element.clientWidth"), query
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), query
        if locale == "en-US":
            said = main.inner_text()
            assert len(said) > 100 and not re.search("[가-힣]", said.replace("문장", "")), said
