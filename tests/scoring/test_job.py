"""Scoring as a job: results come in whole parts; a stopped job keeps them and scores the rest when resumed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from emotion_core import EmotionClassifier, EmotionError, jobs
from emotion_core.jobs import store, worker
from emotion_core.scoring import job, rows
from emotion_core.scoring.file import choose_columns, open_table
from emotion_core.scoring.results import Filter, Results
from tests.tables.files import delimited

ROWS = [[f"오늘 {n % 40}번째 문장", "행복" if n % 2 else "슬픔"] for n in range(60)]
ROWS[7][0], ROWS[9][1], ROWS[11][0] = "  ", "빡침", "아주 긴 문장 " * 30


@pytest.fixture
def folder(weights: Path, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job that waits to be run, in windows of ten rows, each a part of its own."""
    monkeypatch.setattr(rows, "CPU_WINDOW", 10)
    monkeypatch.setattr(job, "_PART_SECONDS", -1)
    monkeypatch.setattr(jobs, "start", lambda kind, title, spec, fill: store.create(kind, title, spec, fill).name)
    path = tmp_path / "../weird name.CSV"
    path.write_bytes(delimited(ROWS).encode("cp949"))
    table = open_table(path)
    return store.folder_of(job.start(table, choose_columns(table), tiny_folder, "파일.csv", len(ROWS)))


def stop_after(folder: Path, windows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the stop file there, or a crash, after so many windows."""
    original = job.score

    def scored(*arguments: object, **named: object) -> Iterator[object]:
        for number, part in enumerate(original(*arguments, **named), 1):
            if number == windows:
                (folder / "stop").touch()
            yield part

    monkeypatch.setattr(job, "score", scored)


def test_the_whole_file(folder: Path, tiny: EmotionClassifier) -> None:
    assert (folder / "input.csv").read_bytes() == delimited(ROWS).encode("cp949")
    assert worker.main(folder) == 0
    found = jobs.status(folder.name)
    assert (found.state, found.done, found.total) == ("finished", 60, 60)
    assert [file.name for file in job.part_files(folder)] == [f"part-{n:05d}.npz" for n in range(6)]
    results = Results(folder)
    assert results.row.tolist() == [n for n in range(1, 61) if n != 8]
    assert (results.totals.skipped_count, results.totals.unknown_labels, results.totals.truncated) == (1, 1, 1)
    for place in (0, 20, 58):
        expected = tiny.predict(ROWS[results.row[place] - 1][0])
        assert results.text(place) == expected.text
        assert results.probabilities[place] == pytest.approx(expected.probabilities, abs=1e-6)


def test_stopped_and_resumed_is_the_same_as_at_once(folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "weights" / "jobs" / "20260101-000000-000000"
    shutil.copytree(folder, whole)
    assert worker.main(whole) == 0
    with pytest.MonkeyPatch.context() as patch:
        stop_after(folder, 2, patch)
        assert worker.main(folder) == 0
    stopped = jobs.status(folder.name)
    assert (stopped.state, stopped.done, stopped.total) == ("stopped", 20, 60)
    half = Results(folder)
    assert half.row.tolist() == [n for n in range(1, 21) if n != 8] and half.labelled
    (folder / "stop").unlink()
    assert worker.main(folder) == 0 and jobs.status(folder.name).state == "finished"
    one, other = Results(folder), Results(whole)
    assert one.row.tolist() == other.row.tolist() and one.truth.tolist() == other.truth.tolist()
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
    assert one.matrix.tolist() == other.matrix.tolist() and one.totals.skipped == other.totals.skipped


def test_a_stop_after_the_last_row_is_a_finish(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(folder, 6, monkeypatch)
    assert worker.main(folder) == 0 and jobs.status(folder.name).state == "finished"


def test_a_full_disk_keeps_the_parts_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = job.write_part

    def full(place: Path, number: int, waiting: list[object]) -> int:
        if number == 2:
            raise OSError(28, "No space left on device")
        return original(place, number, waiting)

    monkeypatch.setattr(job, "write_part", full)
    assert worker.main(folder) == 1
    found = jobs.status(folder.name)
    assert found.state == "failed" and found.error[0] == "error.disk_full" and len(Results(folder).row) == 19


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", None])
def test_a_damaged_part_is_said(folder: Path, content: bytes | None) -> None:
    worker.main(folder)
    part = folder / "part-00003.npz"
    part.write_bytes(part.read_bytes()[:200] if content is None else content)
    with pytest.raises(EmotionError) as caught:
        Results(folder)
    assert caught.value.key == "error.job.results" and "part-00003" in caught.value.text("ko")


class _Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def test_a_part_that_holds_code_is_not_run(folder: Path, tmp_path: Path) -> None:
    worker.main(folder)
    part = folder / "part-00000.npz"
    with np.load(part) as stored:
        content = dict(stored)
    np.savez(part, **content | {"row": np.array([_Touches(tmp_path / "ran")] * len(content["row"]), object)})
    with pytest.raises(EmotionError) as caught:
        Results(folder)
    assert caught.value.key == "error.job.results" and not (tmp_path / "ran").exists()


def test_parts_behind_a_gap_do_not_count(folder: Path) -> None:
    worker.main(folder)
    (folder / "part-00002.npz").unlink()
    (folder / "part-x.npz").write_bytes(b"")
    assert Results(folder).row.max() == 20


def test_a_model_that_has_gone_fails_in_words(folder: Path) -> None:
    spec = store.read_json(folder / "spec.json")
    store.write_json(folder / "spec.json", spec | {"model": str(folder / "none")})
    assert worker.main(folder) == 1
    found = jobs.status(folder.name)
    assert found.state == "failed" and EmotionError(found.error[0], **found.error[1]).text("en")


def test_filters(folder: Path) -> None:
    worker.main(folder)
    results = Results(folder)
    everything = results.select(Filter())
    assert len(everything) == 59 and np.all(np.diff(results.confidence[everything]) <= 0)
    assert np.all(np.diff(results.confidence[results.select(Filter(), surest_first=False)]) >= 0)
    cells = [len(results.select(Filter(truth=t, predicted=p))) for t in range(7) for p in range(7)]
    assert cells == results.matrix.ravel().tolist() and sum(cells) == 58
    wrong = results.select(Filter(only_wrong=True))
    assert len(wrong) == 58 - np.trace(results.matrix) and np.all(results.truth[wrong] >= 0)
    assert {results.text(place) for place in results.select(Filter(text=" 늘 3번째 "))} == {"오늘 3번째 문장"}
    middle = float(np.median(results.confidence))
    kept = results.confidence[results.select(Filter(low=middle, high=0.99))]
    assert len(kept) and kept.min() >= middle and kept.max() <= 0.99
    assert len(results.select(Filter(text="없는 말"))) == 0
