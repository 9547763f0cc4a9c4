"""`train`, `runs` and `sweep` as a shell sees them: one JSON object last on stdout, exit status 0, 1, 2."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emotion_core import runs
from emotion_core.cli import main
from tests.conftest import ROOT
from tests.training.data import write_table

SETTINGS = ["--epochs", "2", "--batch-size", "16", "--max-length", "24", "--precision", "fp32", "--device", "cpu"]


@pytest.fixture
def table(weights: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.copytree(tiny_folder, weights / "tiny")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return str(write_table(tmp_path / "table.csv"))


def last(text: str) -> dict[str, object]:
    return json.loads(text.strip().splitlines()[-1])


def test_train_prints_the_runs_figures(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", table, "--base", "tiny", "--name", "첫 학습", *SETTINGS]) == 0
    out, err = capsys.readouterr()
    found = last(out)
    assert set(found) >= {"run", "model", "train_loss", "train_accuracy", "test_loss", "test_accuracy",
                          "test_macro_f1", "seconds"}
    assert len(out.strip().splitlines()) == 1 and "10/10" in err
    assert main(["predict", "가나다", "--model", f"runs/{found['run']}"]) == 0
    assert main(["train", table, "--base", "tiny", "--dropout", "0.1", *SETTINGS]) == 0
    other = last(capsys.readouterr().out)["run"]
    assert main(["runs", "list"]) == 0
    assert [json.loads(line)["run"] for line in capsys.readouterr().out.splitlines()] == [other, found["run"]]
    assert main(["runs", "show", "첫 학습"]) == 0
    shown = last(capsys.readouterr().out)
    assert shown["config"]["batch_size"] == 16 and len(shown["epoch_figures"]) == 2
    assert main(["runs", "compare", "첫 학습", other]) == 0
    assert last(capsys.readouterr().out)["differs"] == {"dropout": 0.1}
    assert main(["runs", "resume", other]) == 1 and main(["runs", "delete", other]) == 0
    assert main(["runs", "show", other]) == 1
    assert [run.id for run in runs.all_runs()] == [found["run"]]


def test_a_sweep_from_the_shell(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", table, "--base", "tiny", *SETTINGS[:2], *SETTINGS[4:], "--batch-size", "16,32", "--name",
                 "비교"]) == 0
    found = last(capsys.readouterr().out)
    assert found["finished"] == 2 and found["sentence"].startswith("가장 좋은 설정은 배치 크기")
    assert main(["sweep", "--result", "비교", "--figure", "test_loss"]) == 0
    assert last(capsys.readouterr().out)["figure"] == "test_loss"
    assert main(["sweep", table, "--base", "tiny", "--dropout", "a,b"]) == 1


def test_an_estimate_starts_nothing(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", table, "--base", "tiny", "--estimate", *SETTINGS]) == 0
    out, err = capsys.readouterr()
    one = last(out)
    assert one["runs"] == 1 and one["seconds"] == pytest.approx(2 * one["seconds_per_epoch"]) and "GB" in err
    assert main(["sweep", table, "--base", "tiny", "--estimate", *SETTINGS[:2], *SETTINGS[4:], "--seeds", "1,2,3"]) == 0
    several = last(capsys.readouterr().out)
    assert several["runs"] == 3 and several["seconds"] == pytest.approx(6 * several["seconds_per_epoch"])
    assert main(["train", table, "--base", "nothing", "--estimate"]) == 1
    assert runs.all_runs() == []


@pytest.mark.parametrize("wrong", [["--epochs", "many"], ["--optimizer", "adam"], ["--batches", "1"]])
def test_wrong_arguments_end_with_2(wrong: list[str], table: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", table, *wrong])
    assert caught.value.code == 2


@pytest.mark.parametrize("wrong", [["--dropout", "3"], ["--base", "nothing"], ["--text-column", "x"],
                                   ["--test-file", "nothing.csv"]])
def test_what_cannot_be_trained_is_one_line_and_1(wrong: list[str], table: str,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", table, "--base", "tiny", *wrong]) == 1
    out, err = capsys.readouterr()
    assert not out and len(err.strip().splitlines()) == 1 and "Traceback" not in err
    assert runs.all_runs() == []


def test_a_run_that_diverges_fails_with_one_line_and_keeps_its_model(
        table: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--epochs", "20", *SETTINGS[2:], "--learning-rate", "10", "--weight-decay", "1"]
    assert main(["train", table, "--base", "tiny", "--name", "멀리", *settings]) == 1
    out, err = capsys.readouterr()
    assert not out and "손실이 숫자가 아니게 되어" in err.strip().splitlines()[-1] and "Traceback" not in err
    run = runs.find("멀리")
    assert run.state == "failed" and run.model_name and run.checkpoint and not run.resumable
    assert main(["runs", "resume", "멀리"]) == 1
    assert main(["predict", "가나다", "--model", run.model_name]) == 0


def test_torchrun_trains_one_run_over_two_processes(table: str, weights: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "emotion_core",
         "train", table, "--base", "tiny", *SETTINGS], cwd=ROOT, capture_output=True, text=True, timeout=180,
        check=False, env={**os.environ, "EMOTION_WEIGHTS": str(weights), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert last(done.stdout)["state"] == "finished" and len(done.stdout.strip().splitlines()) == 1
    assert [run.state for run in runs.all_runs()] == ["finished"]
