"""A store of this test's own, with a tiny base in it and a table to learn from."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from emotion_core import runs
from emotion_core.runs import store
from emotion_core.runs.store import Run
from emotion_core.training.config import TrainingConfig
from emotion_core.training.data import DataChoice
from tests.training.data import choice, write_table

CONFIG = TrainingConfig(epochs=2, batch_size=16, max_length=24, learning_rate=1e-3, precision="fp32")
LONG = CONFIG.with_changes(epochs=1000)
"""Longer than any test; it is stopped or killed."""


@pytest.fixture
def base(weights: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a tiny model under this test's weights/."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shutil.copytree(tiny_folder, weights / "tiny")
    return "tiny"


@pytest.fixture
def table(tmp_path: Path) -> DataChoice:
    return choice(write_table(tmp_path / "table.csv"))


@pytest.fixture(autouse=True)
def no_process_left(weights: Path) -> Iterator[None]:
    """Processes that a test's runs started end with it."""
    yield
    for run in store.all_runs():
        if not run.ended:
            runs.stop(run.id, force=True)
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "emotion_core" in " ".join(process.cmdline()):
                process.kill()


def wait_for(run: str, good: Callable[[Run], bool], seconds: float = 90) -> Run:
    """The run as soon as it is as wished; fails where it isn't in time."""
    end = time.monotonic() + seconds
    while not good(found := runs.get(run)):
        assert time.monotonic() < end, (found, runs.log_tail(run))
        time.sleep(0.05)
    return found
