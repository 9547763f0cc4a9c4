"""Sweeps: the grid, its runs, means and spreads, and a sentence that says no more than they do."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys

import pytest

from emotion_core import EmotionError, runs
from emotion_core.messages import message
from emotion_core.runs import creation, execution, store, sweeps
from emotion_core.training.config import TrainingConfig
from emotion_core.training.data import DataChoice
from tests.runs.conftest import CONFIG


def test_the_grid_is_every_combination_with_every_seed() -> None:
    found = sweeps.plan(TrainingConfig(), batch_size=(16, 32, 16), optimizer=("adamw", "sgd"), dropout=(0.5,),
                        seeds=(1, 2, 3))
    assert (found.count, found.combinations, found.seeds) == (12, 4, (1, 2, 3))
    assert dict(found.axes) == {"batch_size": (16, 32), "optimizer": ("adamw", "sgd")}
    assert {(one.optimizer, one.learning_rate) for one in found.configs} == {("adamw", 5e-5), ("sgd", 0.01)}
    assert {one.split_seed for one in found.configs} == {42} and {one.seed for one in found.configs} == {1, 2, 3}
    assert sweeps.plan(TrainingConfig()).configs == (TrainingConfig(split_seed=42),)
    with pytest.raises(EmotionError):
        sweeps.plan(TrainingConfig(), batch_size=range(1, 30), seeds=range(20))
    with pytest.raises(EmotionError):
        sweeps.plan(TrainingConfig(), dropout=(0.1, 2.0))


def test_a_sweeps_result_are_means_and_spreads(base: str, table: DataChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps.scheduler, "wake", lambda: None)
    plan = sweeps.plan(CONFIG.with_changes(epochs=1), batch_size=(16, 32), seeds=(1, 2))
    sweep = sweeps.start(plan, table, base, "비교", token="click")
    assert sweeps.start(plan, table, base, "비교", token="click") == sweep
    assert (sweeps.get("비교").total, sweeps.get(sweep).done) == (4, 0)
    assert sweeps.result(sweep).sentence[0] == "sweep.too_few"
    members = sweeps.get(sweep).runs
    assert members[0].name == "비교 · 배치 크기 16 · 시드 1" and len({run.name for run in members}) == 4
    for run in members[:3]:
        execution.execute(run.id)
    assert sweeps.result(sweep).sentence[0] == "sweep.no_spread"
    execution.execute(members[3].id)
    found = sweeps.result(sweep, "test_loss")
    assert found.rows[0].mean["test_loss"] <= found.rows[1].mean["test_loss"]
    values = [runs.get(run).figures["test_loss"] for run in found.rows[0].runs]
    assert found.rows[0].mean["test_loss"] == pytest.approx(statistics.fmean(values))
    assert found.rows[0].spread["test_loss"] == pytest.approx(statistics.stdev(values))
    fingerprints = {run.data.fingerprint for run in sweeps.get(sweep).runs}
    assert len(fingerprints) == 1
    sweeps.delete(sweep)
    assert sweeps.all_sweeps() == [] and store.all_runs() == []
    with pytest.raises(EmotionError):
        sweeps.get(sweep)


@pytest.mark.parametrize(("means", "spreads", "key"), [
    ((0.80, 0.70), (0.02, 0.03), "sweep.differs"), ((0.80, 0.78), (0.02, 0.03), "sweep.same"),
    ((0.80, 0.70), (0.02, math.nan), "sweep.no_spread"), ((0.80,), (0.02,), "sweep.too_few"),
])
def test_the_best_is_called_better_only_beyond_the_spread(means: tuple[float, ...], spreads: tuple[float, ...],
                                                         key: str) -> None:
    rows = [sweeps.Combination({"batch_size": 16 * place}, 3, {"test_macro_f1": mean}, {"test_macro_f1": spread}, ())
            for place, (mean, spread) in enumerate(zip(means, spreads, strict=True), 1)]
    found, values = sweeps._sentence(rows, "test_macro_f1")
    assert found == key
    assert key == "sweep.too_few" or values["best"] == {"batch_size": 16}
    assert message(found, "ko", **values) and message(found, "en", **values)


def test_a_sweep_that_fails_half_way_says_why_though_one_of_its_runs_works_by_now(
        base: str, table: DataChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    create, made = creation.create, []
    works = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def third_fails(*arguments: object, **options: object) -> tuple[str, bool]:
        if len(made) == 2:
            execution.record(store.folder_of(made[0]), works.pid)  # the queue came to it meanwhile
            store.write_status(store.folder_of(made[0]), "running")
            raise EmotionError("error.disk_full")
        made.append(create(*arguments, **options)[0])
        return made[-1], True

    monkeypatch.setattr(creation, "create", third_fails)
    try:
        with pytest.raises(EmotionError) as caught:
            sweeps.start(sweeps.plan(CONFIG, seeds=(1, 2, 3)), table, base)
        assert caught.value.key == "error.disk_full"
        assert [(run.id, run.state) for run in store.all_runs()] == [(made[0], "stopping")]
    finally:
        works.kill()
        works.wait()
