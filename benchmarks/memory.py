"""How much memory a large file needs: the shell's process, a job's, and what a server keeps to show its results.

    python -m benchmarks.memory [--rows 1000000] [--model NAME]

`shell_above_model_mb` is what `evaluate` needs beyond the model's own: the peak of a process that scores one sentence.

Prints one JSON object; megabytes are of resident memory. Without --model a tiny random one is used, so that the rows
weigh and not the model. Not a test: a million rows take minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

PARTS = (("오늘", "어제", "친구가", "동생이", "회사에서", "학교에서", "비가 와서", "갑자기", "드디어", "솔직히"),
         ("너무", "정말", "조금", "진짜", "그냥", "또", "계속", "문득", "많이", "괜히"),
         ("기뻤어", "슬펐어", "화가 났어", "무서웠어", "놀랐어", "역겨웠어", "괜찮았어", "울었어", "웃었어", "지쳤어"))
MB = 1_000_000


def main() -> None:
    """Make the file, score it on both roads, look at the results."""
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--model")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["EMOTION_WEIGHTS"] = str(folder / "weights")
        file = write_file(folder / "rows.csv", chosen.rows)
        model = chosen.model or str(tiny(folder / "tiny"))
        found: dict[str, object] = {"rows": chosen.rows, "file_mb": round(file.stat().st_size / MB, 1)}
        few = write_file(folder / "few.csv", 100)
        one = ["predict", "오늘 정말 행복해요", "--model", model, "--device", "cpu"]
        found["shell_one_sentence_mb"], _ = run(one)
        found["shell_100_rows_mb"] = shell(few, model, folder)[0]  # Python, torch and the model
        found["shell_mb"], found["shell_seconds"] = shell(file, model, folder)
        found["shell_above_model_mb"] = found["shell_mb"] - found["shell_one_sentence_mb"]
        found |= job(file, model, chosen.rows)
        print(json.dumps(found))


def write_file(file: Path, rows: int) -> Path:
    """A CSV of varied sentences with labels."""
    from emotion_core.labels import LABELS

    draw = random.Random(0)
    with file.open("w", encoding="utf-8-sig") as out:
        out.write("번호,문장,감정\n")
        for number in range(rows):
            words = " ".join(draw.choice(part) for part in PARTS)
            out.write(f"{number},{words} {draw.randrange(rows)} {draw.choice(PARTS[1])},{draw.choice(LABELS)}\n")
    return file


def tiny(folder: Path) -> Path:
    """The tests' model."""
    from tests.tiny import save_tiny_model

    return save_tiny_model(folder)


def shell(file: Path, model: str, folder: Path) -> tuple[int, float]:
    """(peak MB, seconds) of `evaluate` with both outputs."""
    return run(["evaluate", str(file), "--model", model, "--device", "cpu", "--out", str(folder / "out.csv"),
                "--report", str(folder / "report.json")])


def run(command: list[str]) -> tuple[int, float]:
    """(peak MB, seconds) of a command of the shell."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "emotion_core", *command], stdout=subprocess.DEVNULL)
    peak = watch(psutil.Process(process.pid), lambda: process.poll() is not None)
    assert process.returncode == 0
    return peak, round(time.monotonic() - started, 1)


def watch(process: psutil.Process, ended: object) -> int:
    """The highest resident memory until `ended()`, in MB."""
    peak = 0
    while not ended():
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.05)
    return round(peak / MB)


def job(file: Path, model: str, rows: int) -> dict[str, object]:
    """The page's road: what this process grows by stands for the server."""
    from emotion_core import jobs, models
    from emotion_core.scoring import export
    from emotion_core.scoring import job as scoring_job
    from emotion_core.scoring.file import choose_columns, open_table
    from emotion_core.scoring.results import Filter, Results
    from emotion_core.scoring.rows import survey

    here = psutil.Process()
    before = here.memory_info().rss
    table = open_table(file)
    survey(table, choose_columns(table))
    surveyed = here.memory_info().rss
    folder = models.locate(model)
    started = scoring_job.start(table, choose_columns(table), Path(folder), file.name, rows)
    pid = json.loads((jobs.status(started).folder / "process.json").read_text())["pid"]
    peak = watch(psutil.Process(pid), lambda: jobs.status(started).ended)
    status = jobs.status(started)
    assert status.state == "finished", status
    clock = time.monotonic()
    results = Results(status.folder)
    loaded = time.monotonic() - clock
    clock = time.monotonic()
    for wanted in (Filter(), Filter(1, 2), Filter(only_wrong=True), Filter(text="슬펐어 1")):
        results.select(wanted)
    filtered = (time.monotonic() - clock) / 4
    made = {}
    for suffix in (".csv", ".xlsx"):
        export.start(status, suffix, "ko")
        making = export.find(status, suffix, "ko")
        clock = time.monotonic()
        pid = json.loads((making.folder / "process.json").read_text())["pid"]
        most = watch(psutil.Process(pid), lambda id=making.id: jobs.status(id).ended)
        making = jobs.status(making.id)
        assert making.state == "finished", making
        made[suffix] = {"file_mb": round(export.file_of(making).stat().st_size / MB, 1), "peak_mb": most,
                        "seconds": round(time.monotonic() - clock, 1)}
    return {"job_mb": peak, "downloads": made, "job_seconds": round(status.seconds, 1),
            "server_grows_by_survey_mb": round((surveyed - before) / MB),
            "server_grows_in_all_mb": round((here.memory_info().rss - before) / MB),
            "results_load_seconds": round(loaded, 2), "results_filter_seconds": round(filtered, 2)}


if __name__ == "__main__":
    main()
