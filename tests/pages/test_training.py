"""The training page's logic, through streamlit's AppTest on a tiny model; the runs are done in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from emotion_core import EmotionClassifier, EmotionError, runs
from emotion_core.jobs.store import write_json
from emotion_core.labels import LABELS
from emotion_core.messages import message
from emotion_core.runs import creation, execution, store, sweeps
from emotion_core.training import checkpoint
from emotion_core.training.config import PRESETS
from pages.shared.wording import plain
from tests.conftest import ROOT
from tests.training.data import choice, write_table

CONFIG = PRESETS["quick"].with_changes(epochs=2, max_length=24, precision="fp32")


def ko(key: str, **values: object) -> str:
    return message(key, "ko", **values)


@pytest.fixture
def app(tiny_folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The training page on a tiny model, without KoBERT; nothing is started in the background."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(runs, "wake", lambda: None)
    monkeypatch.setattr(runs.scheduler, "wake", lambda: None)
    shutil.copytree(tiny_folder, weights / "bundled")
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run().switch_page("pages/training.py").run()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "table.csv")


@pytest.fixture
def made(app: AppTest, table: Path) -> Callable[..., str]:
    """Makes a run, and does its work where asked."""

    def make(name: str = "첫 학습", work: bool = True, **changes: object) -> str:
        run, _ = creation.create(choice(table), "bundled", CONFIG.with_changes(**changes), name=name)
        if work:
            execution.execute(run)
        return run

    return make


def upload(app: AppTest, content: bytes, name: str = "table.csv") -> AppTest:
    app.file_uploader[0].upload(name, content, "text/csv")
    return app.run()


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def press(app: AppTest, said: str) -> AppTest:
    return next(button for button in app.button if button.label == said).click().run()


def said(app: AppTest) -> str:
    """All text of the page."""
    kinds = ("markdown", "caption", "success", "info", "warning", "error", "text")
    return "\n".join(str(element.value) for kind in kinds for element in app.main.get(kind))


def show(app: AppTest, **query: str) -> AppTest:
    for name in ("run", "sweep", "compare"):
        app.query_params.pop(name, None)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def settings(app: AppTest) -> dict[str, object]:
    return {box.key.removeprefix("training-set-"): box.value for box in [*app.number_input, *app.selectbox, *app.toggle]
            if box.key and box.key.startswith("training-set-")}


def test_nothing_can_be_started_before_there_is_data(app: AppTest) -> None:
    assert not app.exception and not app.error
    assert ko("training.start") not in labels(app)
    assert ko("training.not_ready") in said(app)


def test_a_file_is_reported_on_and_a_run_started(app: AppTest, table: Path) -> None:
    upload(app, table.read_bytes())
    assert not app.error
    assert ko("training.report_rows", rows=96, train=76, test=20) in said(app)
    assert ko("training.warning.absent", labels="중립, 행복, 혐오") in said(app)
    app.text_input(key="training-name").set_value("아침까지").run()
    press(app, ko("training.start"))
    first = app.query_params["run"]
    assert [(run.id, run.name, run.state) for run in runs.all_runs()] == [(first, "아침까지", "queued")]
    assert ko("run.soon") in said(app)
    assert ko("training.start") not in labels(app), "there is nothing left to click twice"


def test_a_click_that_comes_again_opens_the_run_it_started(app: AppTest, made: Callable[..., str]) -> None:
    made(work=False)
    show(app)
    app.segmented_control(key="training-source").set_value("run").run()
    token = app.session_state["training-token"]
    press(app, ko("training.start"))
    first = app.query_params["run"]
    show(app)
    app.session_state["training-token"] = token  # as after a click that was cut off before the page came back
    app.session_state["training-source-run"] = runs.all_runs()[1].id
    app.run()
    press(app, ko("training.start"))
    assert len(runs.all_runs()) == 2 and app.query_params["run"] == first
    show(app)
    app.session_state["training-token"] = token
    app.session_state["training-source-run"] = runs.all_runs()[1].id
    app.number_input(key="training-set-epochs").set_value(3).run()
    press(app, ko("training.start"))
    assert len(runs.all_runs()) == 3 and runs.all_runs()[0].epochs == 3, "other settings are another run"


def test_presets_fill_the_settings_and_a_change_is_ones_own(app: AppTest) -> None:
    assert settings(app)["batch_size"] == 16 and settings(app)["epochs"] == 10
    app.segmented_control(key="training-preset").set_value("quick").run()
    assert settings(app)["batch_size"] == 32 and settings(app)["learning_rate"] == pytest.approx(8e-5)
    app.number_input(key="training-set-epochs").set_value(2).run()
    assert ko("training.preset_own") in said(app)
    app.selectbox(key="training-set-optimizer").set_value("sgd").run()
    assert settings(app)["learning_rate"] == pytest.approx(0.01) and settings(app)["epochs"] == 2
    app.segmented_control(key="training-preset").set_value("notebook").run()
    assert settings(app)["learning_rate"] == pytest.approx(5e-5) and settings(app)["optimizer"] == "adamw"
    assert not app.exception and not app.error


def test_settings_that_cannot_go_together_are_said(app: AppTest, table: Path) -> None:
    upload(app, table.read_bytes())
    app.number_input(key="training-set-gradient_accumulation").set_value(3).run()
    assert [error.value for error in app.error] == [ko("error.config.accumulation", batch=16, parts=3)]
    assert ko("training.start") not in labels(app)


def test_kobert_that_is_not_here_is_said_and_nothing_is_fetched(app: AppTest, table: Path) -> None:
    upload(app, table.read_bytes())
    app.selectbox(key="training-base").set_value("kobert").run()
    assert ko("training.kobert_missing") in said(app)
    assert ko("training.start") not in labels(app) and not app.error


@pytest.mark.parametrize("folder", ["/no/such", "x" * 5000, "a\0b"])
def test_a_folder_that_is_none_is_said(app: AppTest, table: Path, folder: str) -> None:
    upload(app, table.read_bytes())
    app.selectbox(key="training-base").set_value("?").run()
    app.text_input(key="training-base-folder").set_value(folder).run()
    assert len(app.error) == 1 and not app.exception
    assert ko("training.start") not in labels(app)


@pytest.mark.parametrize(("rows", "key"), [
    ([("가", LABELS[0])] * 20, "error.training.one_class"),
    ([("가", LABELS[0])] * 30 + [("나", LABELS[1])], "error.training.few_rows"),
    ([("가", "")] * 5, "error.split.rows"),
])
def test_data_that_cannot_be_trained_on(app: AppTest, rows: list[tuple[str, str]], key: str) -> None:
    lines = ["Sentence,Emotion", *(f"{text}{place},{label}" for place, (text, label) in enumerate(rows))]
    upload(app, "\n".join(lines).encode())
    expected = ko(key, rows=0, label=LABELS[0], labels=f"{LABELS[1]} 1")
    assert [error.value for error in app.error] == [expected]
    assert ko("training.start") not in labels(app) and not app.exception


def test_a_finished_run_shows_its_own_settings_and_becomes_the_model(app: AppTest, made: Callable[..., str]) -> None:
    run = made(dropout=0.25)
    show(app, run=run)
    assert not app.exception and not app.error
    assert ko("figure.test_f1") in [metric.label for metric in app.metric]
    shown = {tuple(row) for frame in app.dataframe for row in frame.value.astype(str).to_numpy()[:, :2]}
    app.session_state["run-tabs"] = ko("run.tab_settings")
    app.run()
    shown = {tuple(row) for frame in app.dataframe for row in frame.value.astype(str).to_numpy()[:, :2]}
    assert (ko("setting.dropout"), "0.25") in shown, "the form's is 0.5"
    assert (ko("run.fingerprint"), runs.get(run).data.fingerprint) in shown
    press(app, ko("run.use"))
    assert ko("run.used", name="첫 학습") in said(app)
    app.switch_page("pages/live.py").run()
    assert app.sidebar.selectbox[0].value == f"runs/{run}"
    assert EmotionClassifier.load(f"runs/{run}").predict("가").logits.shape == (7,)


def test_the_test_half_is_shown_as_the_batch_page_shows_a_file(app: AppTest, made: Callable[..., str]) -> None:
    show(app, run=made())
    assert ko("batch.matrix") in [element.value for element in app.subheader]
    assert ko("batch.found", count=20) in said(app)
    app.selectbox(key="batch-truth").set_value(0).run()
    assert app.query_params["true"] == "fear" and not app.exception


def test_rename_note_and_delete(app: AppTest, made: Callable[..., str]) -> None:
    run = made()
    show(app, run=run)
    next(box for box in app.text_input if box.label == ko("training.name")).set_value("  새   이름 ")
    next(box for box in app.text_area if box.label == ko("run.note")).set_value("**굵게** 아님")
    press(app, ko("run.rename_save"))
    assert runs.get(run).name == "새 이름" and "**굵게** 아님" in [text.value for text in app.text]
    press(app, ko("batch.delete_confirm"))
    assert runs.all_runs() == [] and "run" not in app.query_params and not app.exception


def test_a_run_that_is_gone_or_never_was(app: AppTest) -> None:
    for name in ("20260101-000000-abcdef", "../bundled", "x" * 300):
        show(app, run=name)
        assert ko("error.run.missing", run=plain(name[:60])) in said(app)
        assert not app.exception and "run" not in app.query_params


def test_a_damaged_run_is_shown_as_damaged_and_nothing_else_suffers(app: AppTest, made: Callable[..., str]) -> None:
    good, bad = made("좋은 학습"), made("깨진 학습", work=False)
    (runs.get(bad).folder / "run.json").write_text("{", "utf-8")
    app.session_state["training-tab"] = ko("training.tab_runs")
    show(app)
    listed = app.dataframe[0].value.set_index(ko("training.name"))[ko("runs.state")].to_dict()
    assert listed == {"좋은 학습": ko("run.state.finished"), bad: ko("run.state.damaged")}
    show(app, run=bad)
    assert "손상" in app.error[0].value and not app.exception
    press(app, ko("batch.delete_confirm"))
    assert [run.id for run in runs.all_runs()] == [good]


def test_a_failed_run_says_why_and_an_interrupted_one_resumes(app: AppTest, made: Callable[..., str]) -> None:
    run = made(work=False)
    folder = runs.get(run).folder
    for error in (EmotionError("error.disk_full"), EmotionError("error.training.diverged", step=3, learning_rate=0.5)):
        store.write_status(folder, "failed", error)
        show(app, run=run)
        assert [shown.value for shown in app.error] == [error.text("ko")]
    store.write_status(folder, "running", step=5, steps=6, epoch=0.8)
    write_json(folder / "process.json", {"pid": 2**22 + 1, "create_time": 1.0})
    app.run()
    assert "끊겼습니다" in said(app) and ko("run.resumes_anew") in said(app)
    press(app, ko("run.resume"))
    assert runs.get(run).state == "queued" and ko("run.soon") in said(app)


def test_a_truncated_checkpoint_is_passed_over(app: AppTest, made: Callable[..., str],
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(work=False, batch_size=16)
    asked = iter([False] * 6 + [True] * 100)
    with monkeypatch.context() as stopped:  # in the second epoch
        stopped.setattr(execution._Stop, "__call__", lambda self: next(asked))
        assert not execution.execute(run).finished
    show(app, run=run)
    assert ko("run.resumes_at", step=6, steps=10) in said(app)
    weights = runs.get(run).folder / "checkpoints" / "checkpoint-6" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    app.run()
    assert ko("run.resumes_at", step=5, steps=10) in said(app) and not app.error
    press(app, ko("run.resume"))
    assert execution.execute(run).finished
    app.run()
    assert runs.get(run).step == 10 and not app.error and not app.exception
    steps = [point.step for point in runs.metrics(run).points]
    assert steps == sorted(set(steps))


def test_a_full_disk_is_said_and_a_resume_that_finds_it_full_too(app: AppTest, made: Callable[..., str],
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(work=False)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(checkpoint, "complete", full)
        with pytest.raises(EmotionError):
            execution.execute(run)
    show(app, run=run)
    assert [shown.value for shown in app.error] == [ko("error.disk_full")]
    with monkeypatch.context() as disk:
        disk.setattr(runs.scheduler, "write_json", full)
        press(app, ko("run.resume"))
    assert app.error[0].value and runs.get(run).state == "failed" and not app.exception
    press(app, ko("run.resume"))
    assert execution.execute(run).finished


def test_a_run_that_diverges_says_so_and_its_best_epoch_can_be_used(app: AppTest, table: Path) -> None:
    upload(app, table.read_bytes())
    for name, value in (("epochs", 30), ("learning_rate", 10.0), ("weight_decay", 1.0)):
        app.number_input(key=f"training-set-{name}").set_value(value).run()
    press(app, ko("training.start"))
    run = runs.all_runs()[0]
    with pytest.raises(EmotionError):
        execution.execute(run.id)
    failed = runs.get(run.id)
    show(app, run=run.id)
    assert failed.state == "failed" and 0 < failed.figures["epoch"] < 30
    assert [shown.value for shown in app.error] == [
        ko("error.training.diverged", step=failed.error[1]["step"], learning_rate=10.0)]
    assert ko("run.resume") not in labels(app)
    press(app, ko("run.use"))
    assert app.sidebar.selectbox[0].value == failed.model_name and not app.exception


def test_a_waiting_run_can_be_moved_and_stopped(app: AppTest, made: Callable[..., str]) -> None:
    first, second = made("하나", work=False), made("둘", work=False)
    show(app)
    app.button(key=f"up-{second}").click().run()
    assert [run.id for run in runs.queue()] == [second, first]
    app.button(key=f"queue-stop-{second}").click().run()
    assert [run.id for run in runs.queue()] == [first] and runs.get(second).state == "stopped"
    show(app, run=first)
    assert ko("run.soon") in said(app)
    press(app, ko("run.stop"))
    assert runs.get(first).state == "stopped" and not app.exception


def test_chosen_runs_over_each_other(app: AppTest, made: Callable[..., str]) -> None:
    ids = [made("작은 배치", batch_size=16), made("큰 배치")]
    show(app, compare=",".join([*ids, "gone"]))
    assert ko("runs.compare_gone") in said(app)
    difference = app.dataframe[0].value
    assert difference.to_numpy().tolist() == [[ko("setting.batch_size"), "16", "32"]]
    assert not app.exception and not app.error


def test_a_sweep_from_the_form_to_its_sentence(app: AppTest, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps.scheduler, "wake", lambda: None)
    upload(app, table.read_bytes())
    app.segmented_control(key="training-preset").set_value("quick").run()
    app.number_input(key="training-set-epochs").set_value(1).run()
    app.toggle(key="training-sweep").set_value(True).run()
    app.multiselect(key="sweep-batch_size").set_value(["16", "32"]).run()
    app.multiselect(key="sweep-seeds").set_value(["1", "2"]).run()
    assert ko("sweep.size", count=4, combinations=2, seeds=2) in said(app)
    press(app, ko("sweep.start", count=4))
    assert len(runs.all_runs()) == 4 and app.query_params["sweep"] == sweeps.all_sweeps()[0].id
    for run in runs.queue():
        execution.execute(run.id)
    app.run()
    assert not app.exception and not app.error
    assert app.info[0].value.startswith("가장 좋은 설정은 배치 크기")
    table_shown = app.dataframe[0].value
    assert list(table_shown[ko("sweep.count")]) == ["2", "2"]
    assert all("±" in cell for cell in table_shown[ko("figure.test_loss")])


def test_values_of_a_sweep_that_cannot_be(app: AppTest, table: Path) -> None:
    upload(app, table.read_bytes())
    app.toggle(key="training-sweep").set_value(True).run()
    app.session_state["sweep-dropout"] = ["0.5", "many"]
    app.run()
    assert [error.value for error in app.error] == [ko("error.sweep.values", text=plain("0.5, many"))]
    assert not any("시작" in label for label in labels(app))


def test_a_run_again_takes_its_data_base_and_settings(app: AppTest, made: Callable[..., str], weights: Path) -> None:
    shutil.copytree(weights / "bundled", weights / "other")
    first, _ = made(work=False), made("둘", work=False)
    run, _ = creation.create(runs.data_of(first), "other", CONFIG.with_changes(dropout=0.25, head="fresh"), name="셋")
    show(app, run=run)
    press(app, ko("run.again"))
    assert "run" not in app.query_params and ko("training.start") in labels(app)
    assert app.selectbox(key="training-source-run").value == run and app.selectbox(key="training-base").value == "other"
    assert settings(app)["dropout"] == 0.25 and app.radio(key="training-set-head").value == "fresh"
    assert not app.exception and not app.error


def test_the_last_layer_is_kept_until_a_person_says_otherwise(app: AppTest, table: Path) -> None:
    head = app.radio(key="training-set-head")
    assert head.value == "keep", "it reads these emotions already"
    head.set_value("fresh").run()
    app.segmented_control(key="training-preset").set_value("quick").run()
    upload(app, table.read_bytes())
    press(app, ko("training.start"))
    assert [run.config.head for run in runs.all_runs()] == ["fresh"]


def test_what_is_not_known_yet_is_not_counted(app: AppTest, made: Callable[..., str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(work=False)
    monkeypatch.setattr(store, "alive", lambda _: True)
    store.write_status(runs.get(run).folder, "running", phase="preparing", step=0, steps=0)
    show(app, run=run)
    shown = [bar.proto.text for bar in app.get("progress")]
    assert shown and "0/0" not in shown[0], shown
    store.write_status(runs.get(run).folder, "running", phase="training", step=3, steps=8, rate=1234.56)
    app.run()
    assert "3/8" in app.get("progress")[0].proto.text
    assert "1,234.6" in [metric.value for metric in app.metric], "a metric's box cuts longer ones off"
    assert not app.exception


def test_an_earlier_runs_data_can_be_used_again(app: AppTest, made: Callable[..., str]) -> None:
    made()
    show(app)
    app.segmented_control(key="training-source").set_value("run").run()
    assert ko("training.report_rows", rows=96, train=76, test=20) in said(app)
    assert ko("training.start") in labels(app) and not app.error


def test_what_goes_wrong_in_a_part_that_draws_itself_anew_is_a_sentence(app: AppTest, made: Callable[..., str],
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(work=False)
    monkeypatch.setattr(runs, "queue", lambda *device: [])  # it was queued a moment ago, and is at work now
    assert ko("run.soon") in said(show(app, run=run)) and not app.exception

    def broken(*device: str) -> None:
        raise EmotionError("error.run.missing", run=run)

    monkeypatch.setattr(runs, "queue", broken)
    assert ko("error.run.missing", run=plain(run)) in said(show(app, run=run)) and not app.exception

    def unforeseen(*device: str) -> None:
        raise ValueError("nobody thought of it")

    monkeypatch.setattr(runs, "queue", unforeseen)
    found = said(show(app, run=run))
    assert ko("page.broken") in found and "nobody thought of it" not in found and not app.exception


def test_a_button_whose_work_fails_is_said(app: AppTest, made: Callable[..., str],
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    show(app, run=made(work=False))

    def unforeseen(*arguments: object) -> None:
        raise ValueError("nobody thought of it")

    monkeypatch.setattr(runs, "stop", unforeseen)
    app.run()
    found = said(press(app, ko("run.stop")))
    assert ko("page.broken") in found and "nobody thought of it" not in found and not app.exception
    assert ko("page.broken") not in said(app.run())
