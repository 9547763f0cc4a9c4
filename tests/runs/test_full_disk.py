"""A disk that fills up while a run works: its state is true, and it goes on from its last whole checkpoint."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emotion_core import runs
from emotion_core.training.data import DataChoice
from tests.runs.conftest import LONG, wait_for


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A `weights/` folder on a disk of 32 MB."""
    folder = tmp_path / "weights"
    folder.mkdir()
    mount = shutil.which("mount")
    if not mount or subprocess.run([mount, "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)],
                                   capture_output=True, check=False).returncode:
        pytest.skip("a small disk can't be mounted here")
    monkeypatch.setenv("EMOTION_WEIGHTS", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=False)


def fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as out:
        while out.write(bytes(65536)) == 65536:
            pass
        while out.write(bytes(512)):
            pass


def test_a_full_disk_fails_the_run_and_it_goes_on_once_there_is_room(base: str, table: DataChoice,
                                                                      weights: Path) -> None:
    run = runs.start(table, base, LONG)
    wait_for(run, lambda found: found.epoch > 2 and found.checkpoint)
    rubbish = weights / "rubbish"

    def ended(found: runs.Run) -> bool:
        if not found.ended:
            fill(rubbish)
        return found.ended

    failed = wait_for(run, ended)
    assert (failed.state, failed.error and failed.error[0]) == ("failed", "error.disk_full"), runs.log_tail(run)
    assert failed.resumable and failed.checkpoint
    assert not list((failed.folder / "checkpoints").glob(".*")) and not list(failed.folder.glob(".status*"))
    assert "Traceback" not in runs.log_tail(run)

    rubbish.unlink()
    runs.resume(run)
    at = failed.checkpoint
    wait_for(run, lambda found: found.active and found.step > at + 5)
    runs.stop(run)
    assert wait_for(run, lambda found: found.ended).state == "stopped"
    steps = [point.step for point in runs.metrics(run).points]
    assert steps == sorted(set(steps)) and steps[-1] > at
