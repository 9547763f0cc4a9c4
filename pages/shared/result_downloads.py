"""What a person takes away from a scored file: the file with its emotions, the figures as numbers and as charts."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from emotion_core import EmotionError, figures, jobs, models
from emotion_core.jobs import JobStatus
from emotion_core.labels import LABELS
from emotion_core.scoring import export
from emotion_core.scoring import job as scoring_job
from emotion_core.scoring.results import Results

from . import frame
from .language import current, say
from .wording import duration, reason, sentence

AT_ONCE_ROWS = 20_000
"""A file of more rows is made by a job, with its progress on the page; a smaller one when its button is pressed."""
LARGEST_SENT = 250_000_000
"""Bytes. Streamlit holds a file that it sends in memory, twice while it does; a larger one stays where it is."""
_EVERY_SECONDS = 0.7
_LONGEST_NAME = 60
_TABLES = {"CSV": (".csv", "text/csv"),
           "XLSX": (".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")}


def show(status: JobStatus, results: Results, model: str) -> None:
    """Draw the download buttons; `model` is what the report calls the model, as the shell does."""
    language = current()
    stem = "".join(c for c in Path(status.title).stem if c.isalnum() or c in "-_ ").strip()[:_LONGEST_NAME]
    stem = stem or "emotions"

    def report() -> str:
        content = results.totals.report(model, status.seconds, language)
        return json.dumps(content, ensure_ascii=False, indent=1)

    st.subheader(say("batch.download"))
    large = results.totals.rows > AT_ONCE_ROWS
    making: list[str] = []
    too_large: list[tuple[str, Path]] = []
    with st.container(horizontal=True):
        for label, (suffix, kind) in _TABLES.items():
            made = export.find(status, suffix, language) if large else None
            path = export.file_of(made) if made else None
            name = f"{stem}_emotions{suffix}"
            if not large:
                _button(label, label.lower(), lambda suffix=suffix: _table(status, suffix, language), name, kind)
            elif path is None:
                making.append(label)
            elif path.stat().st_size > LARGEST_SENT:
                too_large.append((label, path))
            else:
                _button(say("batch.made", kind=label, size=path.stat().st_size / 1e6), label.lower(), path.read_bytes,
                        name, kind)
        _button(say("batch.report"), "report", report, f"{stem}_report.json", "application/json")
        _button(say("batch.figures"), "figures", lambda: charts(results, language), f"{stem}_figures.html", "text/html")
    for label, path in too_large:
        st.info(say("batch.made_on_disk", kind=label, size=path.stat().st_size / 1e6), icon=":material/folder:")
        st.code(str(path), language=None, wrap_lines=True)
    if making:
        st.caption(say("batch.large", rows=status.done))
        works = _working(status, making, language)
        frame.watching(_EVERY_SECONDS if works else None)(_making)(status, making, language, works)
    st.caption(say("batch.download_hint"))


def _making(status: JobStatus, labels: list[str], language: str, works: list[str]) -> None:
    """Of tables that take a while a button that starts the making, or its progress.

    The downloads stand outside: a new run of the fragment would take the address from under a click.
    """
    if works != _working(status, labels, language):
        st.rerun()  # one is ready, or there is one to watch
    for label in labels:
        suffix = _TABLES[label][0]
        made = export.find(status, suffix, language)
        if label in works and made:
            _progress(label, made)
            continue
        if made and made.state not in ("stopped", "finished"):
            st.error(reason(made.error or ("job.failed", {}), "job.failed"), icon=":material/error:")
        if st.button(say("batch.make", kind=label), icon=":material/construction:", key=f"batch-start-{label}"):
            _start(status, suffix, language)


def _working(status: JobStatus, labels: list[str], language: str) -> list[str]:
    """Which of the tables are being made now."""
    found = {label: export.find(status, _TABLES[label][0], language) for label in labels}
    return [label for label, made in found.items() if made and not made.ended]


def _start(status: JobStatus, suffix: str, language: str) -> None:
    try:
        export.start(status, suffix, language)
    except EmotionError as error:
        st.error(sentence(error), icon=":material/error:")
    else:
        st.rerun()  # the fragment begins to watch


def _progress(label: str, made: JobStatus) -> None:
    if made.total and made.done >= made.total:
        said = say("batch.make_ends", kind=label)
    elif made.done and made.seconds_left is not None:
        said = say("batch.make_progress", kind=label, done=made.done, total=made.total,
                   left=duration(max(0.0, made.seconds_left)))
    else:
        said = say("batch.make_begins", kind=label)
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.progress(min(1.0, made.done / made.total) if made.total else 0.0, said)
    right.button(say("batch.make_stop"), disabled=made.state == "stopping", key=f"batch-stop-{label}",
                 on_click=_stop, args=(made.id,))


def _stop(job: str) -> None:
    with contextlib.suppress(EmotionError):  # deleted in another tab meanwhile
        jobs.stop(job)


def _table(status: JobStatus, suffix: str, language: str) -> bytes:
    """The scored file, made now. What is raised is said beside the button."""
    try:
        with tempfile.TemporaryDirectory(prefix="emotion-download-") as place:
            path = Path(place) / f"scored{suffix}"
            export.write(path, status.folder, scoring_job.parts(status.folder), language)
            return path.read_bytes()
    except EmotionError as error:
        raise ValueError(error.text(language)) from error
    except OSError as error:
        raise ValueError(models.unwritable(Path(tempfile.gettempdir()), error).text(language)) from error


def _button(label: str, key: str, make: Callable[[], str | bytes], name: str, kind: str) -> None:
    st.download_button(label, make, name, kind, on_click="ignore", icon=":material/download:", key=f"batch-{key}")


def charts(results: Results, language: str) -> bytes:
    """All figures as one page that needs no network."""
    drawn: list[go.Figure] = []
    if results.labelled:
        drawn = [figures.confusion_matrix(results.matrix, language),
                 figures.confusion_matrix(results.matrix, language, percent=True),
                 figures.reliability(results.reliability, language),
                 figures.coverage(*results.coverage, 0.0, language)]
    drawn += [figures.distribution(np.bincount(results.predicted, minlength=len(LABELS)), language),
              figures.confidence(results.confidence, language)]
    page = io.StringIO()
    page.write('<!doctype html><meta charset="utf-8"><title>Emotion Studio</title>'
               '<body style="max-width:800px;margin:2rem auto;font-family:sans-serif">')
    for number, figure in enumerate(drawn):
        page.write(figure.to_html(full_html=False, include_plotlyjs=number == 0, config={"displaylogo": False}))
    return page.getvalue().encode()
