"""Jobs: processes that outlive who started them, whose state is read from the disk and the process alone."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from emotion_core import EmotionError, jobs
from emotion_core.jobs import JobStatus, process, store, worker
from tests.conftest import ROOT

KIND = "score"
# Counts to its spec's total; it holds at "hold" until the file "go" is there, and has a child of its own with "child".
WORK = '''
import subprocess, sys, time
def run(context):
    spec, done = context.spec, int(context._progress["done"])
    if spec.get("child"):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    while done < spec["total"]:
        while done == spec.get("hold") and not (context.folder / "go").exists():
            if context.stopping and not spec.get("deaf"):
                return False
            time.sleep(0.02)
        done += 1
        context._written = 0
        context.report(done, spec["total"], context.seconds + 0.5)
        if spec.get("fail") == done:
            raise OSError(28, "full") if spec.get("full") else ValueError("seven is not a number\\nat all")
    return True
'''


@pytest.fixture(autouse=True)
def counting(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the processes started here a job counts instead of scoring; they are gone afterwards."""
    (tmp_path / "counting.py").write_text(WORK, "utf-8")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif any('jobs.worker' in one for one in sys.orig_argv):\n"
        f"    import counting\n    sys.modules[{worker.KINDS[KIND]!r}] = counting\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    yield
    for found in jobs.jobs():
        process.kill(found.folder)


def wait_for(job: str, ready: Callable[[JobStatus], bool]) -> JobStatus:
    deadline = time.monotonic() + 60
    while not ready(found := jobs.status(job)):
        log = found.folder / "log.txt"
        assert time.monotonic() < deadline, (found, log.read_text("utf-8") if log.exists() else "")
        time.sleep(0.02)
    return found


def start(**spec: object) -> str:
    return jobs.start(KIND, "세기", {"total": 3, **spec})


def pid_of(job: str) -> int:
    return int(store.read_json(store.folder_of(job) / "process.json")["pid"])


def test_a_job_runs_to_its_end(weights: Path) -> None:
    job = jobs.start(KIND, "세기 *1*", {"total": 3}, lambda folder: (folder / "input.csv").write_text("가"))
    found = wait_for(job, lambda one: one.ended)
    assert (found.state, found.done, found.total, found.title) == ("finished", 3, 3, "세기 *1*")
    assert found.rate == 3 / 1.5 and found.seconds_left == 0
    assert (found.folder / "input.csv").read_text() == "가"
    assert [one.id for one in jobs.jobs(KIND)] == [job] and jobs.jobs("other") == []
    assert not [file for file in (weights / "jobs").iterdir() if file.name.startswith(".")]


def test_progress_and_stop_keep_what_is_done_and_the_rest_can_follow() -> None:
    job = start(hold=2)
    running = wait_for(job, lambda one: one.done == 2)
    assert running.state == "running" and not running.ended and running.seconds_left == pytest.approx(0.5)
    with pytest.raises(EmotionError) as caught:
        jobs.delete(job)
    assert caught.value.key == "error.job.running" and running.folder.is_dir()
    jobs.stop(job)
    stopped = wait_for(job, lambda one: one.ended)
    assert (stopped.state, stopped.done) == ("stopped", 2)
    jobs.stop(job)  # again: no harm, and it does not come back as "stopping"
    assert jobs.status(job).state == "stopped"
    (stopped.folder / "go").touch()
    jobs.resume(job)
    finished = wait_for(job, lambda one: one.state == "finished")
    assert finished.done == 3 and finished.seconds == pytest.approx(1.5)
    with pytest.raises(EmotionError) as caught:
        jobs.resume(job)
    assert caught.value.key == "error.job.not_resumable"


def test_resumed_twice_it_runs_once() -> None:
    job = start(hold=1)
    wait_for(job, lambda one: one.done == 1)
    jobs.stop(job)
    wait_for(job, lambda one: one.ended)
    jobs.resume(job)
    first = pid_of(job)
    jobs.resume(job)
    assert pid_of(job) == first and not jobs.status(job).ended


def test_a_stop_that_comes_too_late_leaves_it_finished() -> None:
    job = start(hold=2, deaf=True)
    wait_for(job, lambda one: one.done == 2)
    jobs.stop(job)
    assert jobs.status(job).state == "stopping"
    (store.folder_of(job) / "go").touch()
    assert wait_for(job, lambda one: one.ended).state == "finished"


def test_kill_9_is_interrupted_and_can_go_on() -> None:
    job = start(hold=2)
    wait_for(job, lambda one: one.done == 2)
    os.kill(pid_of(job), signal.SIGKILL)
    found = wait_for(job, lambda one: one.ended)
    assert (found.state, found.done, found.total) == ("interrupted", 2, 3)
    (found.folder / "go").touch()
    jobs.resume(job)
    assert wait_for(job, lambda one: one.ended and one.state != "interrupted").state == "finished"


def test_force_ends_a_job_that_does_not_listen_and_its_children() -> None:
    job = start(hold=1, deaf=True, child=True)
    wait_for(job, lambda one: one.done == 1)
    children = psutil.Process(pid_of(job)).children()
    assert len(children) == 1
    jobs.stop(job)
    assert jobs.status(job).state == "stopping"
    jobs.stop(job, force=True)
    assert wait_for(job, lambda one: one.ended).state == "stopped"
    psutil.wait_procs(children, timeout=20)
    assert not children[0].is_running()


def test_a_zombie_is_dead() -> None:
    folder = store.create(KIND, "a", {"total": 1})
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process.record(folder, child.pid)
    store.write_json(folder / "status.json", {"state": "running"})
    assert jobs.status(folder.name).state == "running"
    child.stdin.close()
    wait_for(folder.name, lambda one: one.state == "interrupted")
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    child.wait()


def test_the_pid_of_somebody_else_is_not_the_job() -> None:
    folder = store.create(KIND, "a", {"total": 1})
    store.write_json(folder / "status.json", {"state": "running"})
    store.write_json(folder / "process.json", {"pid": os.getpid(), "create_time": 12345.0})
    assert jobs.status(folder.name).state == "interrupted"
    jobs.stop(folder.name, force=True)
    process.kill(folder)  # a signal to this very test would end it


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_it_outlives_the_server(sent: int) -> None:
    code = (f"import signal, sys, time; from emotion_core import jobs\n"
            f"signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background tests ignore it
            f"print(jobs.start({KIND!r}, 'a', {{'total': 3, 'hold': 1}}), flush=True); time.sleep(600)")
    server = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                              start_new_session=True)
    job = server.stdout.readline().strip()
    wait_for(job, lambda one: one.done == 1)
    os.killpg(server.pid, sent)  # as a terminal sends Ctrl-C: to the whole group
    server.wait(20)
    server.stdout.close()
    assert jobs.status(job).state == "running" and [one.id for one in jobs.jobs(KIND)] == [job]
    (store.folder_of(job) / "go").touch()
    assert wait_for(job, lambda one: one.ended).state == "finished"


def test_it_ends_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store.create(KIND, "a", {"total": 1})
    store.write_json(folder / "status.json", {"state": "running"})

    def ends(*_: object) -> bool:
        store.write_json(folder / "status.json", {"state": "finished"})
        return False

    monkeypatch.setattr(store, "alive", ends)
    assert jobs.status(folder.name).state == "finished"


@pytest.mark.parametrize(("spec", "key", "values"), [
    ({"fail": 2}, "error.job.failed", {"reason": "seven is not a number"}),
    ({"fail": 2, "full": True}, "error.disk_full", {}),
])
def test_a_failure_says_why(spec: dict[str, object], key: str, values: dict[str, object]) -> None:
    job = start(**spec)
    found = wait_for(job, lambda one: one.ended)
    assert (found.state, found.error, found.done) == ("failed", (key, values), 2)
    for language in ("ko", "en"):
        assert EmotionError(found.error[0], **found.error[1]).text(language)
    assert "ValueError" in (found.folder / "log.txt").read_text("utf-8") or spec.get("full")


def test_a_job_that_never_began(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store.create(KIND, "a", {"total": 1})
    assert jobs.status(folder.name).state == "starting"
    monkeypatch.setattr(store, "_STARTING_SECONDS", 0)
    assert jobs.status(folder.name).state == "interrupted"


@pytest.mark.parametrize(("file", "content"), [
    ("spec.json", None), ("spec.json", ""), ("spec.json", "[]"), ("spec.json", "{\"schema\": 99}"),
    ("spec.json", "\0\0\0"), ("status.json", "{\"state"), ("status.json", "[1]"), ("status.json", "{\"done\": \"x\"}"),
    ("status.json", "{\"error\": [1]}"), ("status.json", "{\"error\": 5}"),
])
def test_a_damaged_folder_is_said_and_can_be_deleted(file: str, content: str | None) -> None:
    folder = store.create(KIND, "a", {"total": 1})
    (folder / file).unlink(missing_ok=True)
    if content is not None:
        (folder / file).write_text(content, "utf-8")
    assert [one.state for one in jobs.jobs(KIND)] == ["damaged"]
    with pytest.raises(EmotionError) as caught:
        jobs.resume(folder.name)
    assert caught.value.key == "error.job.not_resumable"
    jobs.delete(folder.name)
    assert jobs.jobs() == [] and not folder.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{\"pid\": \"x\"}", "{\"pid\": -5, \"create_time\": 1}"])
def test_a_damaged_process_file_is_a_dead_process(content: str) -> None:
    folder = store.create(KIND, "a", {"total": 1})
    (folder / "process.json").write_text(content, "utf-8")
    assert jobs.status(folder.name).state == "interrupted"
    process.kill(folder)


@pytest.mark.parametrize("job", ["", "..", "../../etc", "20260101-000000-abcdef", "20260101-000000-ABCDEF/..", "가"])
def test_what_is_no_job(job: str, weights: Path) -> None:
    (weights / "jobs").mkdir()
    (weights / "jobs" / "notes.txt").touch()
    (weights / "jobs" / "20260101-000000-000000").touch()
    for ask in (jobs.status, jobs.stop, jobs.resume, jobs.delete):
        with pytest.raises(EmotionError) as caught:
            ask(job)
        assert caught.value.key == "error.job.missing"
    assert jobs.jobs() == []


def test_old_jobs_and_too_many_go_and_running_ones_stay(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KEPT_JOBS", 3)
    now = time.time()
    ages = {"20260101-000006-000000": 0, "20260101-000005-000000": 1, "20260101-000004-000000": 20,
            "20260101-000003-000000": 2, "20260101-000002-000000": 2, "20260101-000001-000000": 40}
    for job, days in ages.items():
        folder = weights / "jobs" / job
        folder.mkdir(parents=True)
        store.write_json(folder / "spec.json", {"schema": 1, "kind": KIND, "title": job, "created": now - days * 86400})
        store.write_json(folder / "status.json", {"state": "finished"})
    for running in ("20260101-000001-000000", "20260101-000004-000000"):
        store.write_json(weights / "jobs" / running / "status.json", {"state": "running"})
        process.launch(weights / "jobs" / running, ["-c", "import time; time.sleep(600)"])
    other = store.create("other", "b", {})
    dead, filling = weights / "jobs" / ".new-dead", weights / "jobs" / ".new-filling"
    for left in (dead, filling):
        left.mkdir()
    os.utime(dead, (now - 2 * 86400,) * 2)
    jobs.sweep(KIND)
    assert [one.id for one in jobs.jobs(KIND)] == [
        "20260101-000006-000000", "20260101-000005-000000", "20260101-000004-000000", "20260101-000001-000000"]
    assert other.is_dir() and filling.is_dir() and not dead.exists()


def test_a_disk_that_refuses_leaves_nothing(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(EmotionError) as caught:
        jobs.start(KIND, "a", {}, full)
    assert caught.value.key == "error.disk_full"
    monkeypatch.setattr(process, "launch", full)
    with pytest.raises(EmotionError):
        jobs.start(KIND, "a", {})
    assert list((weights / "jobs").iterdir()) == []


def test_the_last_state_that_the_disk_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store.create("unknown", "a", {})
    written: list[str] = []

    def full(self: worker.Context, state: str, *_: object) -> None:
        written.append(state)
        if state != "running":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(worker.Context, "write", full)
    assert worker.main(folder) == 1 and written == ["running", "failed"]


def test_a_job_deleted_while_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    job = store.create(KIND, "a", {}).name
    original = store.read_json

    def deleted(file: Path) -> dict[str, object]:
        shutil.rmtree(file.parent)
        return original(file)

    monkeypatch.setattr(store, "read_json", deleted)
    with pytest.raises(EmotionError) as caught:
        jobs.status(job)
    assert caught.value.key == "error.job.missing"


def test_status_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "status.json"
    store.write_json(file, {"state": "running"})

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", dies)
    with pytest.raises(KeyboardInterrupt):
        store.write_json(file, {"state": "finished", "more": "x" * 10_000})
    assert json.loads(file.read_text("utf-8")) == {"state": "running"}


def test_numbers_that_are_none_are_damage() -> None:
    job = start()
    found = wait_for(job, lambda one: one.ended)
    (found.folder / "status.json").write_text('{"state": "stopped", "done": Infinity}')
    assert [one.state for one in jobs.jobs()] == ["damaged"]
    (found.folder / "spec.json").write_text('{"schema": 1, "kind": "score", "title": "", "created": 1e300}')
    assert [one.state for one in jobs.jobs()] == ["damaged"]


def test_a_stop_and_a_resume_that_the_disk_does_not_take_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    job = start(hold=1)
    wait_for(job, lambda one: one.done == 1)

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as full:
        full.setattr(Path, "touch", refuse)
        with pytest.raises(EmotionError) as caught:
            jobs.stop(job)
        assert caught.value.key == "error.disk_full"
    jobs.stop(job)
    wait_for(job, lambda one: one.ended)
    with monkeypatch.context() as full:
        full.setattr(process.FileLock, "acquire", refuse)
        with pytest.raises(EmotionError) as caught:
            jobs.resume(job)
        assert caught.value.key == "error.disk_full"
    assert jobs.status(job).state == "stopped"
