"""`python -m emotion_core evaluate`: the figures are scikit-learn's, the files whole, errors told before the work."""

from __future__ import annotations

import csv
import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from emotion_core import EmotionClassifier, jobs
from emotion_core.cli import main
from emotion_core.jobs import store, worker
from emotion_core.labels import LABELS, NUM_LABELS
from emotion_core.messages import EmotionError
from emotion_core.scoring import job, output, rows
from emotion_core.scoring.file import choose_columns, evaluate_file, open_table
from emotion_core.scoring.results import Results
from emotion_core.tables import TableFile, detect
from tests.conftest import ROOT
from tests.tables.files import delimited, xlsx

SAMPLE = ROOT / "emotion_core" / "samples" / "test.csv"
TEXTS = ["오늘 좋다", "너무 슬퍼", "화가 난다", "무서워", "깜짝이야", "역겨워", "그냥 그래"]
MIXED = [["오늘 좋다", "행복"], ["", "슬픔"], ["너무 슬퍼", "slow"], ["오늘 좋다", "6.0"], ["  \u200b", ""],
         ["화가 난다", ""], ["무서워", " 기쁨 "]]


def evaluate(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object], str]:
    status = main(["evaluate", *arguments])
    said = capsys.readouterr()
    return status, json.loads(said.out) if said.out else {}, said.err


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.csv"
    path.write_bytes(delimited(MIXED).encode("utf-8-sig"))
    return path


def score_as_a_job(path: Path, model: Path) -> tuple[Path, Results]:
    """The page's road, in this process."""
    table = open_table(path)
    columns = choose_columns(table)
    spec = {"source": {**table.source.__dict__, "path": f"input{path.suffix}"}, "columns": columns.__dict__,
            "model": str(model), "total": 1}
    folder = store.create(job.KIND, path.name, spec)
    (folder / f"input{path.suffix}").write_bytes(path.read_bytes())
    assert worker.main(folder) == 0
    return folder, Results(folder)


@pytest.mark.parametrize("model", ["tiny", "bundled"])
def test_figures_are_scikit_learns_to_the_last_digit_and_the_pages_own(
    model: str, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tiny_folder if model == "tiny" else ROOT / "weights" / "bundled"
    classifier = EmotionClassifier.load(folder, device="cpu")
    with SAMPLE.open(encoding="utf-8-sig", newline="") as file:
        rows = [(row["Sentence"], row["Emotion"]) for row in csv.DictReader(file)]
    rows = rows[:: 1 if model == "tiny" else 12]  # the whole file takes the bundled model half a minute
    path = tmp_path / "sample.csv"
    path.write_bytes(delimited(rows).encode("utf-8-sig"))
    truth = [LABELS.index(label) for _, label in rows]
    scored = list(classifier.predict_many(text for text, _ in rows))
    predicted = [LABELS.index(one.top.label) for one in scored]
    status, found, error = evaluate(str(path), "--model", str(folder), "--device", "cpu", capsys=capsys)
    assert (status, error) == (0, "")
    assert found["rows"] == found["scored"] == found["labelled"] == len(rows) and found["skipped"] == []
    assert found["accuracy"] == accuracy_score(truth, predicted)
    assert found["macro_f1"] == f1_score(truth, predicted, average="macro")
    assert found["weighted_f1"] == f1_score(truth, predicted, average="weighted")
    assert found["confusion_matrix"] == confusion_matrix(truth, predicted, labels=range(NUM_LABELS)).tolist()
    each = precision_recall_fscore_support(truth, predicted, labels=range(NUM_LABELS), zero_division=0)
    assert found["labels"] == list(found["per_class"]) == list(LABELS)
    assert [tuple(one.values()) for one in found["per_class"].values()] == list(zip(*each, strict=True))
    assert found["model"] == folder.name

    monkeypatch.setenv("EMOTION_WEIGHTS", str(tmp_path / "weights"))
    place, results = score_as_a_job(path, folder)
    page = results.totals.report(folder.name, 0.0, "ko")
    assert {**page, "seconds": 0} == {**found, "seconds": 0}
    assert jobs.status(place.name).state == "finished"


def test_rows_without_text_or_known_label(mixed: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found, _ = evaluate(str(mixed), "--model", str(tiny_folder), capsys=capsys)
    assert status == 0
    assert (found["rows"], found["scored"], found["skipped_count"], found["labelled"], found["unknown_labels"]) == (
        7, 5, 2, 3, 1)
    assert [one["row"] for one in found["skipped"]] == [2, 5]
    assert all(set(one) == {"row", "reason"} and one["reason"] for one in found["skipped"])
    assert np.sum(found["confusion_matrix"]) == 3


def test_the_first_hundred_skipped_are_listed(tmp_path: Path, tiny_folder: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(delimited([*([["", "슬픔"]] * 150), ["가", "슬픔"]]).encode())
    found = evaluate_file(path, model=str(tiny_folder))
    assert (found["skipped_count"], len(found["skipped"]), found["skipped"][-1]["row"]) == (150, 100, 100)


def test_without_labels_the_figures_are_null(tmp_path: Path, mixed: Path, tiny_folder: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("\n".join(TEXTS), "utf-8")
    empty = tmp_path / "b.csv"
    empty.write_bytes(delimited([[one, ""] for one in TEXTS]).encode())
    for found in (evaluate_file(text, model=str(tiny_folder)), evaluate_file(empty, model=str(tiny_folder)),
                  evaluate_file(mixed, model=str(tiny_folder), labels=False)):
        for name in ("accuracy", "macro_f1", "weighted_f1", "intervals", "per_class", "labels", "confusion_matrix",
                     "expected_calibration_error"):
            assert found[name] is None
        assert found["scored"] >= 5 and found["labelled"] == 0


def test_identical_sentences_are_scored_once_in_the_whole_file(tmp_path: Path, tiny_folder: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(delimited([[TEXTS[n % 7] + " " * (n % 3), "슬픔"] for n in range(6000)]).encode())
    seen: list[str] = []
    original = EmotionClassifier.predict_many

    def counted(self: EmotionClassifier, texts: list[str]) -> Iterator[object]:
        seen.extend(texts)
        return original(self, texts)

    monkeypatch.setattr(EmotionClassifier, "predict_many", counted)
    found = evaluate_file(path, model=str(tiny_folder))
    assert sorted(seen) == sorted(TEXTS) and found["scored"] == 6000


def test_what_is_remembered_has_an_end_and_no_row_is_the_worse_for_it(tmp_path: Path, tiny_folder: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(delimited([[f"문장 {n % 900}", "슬픔"] for n in range(3000)]).encode())
    classifier, table = EmotionClassifier.load(tiny_folder, "cpu"), open_table(path)
    columns = choose_columns(table)
    whole = np.concatenate([part.logits for part in rows.score(classifier, table, columns)])
    kept = []
    recall = rows._Memory.recall
    monkeypatch.setattr(
        rows._Memory, "recall", lambda self, texts: kept.append(len(self._place)) or recall(self, texts))
    monkeypatch.setattr(rows, "MOST_REMEMBERED", 600)
    cut = np.concatenate([part.logits for part in rows.score(classifier, table, columns)])
    assert 300 < max(kept) <= 600
    np.testing.assert_allclose(cut, whole, atol=1e-5)


def test_the_order_of_rows_and_their_doubles_change_nothing(tmp_path: Path, tiny_folder: Path) -> None:
    rows = [[text, LABELS[n % 7]] for n, text in enumerate(TEXTS * 3)]
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_bytes(delimited(rows).encode())
    other.write_bytes(delimited(rows[::-1], delimiter="\t").encode("utf-16"))
    first, second = (evaluate_file(path, model=str(tiny_folder)) for path in (one, other))
    for name in ("accuracy", "macro_f1", "per_class", "confusion_matrix"):
        assert first[name] == second[name]


def read_csv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_the_scored_file_has_the_rows_as_they_were_and_their_emotions(tmp_path: Path, tiny_folder: Path,
                                                                      tiny: EmotionClassifier) -> None:
    rows = [["007", "=1+1 좋다", "행복", "2026-11-24"], ["12345678901234567890", "", "슬픔", " x "],
            ["1e5", "너무 슬퍼", "몰라", "https://example.org"]]
    path = tmp_path / "a.csv"
    path.write_bytes(delimited(rows, names=["번호", "문장", "감정", "감정 확률"]).encode("cp949"))
    found = evaluate_file(path, model=str(tiny_folder), out=tmp_path / "out.csv", report=tmp_path / "r.json")
    back = read_csv(tmp_path / "out.csv")
    assert back[0][:4] == ["번호", "문장", "감정", "감정 확률"] and back[0][8:] == list(LABELS)
    assert [row[:4] for row in back[1:]] == [["007", "'=1+1 좋다", "행복", "2026-11-24"], *rows[1:]]
    assert found["cells_changed"] == 1 and json.loads((tmp_path / "r.json").read_text("utf-8")) == found
    assert back[2][4:] == [""] * 11
    expected = tiny.predict("너무 슬퍼")
    assert back[3][4] == expected.top.label and float(back[3][5]) == pytest.approx(expected.top.probability, abs=1e-6)
    assert back[3][6] == (expected.second.label if expected.second else "")
    assert [float(cell) for cell in back[3][8:]] == pytest.approx(expected.probabilities.tolist(), abs=1e-6)
    evaluate_file(path, model=str(tiny_folder), out=tmp_path / "out.xlsx")
    book = TableFile(detect(tmp_path / "out.xlsx"))
    assert [row[:4] for row in book.rows()] == rows
    assert next(row[5] for row in book.rows()) == pytest.approx(float(back[1][5]))


def test_columns_called_like_ours_are_kept_apart(tmp_path: Path, tiny_folder: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(delimited([["좋다", "x", "y"]], names=["문장", "공포", "첫 번째 감정"]).encode())
    evaluate_file(path, model=str(tiny_folder), out=tmp_path / "out.csv")
    names = read_csv(tmp_path / "out.csv")[0]
    assert names[:3] == ["문장", "공포", "첫 번째 감정"] and len(set(names)) == len(names)


@pytest.mark.parametrize(("arguments", "words"), [
    (["--text-column", "글"], ["글", "Sentence", "Emotion"]),
    (["--label-column", "답"], ["답", "Sentence", "Emotion"]),
    (["--encoding", "koi"], ["koi", "cp949"]),
    (["--delimiter", "ab"], ["ab"]),
    (["--sheet", "표"], ["표"]),
    (["--label-column", "Sentence"], ["오늘 좋다"]),
    (["--out", "{folder}/none/a.csv"], ["none"]),
    (["--report", "{folder}/none/a.json"], ["none"]),
    (["--out", "{folder}"], ["{folder}"]),
    (["--report", "{folder}"], ["{folder}"]),
    (["--out", "{folder}/a.xls"], ["a.xls", ".xlsx"]),
    (["--out", "{folder}/mixed.csv"], ["mixed.csv"]),
    (["--report", "{folder}/mixed.csv"], ["mixed.csv"]),
    (["--out", "{folder}/a.csv", "--report", "{folder}/a.csv"], ["a.csv"]),
    (["--out", "/dev/null"], ["/dev/null"]),
    (["--out", "/proc/a.csv"], ["/proc"]),
])
@pytest.mark.parametrize("language", ["ko", "en"])
def test_what_cannot_be_is_said_in_one_line_before_any_work(
    arguments: list[str], words: list[str], language: str, mixed: Path, tiny_folder: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(EmotionClassifier, "load", load)
    monkeypatch.setenv("EMOTION_LANGUAGE", language)
    before = mixed.read_bytes()
    filled = [argument.format(folder=mixed.parent) for argument in arguments]
    status, found, error = evaluate(str(mixed), *filled, capsys=capsys)
    assert status == 1 and found == {} and len(error.splitlines()) == 1 and "loaded" not in error
    assert all(word.format(folder=mixed.parent) in error for word in words)
    assert mixed.read_bytes() == before and [file.name for file in mixed.parent.iterdir()] == ["mixed.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_is_not_ours(mixed: Path, tiny_folder: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(EmotionError, match="locked"):
        evaluate_file(mixed, model=str(tiny_folder), out=locked / "a.csv")


def test_exit_statuses(mixed: Path, tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(mixed), "--model", str(tiny_folder)]) == 0
    assert main(["evaluate", str(tmp_path / "none.csv")]) == 1
    for wrong in (["evaluate"], ["evaluate", str(mixed), "--nonsense"], ["evaluate", str(mixed), "--out"]):
        with pytest.raises(SystemExit) as caught:
            main(wrong)
        assert caught.value.code == 2


def test_options_reach_the_reader(tmp_path: Path, tiny_folder: Path) -> None:
    path, book = tmp_path / "a.csv", tmp_path / "a.xlsx"
    path.write_bytes("가;나\n좋다, 정말;행복\n싫다;분노\n".encode("cp949"))
    found = evaluate_file(path, model=str(tiny_folder), encoding="cp949", delimiter=";", text_column="가",
                          label_column="나")
    assert (found["rows"], found["labelled"]) == (2, 2)
    path.write_bytes("문장\t감정\n좋다\t행복\n".encode())
    assert evaluate_file(path, model=str(tiny_folder), delimiter="tab")["labelled"] == 1
    book.write_bytes(xlsx(("하나", [["문장", "감정"], ["좋다", "행복"]]), ("둘", [["좋다"], ["싫다"], ["그래"]])))
    found = evaluate_file(book, model=str(tiny_folder), sheet="둘")
    assert (found["rows"], found["labelled"]) == (3, 0)  # the header is looked for anew


def test_a_disk_that_fills_up_leaves_no_file(mixed: Path, tiny_folder: Path, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.csv"
    target.write_text("before", "utf-8")

    def full(path: Path, columns: object, rows: Iterator[object]) -> int:
        path.write_text("half", "utf-8")
        next(iter(rows))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output, "write_csv", full)
    monkeypatch.setattr(output, "write_xlsx", full)
    for name in ("out.csv", "out.xlsx"):
        with pytest.raises(EmotionError) as caught:
            evaluate_file(mixed, model=str(tiny_folder), out=tmp_path / name)
        assert caught.value.key == "error.disk_full"
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: full(tmp_path / "x", (), iter([1])))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mixed.csv", "out.csv"]
    assert target.read_text("utf-8") == "before"


def test_a_full_disk_for_the_report(mixed: Path, tiny_folder: Path, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EmotionError) as caught:
        evaluate_file(mixed, model=str(tiny_folder), report=tmp_path / "r.json")
    assert caught.value.key == "error.disk_full"
    assert [file.name for file in tmp_path.iterdir()] == ["mixed.csv"]


def test_a_process_killed_while_it_writes_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    code = ("import os, sys, pathlib; from emotion_core.scoring.file import write_whole\n"
            "def half(place): place.write_text('half'); os.kill(os.getpid(), 9)\n"
            "write_whole(pathlib.Path(sys.argv[1]), half)")
    target = tmp_path / "out.csv"
    for before in (None, "before"):
        if before:
            target.write_text(before, "utf-8")
        killed = subprocess.run([sys.executable, "-c", code, str(target)], cwd=ROOT, timeout=60)
        assert killed.returncode == -9
        assert target.exists() == bool(before) and (not before or target.read_text("utf-8") == before)


def test_a_link_is_followed_and_stays(mixed: Path, tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "far"
    folder.mkdir()
    (folder / "out.csv").write_text("old", "utf-8")
    (tmp_path / "link.csv").symlink_to(folder / "out.csv")
    evaluate_file(mixed, model=str(tiny_folder), out=tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink() and len(read_csv(folder / "out.csv")) == 8


def test_progress_is_told(mixed: Path, tiny_folder: Path) -> None:
    heard: list[tuple[int, float]] = []
    evaluate_file(mixed, model=str(tiny_folder), progress=lambda done, rate: heard.append((done, rate)))
    assert heard[-1][0] == 7 and heard[-1][1] > 0
