"""The store: true states, damage that stays where it is, names, notes, what is written and what is refused."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from emotion_core import EmotionClassifier, EmotionError, models, runs
from emotion_core.runs import creation, execution, migrations, store
from emotion_core.training.data import DataChoice
from tests.runs.conftest import CONFIG
from tests.training.data import choice, write_table


@pytest.fixture
def finished(base: str, table: DataChoice) -> str:
    run, _ = creation.create(table, base, CONFIG, name="  첫   학습 ")
    assert execution.execute(run).finished
    return run


def test_a_run_keeps_what_it_was_made_of_and_gives_a_model(finished: str, table: DataChoice) -> None:
    run = runs.get(finished)
    assert (run.state, run.name, run.base, run.config) == ("finished", "첫 학습", "tiny", CONFIG)
    assert run.data.train_rows == 76 and run.data.test_rows == 20 and len(run.data.fingerprint) == 64
    assert sum(train + test for _, train, test in run.data.balance) == 96
    assert set(run.versions) >= {"torch", "transformers", "python"} and run.step == run.steps == 10
    assert run.figures["test_accuracy"] == [one for one in runs.metrics(finished).epochs if one.best][-1].test_accuracy
    halves = json.loads((run.folder / "split.json").read_text("utf-8"))
    assert sorted(halves["train"] + halves["test"]) == list(range(1, 97))
    assert (run.folder / "input.csv").read_bytes() == table.table.source.path.read_bytes()
    assert not (run.folder / "checkpoints").exists()
    assert models.saved_models()[-1] == models.SavedModel(f"runs/{finished}", run.folder / "model",
                                                          models.saved_models()[-1].changed, "첫 학습")
    assert EmotionClassifier.load(runs.use(finished), "cpu").name == f"runs/{finished}"
    results = runs.test_results(finished)
    np.testing.assert_array_equal(results.row, sorted(halves["test"]))


def test_a_run_killed_before_it_says_finished_loses_nothing(base: str, table: DataChoice,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = creation.create(table, base, CONFIG)
    write, killed = store.write_status, []

    def die(folder: Path, state: str, *error: object, **values: object) -> None:
        if state == "finished" and not killed:
            killed.append(runs.metrics(run).epochs)
            raise KeyboardInterrupt
        write(folder, state, *error, **values)

    monkeypatch.setattr(store, "write_status", die)
    with pytest.raises(KeyboardInterrupt):
        execution.execute(run)
    assert execution.execute(run).finished and runs.get(run).state == "finished"
    assert len(killed[0]) == CONFIG.epochs and runs.metrics(run).epochs == killed[0]
    assert not (runs.get(run).folder / "checkpoints").exists()


def test_names_and_notes(finished: str) -> None:
    runs.rename(finished, " 더 나은  이름 ")
    runs.write_note(finished, "배치 16")
    assert (runs.get(finished).name, runs.get(finished).note) == ("더 나은 이름", "배치 16")
    assert runs.find("더 나은 이름").id == finished
    for wrong in ("", "  ", "가" * 81):
        with pytest.raises(EmotionError):
            runs.rename(finished, wrong)
    for missing in ("../runs", "nothing", ""):
        with pytest.raises(EmotionError):
            runs.get(missing)


def test_the_zip_is_the_model(finished: str, tmp_path: Path) -> None:
    packed = runs.zip_bytes(finished)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "out")
    ours, theirs = (EmotionClassifier.load(folder, "cpu").predict("가나다").logits
                    for folder in (tmp_path / "out" / finished, runs.get(finished).folder / "model"))
    np.testing.assert_array_equal(ours, theirs)
    assert len(packed) > runs.zip_size(finished) > 0.9 * len(packed)


def test_a_damaged_run_is_listed_and_nothing_else_suffers(finished: str, weights: Path) -> None:
    root = weights / "runs"
    for name, content in (("empty", None), ("broken", "{"), ("newer", json.dumps({"schema": 999}))):
        (root / name).mkdir()
        if content is not None:
            (root / name / "run.json").write_text(content)
    other = root / "copied from elsewhere"
    shutil.copytree(root / finished, other)
    (root / finished / "status.json").write_text("[")
    found = {run.id: run.state for run in runs.all_runs()}
    assert found == {"empty": "damaged", "broken": "damaged", "newer": "damaged", finished: "damaged",
                     other.name: "finished"}
    runs.delete("broken")
    assert not (root / "broken").exists()
    assert runs.use(other.name) == "runs/copied from elsewhere"


def test_an_older_run_is_migrated_as_it_is_read(finished: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "SCHEMA", 3)
    monkeypatch.setitem(migrations.MIGRATIONS, 1, lambda spec: spec | {"base": spec["base"] + "!"})
    assert runs.get(finished).state == "damaged"  # no way from 2 to 3
    monkeypatch.setitem(migrations.MIGRATIONS, 2, lambda spec: spec | {"base": spec["base"] + "?"})
    assert runs.get(finished).base == "tiny!?"


def test_a_dead_process_is_an_interrupted_run(finished: str) -> None:
    folder = runs.get(finished).folder
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    store.write_json(folder / "process.json", {"pid": dead.pid, "create_time": 1.0})
    store.write_status(folder, "running")
    assert runs.get(finished).state == "interrupted" and runs.get(finished).resumable
    execution.record(folder, execution.os.getpid())
    assert runs.get(finished).state == "running"
    with pytest.raises(EmotionError):
        runs.delete(finished)
    store.write_status(folder, "finished")


def test_two_clicks_make_one_run(base: str, table: DataChoice) -> None:
    made: list[tuple[str, bool]] = []
    clicks = [threading.Thread(target=lambda: made.append(creation.create(table, base, CONFIG, token="one")))
              for _ in range(4)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    assert len({run for run, _ in made}) == 1 and sum(new for _, new in made) == 1
    assert creation.create(table, base, CONFIG, token="other")[1]


def test_what_cannot_be_trained_leaves_nothing_behind(base: str, table: DataChoice, tmp_path: Path,
                                                     weights: Path) -> None:
    one = choice(write_table(tmp_path / "one.csv", labels=("행복",)))
    for wrong in (lambda: creation.create(one, base, CONFIG), lambda: creation.create(table, "nothing", CONFIG),
                  lambda: creation.create(table, str(tmp_path), CONFIG)):
        with pytest.raises(EmotionError):
            wrong()
    assert [entry.name for entry in (weights / "runs").iterdir()] == [".lock"]


def test_a_failure_is_written_down_and_can_be_resumed(base: str, table: DataChoice,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    from emotion_core.training import checkpoint

    run, _ = creation.create(table, base, CONFIG)
    real = checkpoint.complete
    calls = []

    def full(folder: Path, place: Path) -> None:
        calls.append(place)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        real(folder, place)

    monkeypatch.setattr(checkpoint, "complete", full)
    with pytest.raises(EmotionError):
        execution.execute(run)
    failed = runs.get(run)
    assert (failed.state, failed.error[0], failed.checkpoint) == ("failed", "error.disk_full", 5)
    monkeypatch.undo()
    monkeypatch.setenv("EMOTION_WEIGHTS", str(failed.folder.parents[1]))
    execution.reopen(run)
    assert execution.execute(run).finished and runs.get(run).error is None


def test_changed_data_is_refused(base: str, table: DataChoice) -> None:
    run, _ = creation.create(table, base, CONFIG)
    file = runs.get(run).folder / "input.csv"
    file.write_text(file.read_text("utf-8").replace("가", "나"), "utf-8")
    with pytest.raises(EmotionError) as caught:
        execution.execute(run)
    assert caught.value.key == "error.run.data_changed" and runs.get(run).state == "failed"


def test_runs_are_compared_by_what_differs(base: str, table: DataChoice) -> None:
    ids = [creation.create(table, base, config)[0]
           for config in (CONFIG, CONFIG.with_changes(batch_size=8, dropout=0.1))]
    found = runs.compare(ids)
    assert found.names == ("batch_size", "dropout") and found.rows == ((16, 0.5), (8, 0.1))
    assert runs.compare([]).names == ()


@pytest.mark.parametrize("change", [
    {"device": "../../elsewhere"}, {"device": "cuda:0/.."}, {"created": 1e300}, {"created": float("nan")},
    {"schema": float("inf")}, {"data": {"title": "", "facts": {"fingerprint": "", "rows": float("inf")}}},
])
def test_a_run_copied_from_elsewhere_that_is_made_up_is_damaged(base: str, table: DataChoice, weights: Path,
                                                               change: dict[str, object]) -> None:
    run, _ = creation.create(table, base, CONFIG)
    file = runs.get(run).folder / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | change), "utf-8")
    assert [found.state for found in runs.all_runs()] == ["damaged"]
    before = sorted(weights.parent.rglob("*"))
    runs.wake()
    assert sorted(weights.parent.rglob("*")) == before


def test_what_a_killed_process_left_goes_with_the_next_run(base: str, table: DataChoice, weights: Path) -> None:
    left = [weights / "runs" / name for name in (".new-20260101-000000-abcdef", ".deleted-20260101-000000-abcdef-7")]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "input.csv").write_text("가")
    run, _ = creation.create(table, base, CONFIG)
    assert not any(folder.exists() for folder in left) and runs.get(run).state == "queued"


def test_a_run_that_lies_elsewhere_is_deleted_as_its_link(base: str, table: DataChoice, tmp_path: Path) -> None:
    run, _ = creation.create(table, base, CONFIG)
    runs.stop(run)
    folder = runs.get(run).folder
    elsewhere = folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(elsewhere)
    runs.delete(run)
    assert runs.all_runs() == [] and (elsewhere / "run.json").is_file()
    assert not list(folder.parent.glob(".deleted-*"))
