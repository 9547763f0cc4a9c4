"""The batch page's logic: what is said before, what a button does, and what the URL and the disk decide."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from emotion_core import EmotionError, jobs
from emotion_core.jobs import process, store, worker
from emotion_core.jobs.process import launch
from emotion_core.labels import LABELS
from emotion_core.messages import message
from emotion_core.scoring import export
from emotion_core.scoring import job as scoring_job
from emotion_core.scoring.file import choose_columns, open_table
from pages.shared import result_downloads
from pages.shared.wording import plain
from tests.conftest import ROOT
from tests.tables.files import delimited, xlsx

ROWS = [[f"{text} {n}", label] for n, (text, label) in enumerate(
    [("오늘 좋다", "행복"), ("너무 슬퍼", "슬픔"), ("화난다", "분노"), ("무서워", "공포"), ("아무 말", "몰라")] * 30)]


@pytest.fixture
def app(tiny_folder: Path, weights: Path) -> AppTest:
    """The batch page on the tiny model."""
    shutil.copytree(tiny_folder, weights / "bundled")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    return app.switch_page("pages/batch.py").run()


@pytest.fixture
def in_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A started job is run at once, in this process."""
    monkeypatch.setattr(process, "launch", lambda folder, arguments: worker.main(folder))


def upload(app: AppTest, content: bytes, name: str = "a.csv") -> AppTest:
    app.file_uploader[0].upload(name, content, "text/csv")
    return app.run()


def said(app: AppTest) -> str:
    assert not app.exception
    kinds = (app.markdown, app.caption, app.error, app.warning, app.info)
    return "\n".join(one.value for kind in kinds for one in kind)


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def start_label() -> str:
    return message("batch.start", "ko", model="bundled")


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def done(tiny_folder: Path, tmp_path: Path, rows: list[list[str]], title: str = "b.csv") -> str:
    """A finished job."""
    path = tmp_path / "b.csv"
    path.write_bytes(delimited(rows).encode())
    table = open_table(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "launch", lambda folder, arguments: worker.main(folder))
        return scoring_job.start(table, choose_columns(table), tiny_folder, title, len(rows))


def test_nothing_yet(app: AppTest) -> None:
    assert message("batch.recent_empty", "ko") in said(app) and message("table.empty", "ko") in said(app)
    assert message("batch.kept", "ko", days=store.KEPT_DAYS, count=store.KEPT_JOBS) in said(app)
    assert start_label() not in labels(app)


def test_the_plan_says_what_becomes_of_odd_rows(app: AppTest) -> None:
    rows = [*ROWS[:6], ["", "슬픔"], ["너무 슬퍼 1", "슬픔"], ["아주 긴 " * 40, "중립"], ["깨진 \ufffd", "놀람"]]
    text = delimited(rows) + "칸이,행복,남는다\n" + "모자란다\n"
    upload(app, text.encode())
    plan = said(app)
    for key, values in (
        ("plan_rows", {"rows": 12, "columns": 2}), ("plan_labelled", {"labelled": 9, "rest": 2}),
        ("plan_empty", {"count": 1}), ("plan_duplicates", {"count": 1}), ("plan_undecodable", {"count": 1}),
        ("plan_short", {"count": 1}), ("plan_long", {"count": 1}), ("plan_cut", {"count": 1, "tokens": 32}),
    ):
        assert message(f"batch.{key}", "ko", **values) in plan, key
    assert jobs.jobs() == []


def test_unknown_labels_are_mapped_or_left_out(app: AppTest, in_here: None) -> None:
    upload(app, delimited(ROWS).encode())
    box = next(box for box in app.selectbox if "몰라" in box.label)
    assert "30" in box.label and box.options[1:] == list(LABELS)
    assert message("batch.plan_labelled", "ko", labelled=120, rest=30) in said(app)
    box.select("중립").run()
    assert message("batch.plan_all_labelled", "ko", labelled=150) in said(app)
    press(app, start_label())
    found = jobs.jobs()
    assert [(one.title, one.state, one.done) for one in found] == [("a.csv", "finished", 150)]
    assert app.query_params["job"] == found[0].id and len(app.metric) == 3
    assert message("batch.summary_unknown", "ko", count=30) not in said(app)


def test_labels_all_unknown_are_refused_until_one_is_mapped(app: AppTest) -> None:
    upload(app, delimited([["좋다", "별로"], ["싫다", "보통"]], ["문장", "감정"]).encode())
    assert [one.value for one in app.error] == [message("error.table.labels_unknown", "ko", names="별로, 보통")]
    assert start_label() not in labels(app)
    next(box for box in app.selectbox if "보통" in box.label).select("중립").run()
    assert not app.error and start_label() in labels(app)
    label_column = next(box for box in app.selectbox if box.label == message("table.label_column", "ko"))
    label_column.select(message("table.no_label", "ko")).run()
    assert message("batch.plan_unlabelled", "ko") in said(app) and start_label() in labels(app)


def test_a_column_without_sentences(app: AppTest) -> None:
    upload(app, delimited([["좋다", ""], ["싫다", ""]], ["문장", "빈 열"]).encode())
    next(box for box in app.selectbox if box.label == message("table.text_column", "ko")).select("빈 열").run()
    assert message("batch.all_empty", "ko", column="빈 열") in said(app) and start_label() not in labels(app)
    next(box for box in app.selectbox if box.label == message("table.label_column", "ko")).select("빈 열").run()
    assert message("table.same_column", "ko") in said(app)


def test_what_was_detected_can_be_overridden(app: AppTest) -> None:
    upload(app, "문장;감정\n좋다, 정말;행복\n싫다;분노\n".encode("cp949"))
    assert message("table.detected", "ko", encoding="CP949", delimiter=message("table.semicolon", "ko")) in [
        one.label for one in app.expander]
    next(box for box in app.selectbox if box.label == message("table.delimiter", "ko")).select(
        message("table.one_column", "ko")).run()
    assert message("batch.plan_rows", "ko", rows=3, columns=1) in said(app)  # "문장;감정" names no column
    app.checkbox[0].check().run()
    assert message("batch.plan_rows", "ko", rows=2, columns=1) in said(app)


def test_another_sheet_has_its_own_header(app: AppTest) -> None:
    book = xlsx(("하나", [["문장", "감정"], ["좋다", "행복"]]), ("둘", [["이건 그냥 문장이다."], ["싫다."], ["그래."]]))
    upload(app, book, "a.xlsx")
    next(box for box in app.selectbox if box.label == message("table.sheet", "ko")).select("둘").run()
    assert message("batch.plan_rows", "ko", rows=3, columns=1) in said(app)


def test_a_bad_file_is_called_by_its_own_name_and_the_next_is_read(app: AppTest) -> None:
    upload(app, b"", "내 파일.csv")
    assert [one.value for one in app.error] == [message("error.table.empty", "ko", file=plain("내 파일.csv"))]
    app.file_uploader[0].clear().upload("b.csv", '문장,감정\n"싫다,분노\n그래,중립\n'.encode(), "text/csv")
    app.run()
    assert len(app.error) == 1 and plain("b.csv") in app.error[0].value and start_label() not in labels(app)
    app.file_uploader[0].clear().upload("c.csv", delimited(ROWS).encode(), "text/csv")
    app.run()
    assert not app.error and start_label() in labels(app)


def test_a_job_that_cannot_be_started_is_said(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    upload(app, delimited(ROWS).encode())
    monkeypatch.setattr(process, "launch", full)
    press(app, start_label())
    assert [one.value for one in app.error] == [message("error.disk_full", "ko")]
    assert jobs.jobs() == [] and start_label() in labels(app)


def test_a_job_that_is_not_there_any_more(app: AppTest) -> None:
    for job in ("20260101-000000-abcdef", "../../etc/passwd"):
        app.query_params["job"] = job
        app.run()
        assert message("error.job.missing", "ko", job=plain(job)) in said(app) and "job" not in app.query_params
        assert app.file_uploader


def test_states_of_the_list_and_delete(app: AppTest, tiny_folder: Path, tmp_path: Path) -> None:
    job = done(tiny_folder, tmp_path, ROWS, "끝*난* 것.csv")
    broken = store.create(scoring_job.KIND, "깨짐.csv", {})
    (broken / "spec.json").write_text("{", "utf-8")
    dead = store.create(scoring_job.KIND, "죽음.csv", {"model": "x"})
    store.write_json(dead / "status.json", {"state": "running", "done": 3, "total": 9})
    store.write_json(dead / "process.json", {"pid": 1, "create_time": 1.0})
    app.run()
    text = said(app)
    assert "끝\\*난\\* 것\\.csv" in text and message("job.damaged", "ko") in text
    assert message("batch.rows_of", "ko", done=3, total=9) in text
    assert message("batch.list_stopped", "ko") in text
    app.button(key=f"delete-{broken.name}").click().run()
    app.button(key=f"delete-{job}").click().run()
    assert [one.id for one in jobs.jobs()] == [dead.name]
    app.button(key=f"open-{dead.name}").click().run()
    assert message("job.interrupted", "ko") in said(app) and message("batch.nothing", "ko") in said(app)
    assert message("batch.resume", "ko", left=6) in labels(app)


def test_old_results_go_by_the_rule_when_the_page_is_opened(app: AppTest, tiny_folder: Path, tmp_path: Path) -> None:
    job = done(tiny_folder, tmp_path, ROWS)
    spec = store.read_json(store.folder_of(job) / "spec.json")
    app.run()
    assert len(jobs.jobs()) == 1
    store.write_json(store.folder_of(job) / "spec.json", spec | {"created": time.time() - 86400 * store.KEPT_DAYS - 9})
    app.run()
    assert jobs.jobs() == [] and message("batch.recent_empty", "ko") in said(app)


def test_a_running_job_shows_its_progress_and_stops(app: AppTest) -> None:
    folder = store.create(scoring_job.KIND, "a.csv", {"model": "x"})
    child = process.launch(folder, ["-c", "import time; time.sleep(600)"])
    try:
        store.write_json(folder / "status.json", {"state": "running", "done": 250, "total": 1000, "seconds": 2.5})
        app.query_params["job"] = folder.name
        app.run()
        assert not app.exception and message("batch.goes_on", "ko") in said(app)
        press(app, message("batch.stop", "ko"))
        assert (folder / "stop").exists() and message("job.stopping", "ko") in labels(app)
        with pytest.raises(EmotionError):
            jobs.delete(folder.name)
        store.os.utime(folder / "stop", (1, 1))  # it doesn't listen
        app.run()
        press(app, message("batch.stop_now", "ko"))
        child.wait(20)
        app.run()
        assert message("job.stopped", "ko") in said(app)
    finally:
        child.kill()


def test_the_url_decides_what_is_listed(app: AppTest, tiny_folder: Path, tmp_path: Path) -> None:
    app.query_params["job"] = done(tiny_folder, tmp_path, ROWS)
    for name, value in {"true": "sadness", "low": "0.1", "text": "슬퍼", "page": "7", "threshold": "0.3",
                        "unsure": "1"}.items():
        app.query_params[name] = value
    app.run()
    assert message("batch.found_unsure", "ko", count=30) in said(app)
    assert app.selectbox(key="batch-truth").value == LABELS.index("슬픔")
    assert app.slider(key="batch-range").value == (0.1, 1.0) and app.slider(key="batch-threshold").value == 0.3
    assert "page" not in app.query_params  # there is only one
    app.text_input(key="batch-text").set_value("없는 말").run()
    assert message("batch.no_sentences", "ko") in said(app) and app.query_params["text"] == "없는 말"
    press(app, message("batch.back", "ko"))
    assert not app.query_params and app.file_uploader


@pytest.mark.parametrize("query", [
    {"true": "joyful", "predicted": "<b>", "low": "nan", "high": "-5", "text": "x" * 5000, "page": "-1"},
    {"low": "1e999", "high": "abc", "page": "99999999999999999999", "threshold": "inf", "percent": "yes"},
    {"low": "0.9", "high": "0.1", "page": "0", "unsure": "", "wrong": "true"},
])
def test_a_url_written_by_somebody_breaks_nothing(query: dict[str, str], app: AppTest, tiny_folder: Path,
                                                  tmp_path: Path) -> None:
    app.query_params["job"] = done(tiny_folder, tmp_path, ROWS)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception and not app.error and len(app.metric) == 3


def test_pages_of_the_list(app: AppTest, tiny_folder: Path, tmp_path: Path) -> None:
    app.query_params["job"] = done(tiny_folder, tmp_path, ROWS)
    app.query_params["page"] = "3"
    app.run()
    assert app.number_input(key="batch-number").value == 3 and len(app.dataframe[0].value) == 50
    last = app.dataframe[0].value.iloc[-1]
    app.number_input(key="batch-number").set_value(1).run()
    assert app.dataframe[0].value.iloc[0].iloc[-1] >= last.iloc[-1]
    app.checkbox(key="batch-unsure").check().run()
    assert app.dataframe[0].value.iloc[0].iloc[-1] == last.iloc[-1]
    app.checkbox(key="batch-wrong").check().run()
    shown = app.dataframe[0].value
    assert (shown[message("figure.true", "ko")] != shown[message("figure.predicted", "ko")]).all()


@pytest.fixture
def large(app: AppTest, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page of a finished job that counts as a large one."""
    monkeypatch.setattr(result_downloads, "AT_ONCE_ROWS", 100)
    app.query_params["job"] = done(tiny_folder, tmp_path, ROWS)
    return app.run()


def downloads(app: AppTest) -> list[str]:
    return [button.proto.label for button in app.get("download_button")]


def test_a_large_table_is_made_on_demand(large: AppTest, in_here: None) -> None:
    figures = [message("batch.report", "ko"), message("batch.figures", "ko")]
    assert downloads(large) == figures and message("batch.large", "ko", rows=150) in said(large)
    press(large, message("batch.make", "ko", kind="XLSX"))
    made = jobs.jobs(export.KIND)
    assert [one.state for one in made] == ["finished"]
    size = export.file_of(made[0]).stat().st_size / 1e6
    large.run()
    assert downloads(large) == [message("batch.made", "ko", kind="XLSX", size=size), *figures]
    assert message("batch.make", "ko", kind="CSV") in labels(large)
    assert message("batch.make", "ko", kind="XLSX") not in labels(large)
    press(large, message("batch.back", "ko"))
    assert labels(large).count(message("batch.open", "ko")) == 1  # the making of a table is no file that was scored
    large.button(key=f"delete-{jobs.jobs(scoring_job.KIND)[0].id}").click().run()
    assert jobs.jobs() == []  # the table too


def test_a_small_table_needs_no_making(app: AppTest, tiny_folder: Path, tmp_path: Path) -> None:
    app.query_params["job"] = done(tiny_folder, tmp_path, ROWS)
    app.run()
    assert downloads(app)[:2] == ["CSV", "XLSX"] and message("batch.make", "ko", kind="CSV") not in labels(app)


def test_a_table_too_large_to_send_stays_on_the_disk(large: AppTest, in_here: None,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_downloads, "LARGEST_SENT", 10)
    press(large, message("batch.make", "ko", kind="CSV"))
    large.run()
    path = export.file_of(jobs.jobs(export.KIND)[0])
    assert message("batch.made_on_disk", "ko", kind="CSV", size=path.stat().st_size / 1e6) in said(large)
    assert [one.value for one in large.code] == [str(path)] and len(downloads(large)) == 2
    assert message("batch.make", "ko", kind="CSV") not in labels(large)


def test_the_making_is_watched_and_stopped(large: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    children = []
    monkeypatch.setattr(process, "launch", lambda folder, arguments: children.append(
        launch(folder, ["-c", "import time; time.sleep(600)"])))
    try:
        press(large, message("batch.make", "ko", kind="CSV"))
        made = jobs.jobs(export.KIND)[0]
        assert message("batch.make_begins", "ko", kind="CSV") in progress(large)
        store.write_json(made.folder / "status.json", {"state": "running", "done": 50, "total": 150, "seconds": 2})
        large.run()
        assert message("batch.make_progress", "ko", kind="CSV", done=50, total=150, left="4초") in progress(large)
        assert len(large.metric) == 3 and message("batch.make", "ko", kind="XLSX") in labels(large)  # all else is there
        store.write_json(made.folder / "status.json", {"state": "running", "done": 150, "total": 150, "seconds": 9})
        large.run()
        assert message("batch.make_ends", "ko", kind="CSV") in progress(large)
        press(large, message("batch.make_stop", "ko"))
        assert (made.folder / "stop").exists()
        assert next(one for one in large.button if one.label == message("batch.make_stop", "ko")).disabled
        children[0].kill()
        children[0].wait(20)
        large.run()
        assert message("batch.make", "ko", kind="CSV") in labels(large) and not large.error
    finally:
        children[0].kill()


def test_a_table_that_cannot_be_made_is_said(large: AppTest, in_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "write_output", full)
        press(large, message("batch.make", "ko", kind="CSV"))
    large.run()
    assert [one.value for one in large.error] == [message("error.disk_full", "ko")] and not large.exception
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "launch", full)
        press(large, message("batch.make", "ko", kind="XLSX"))
    assert message("error.disk_full", "ko") in [one.value for one in large.error]
    press(large, message("batch.make", "ko", kind="CSV"))
    large.run()
    assert not large.error and len(downloads(large)) == 3


def progress(app: AppTest) -> list[str]:
    return [one.proto.text for one in app.get("progress")]


def test_the_report_calls_a_runs_model_as_the_shell_does(app: AppTest, tiny_folder: Path, weights: Path, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    model = Path(shutil.copytree(tiny_folder, weights / "runs" / "20260101-000000-abcdef" / "model"))
    made: dict[str, Callable[[], str]] = {}
    monkeypatch.setattr(result_downloads, "_button", lambda label, key, make, name, kind: made.update({key: make}))
    app.query_params["job"] = done(model, tmp_path, ROWS)
    app.run()
    assert json.loads(made["report"]())["model"] == "runs/20260101-000000-abcdef"
