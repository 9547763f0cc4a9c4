"""The queue: one run a device, an order that can be changed, processes that nobody has to keep."""

from __future__ import annotations

import errno
import os
import signal
import time

import pytest

from emotion_core import EmotionError, runs
from emotion_core.jobs.store import read_json
from emotion_core.runs import creation, execution, scheduler
from emotion_core.training.data import DataChoice
from tests.runs.conftest import CONFIG, LONG, wait_for


def test_one_run_a_device_the_others_wait_their_turn(base: str, table: DataChoice) -> None:
    first = runs.start(table, base, LONG, "first")
    wait_for(first, lambda run: run.step > 10)
    second, third = (runs.start(table, base, CONFIG, name) for name in ("second", "third"))
    assert [run.name for run in runs.queue()] == ["first", "second", "third"]
    runs.move(third, -1)
    assert [run.name for run in runs.queue("cpu")] == ["first", "third", "second"]
    assert runs.get(second).state == runs.get(third).state == "queued"
    with pytest.raises(EmotionError):
        runs.move(first, 1)
    runs.stop(first)
    stopped = wait_for(first, lambda run: run.ended)
    assert stopped.state == "stopped" and stopped.checkpoint == stopped.step
    ends = []
    for run in (third, second):
        wait_for(run, lambda found: found.state == "finished")
        ends.append(read_json(runs.get(run).folder / "status.json")["changed"])
    assert ends == sorted(ends)
    assert runs.queue() == []


def test_a_killed_run_is_interrupted_and_goes_on_from_its_checkpoint(base: str, table: DataChoice) -> None:
    run = runs.start(table, base, LONG)
    wait_for(run, lambda found: found.epoch > 3)
    os.kill(read_json(runs.get(run).folder / "process.json")["pid"], signal.SIGKILL)
    killed = wait_for(run, lambda found: found.ended)
    assert killed.state == "interrupted" and killed.checkpoint
    at = killed.checkpoint
    runs.resume(run)
    again = wait_for(run, lambda found: found.active and found.step > at + 20)
    assert again.step > at and again.seconds_left is not None
    steps = [point.step for point in runs.metrics(run).points]
    assert steps == sorted(set(steps))
    runs.stop(run)
    assert wait_for(run, lambda found: found.ended).state == "stopped"


def test_a_queue_whose_process_was_killed_is_woken(base: str, table: DataChoice,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as still:
        still.setattr(runs, "wake", lambda: None)
        run = runs.start(table, base, CONFIG)
    assert runs.get(run).state == "queued"
    runs.wake()
    wait_for(run, lambda found: found.finished)


def test_a_waiting_run_that_is_stopped_never_starts(base: str, table: DataChoice) -> None:
    run, _ = creation.create(table, base, CONFIG)
    runs.stop(run)
    assert runs.get(run).state == "stopped" and scheduler._next("cpu") is None
    with pytest.raises(EmotionError):
        runs.move_to(run, 0)
    runs.resume(run)
    assert wait_for(run, lambda found: found.finished).step == 10
    with pytest.raises(EmotionError):
        runs.resume(run)


def test_a_process_that_dies_before_its_first_word_is_a_failure(base: str, table: DataChoice,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = creation.create(table, base, CONFIG)
    launch = scheduler.launch
    monkeypatch.setattr(scheduler, "launch", lambda folder, _: launch(folder, ["-c", "raise SystemExit('broken')"]))
    scheduler.serve("cpu")
    failed = runs.get(run)
    assert failed.state == "failed" and failed.error[1]["reason"] == "broken"


def test_a_run_waits_while_another_process_holds_the_device(base: str, table: DataChoice) -> None:
    run, _ = creation.create(table, base, CONFIG)
    said = []
    lock = execution.device_lock("cpu")

    def waiting() -> None:
        said.append(runs.get(run).state)
        lock.release()

    with lock:
        assert execution.execute(run, waiting=waiting).finished
    assert said == ["queued"]


def test_nobody_works_on_a_run_twice(base: str, table: DataChoice) -> None:
    run = runs.start(table, base, LONG)
    wait_for(run, lambda found: found.state == "running")
    with pytest.raises(EmotionError) as caught:
        execution.execute(run)
    assert caught.value.key == "error.run.active"
    started = time.monotonic()
    runs.stop(run, force=True)
    assert wait_for(run, lambda found: found.ended).state == "interrupted"
    assert time.monotonic() - started < 30


def test_an_order_that_the_disk_does_not_take_is_said(base: str, table: DataChoice,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (creation.create(table, base, CONFIG, name=name)[0] for name in ("first", "second"))

    def refuse(file: object, content: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as full:
        full.setattr(scheduler, "write_json", refuse)
        with pytest.raises(EmotionError) as caught:
            runs.move(second, -1)
    assert caught.value.key == "error.disk_full"
    assert [run.id for run in runs.queue()] == [first, second]
