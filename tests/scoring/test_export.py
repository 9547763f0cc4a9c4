"""The file of a large job, made by a job of its own: whole or not there, stopped, failed, and gone with its rows."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from emotion_core import EmotionError, jobs
from emotion_core.jobs import JobStatus, process, store, worker
from emotion_core.scoring import export, job, output, rows
from emotion_core.scoring.file import choose_columns, open_table
from emotion_core.tables import TableFile, detect
from tests.tables.files import delimited

ROWS = [[f"=오늘 {n}번째", "행복" if n % 2 else "슬픔"] for n in range(30)]


@pytest.fixture
def scored(weights: Path, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> JobStatus:
    """A finished scoring job of three parts; jobs that start run at once, in this process."""
    monkeypatch.setattr(process, "launch", lambda folder, arguments: worker.main(folder))
    monkeypatch.setattr(rows, "CPU_WINDOW", 10)
    monkeypatch.setattr(job, "_PART_SECONDS", -1)
    monkeypatch.setattr(worker, "_EVERY_SECONDS", -1)
    path = tmp_path / "a.csv"
    path.write_bytes(delimited(ROWS).encode())
    table = open_table(path)
    found = jobs.status(job.start(table, choose_columns(table), tiny_folder, "파일.csv", len(ROWS)))
    assert (found.state, len(job.part_files(found.folder))) == ("finished", 3)
    return found


def test_the_file_is_what_the_shell_would_write(scored: JobStatus, tmp_path: Path) -> None:
    assert export.find(scored, ".csv", "ko") is None
    made = jobs.status(export.start(scored, ".csv", "ko"))
    assert (made.state, made.done, made.total, made.title) == ("finished", 30, 30, "파일.csv")
    table, _ = job.read_spec(store.read_json(scored.folder / "spec.json"), scored.folder)
    output.write_output(tmp_path / "b.csv", table, job.parts(scored.folder), "ko")
    assert export.file_of(made).read_bytes() == (tmp_path / "b.csv").read_bytes()
    with export.file_of(made).open(encoding="utf-8-sig", newline="") as file:
        names, *back = csv.reader(file)
    assert names[:3] == ["Sentence", "Emotion", "첫 번째 감정"] and [row[0] for row in back] == [
        f"'{row[0]}" for row in ROWS]
    assert sorted(file.name for file in made.folder.iterdir() if not file.name.startswith(".")) == [
        "scored.csv", "spec.json", "status.json"]


def test_it_is_made_once_for_each_kind_and_language(scored: JobStatus) -> None:
    made = {(suffix, language): export.start(scored, suffix, language)
            for suffix in (".csv", ".xlsx") for language in ("ko", "en")}
    assert len(set(made.values())) == 4
    for (suffix, language), one in made.items():
        assert export.start(scored, suffix, language) == one == export.find(scored, suffix, language).id
        table = TableFile(detect(export.file_of(jobs.status(one))))
        assert table.columns[2] == {"ko": "첫 번째 감정", "en": "First emotion"}[language]
        assert len(list(table.rows())) == 30


def test_more_rows_since_then_want_a_new_file(scored: JobStatus) -> None:
    made = export.start(scored, ".csv", "ko")
    more = JobStatus(**{**vars(scored), "done": 31})
    assert export.find(more, ".csv", "ko") is None and export.start(more, ".csv", "ko") != made


def test_a_stop_leaves_no_file_and_the_next_start_begins_anew(scored: JobStatus,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    original = job.parts

    def stopped(folder: Path) -> Iterator[object]:
        for number, part in enumerate(original(folder)):
            if number == 1:
                (export.find(scored, ".xlsx", "ko").folder / "stop").touch()
            yield part

    monkeypatch.setattr(job, "parts", stopped)
    made = jobs.status(export.start(scored, ".xlsx", "ko"))
    assert (made.state, made.done) == ("stopped", 10) and export.file_of(made) is None
    assert not [file for file in made.folder.iterdir() if file.name.startswith((".emotion", "scored"))]
    monkeypatch.setattr(job, "parts", original)
    again = jobs.status(export.start(scored, ".xlsx", "ko"))
    assert again.state == "finished" and [one.id for one in jobs.jobs(export.KIND)] == [again.id]


def test_a_full_disk_fails_in_words_and_leaves_no_half(scored: JobStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "write_output", full)
        made = jobs.status(export.start(scored, ".csv", "ko"))
    assert made.state == "failed" and made.error[0] == "error.disk_full" and export.file_of(made) is None
    assert not list(made.folder.rglob("scored*"))
    assert jobs.status(export.start(scored, ".csv", "ko")).state == "finished"


def test_a_file_that_has_gone_is_made_anew(scored: JobStatus) -> None:
    made = jobs.status(export.start(scored, ".csv", "ko"))
    export.file_of(made).unlink()
    assert export.file_of(made) is None
    assert export.file_of(jobs.status(export.start(scored, ".csv", "ko"))).is_file()


def test_it_goes_with_its_rows(scored: JobStatus) -> None:
    made = export.start(scored, ".csv", "ko")
    export.sweep()
    assert jobs.status(made).state == "finished"
    export.delete(scored.id)
    assert jobs.jobs() == []
    with pytest.raises(EmotionError):
        export.delete(scored.id)


def test_one_that_is_being_made_is_ended_when_its_rows_go(scored: JobStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    made = jobs.status(export.start(scored, ".csv", "ko"))
    store.write_json(made.folder / "status.json", {"state": "running"})
    monkeypatch.undo()
    monkeypatch.setenv("EMOTION_WEIGHTS", str(made.folder.parents[1]))
    child = process.launch(made.folder, ["-c", "import time; time.sleep(600)"])
    try:
        shutil.rmtree(scored.folder)
        export.sweep()
        assert child.wait(20) == -9 and not made.folder.exists()
    finally:
        child.kill()
