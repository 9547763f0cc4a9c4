"""What a person takes away from a scored file: the file with its emotions, the figures as numbers and as charts."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from emotion_core import figures
from emotion_core.jobs import JobStatus
from emotion_core.jobs.store import read_json
from emotion_core.labels import LABELS
from emotion_core.scoring import job as scoring_job
from emotion_core.scoring.output import write_output
from emotion_core.scoring.results import Results
from emotion_core.tables.writing import EXCEL_ROWS

from .language import current, say

_LONGEST_NAME = 60


def show(status: JobStatus, results: Results, model: str) -> None:
    """Draw the download buttons; a file is made when its button is pressed."""
    language = current()
    fits = results.totals.rows < EXCEL_ROWS

    def table(suffix: str) -> bytes:
        source, _ = scoring_job.read_spec(read_json(status.folder / "spec.json"), status.folder)
        with tempfile.TemporaryDirectory(prefix="emotion-download-") as place:
            path = Path(place) / f"scored{suffix}"
            write_output(path, source, scoring_job.parts(status.folder), language)
            return path.read_bytes()

    def report() -> str:
        content = results.totals.report(model, status.seconds, language)
        return json.dumps(content, ensure_ascii=False, indent=1)

    st.subheader(say("batch.download"))
    stem = "".join(c for c in Path(status.title).stem if c.isalnum() or c in "-_ ").strip()[:_LONGEST_NAME]
    stem = stem or "emotions"
    with st.container(horizontal=True):
        _button("CSV", "csv", lambda: table(".csv"), f"{stem}_emotions.csv", "text/csv")
        _button("XLSX", "xlsx", lambda: table(".xlsx"), f"{stem}_emotions.xlsx",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", disabled=not fits)
        _button(say("batch.report"), "report", report, f"{stem}_report.json", "application/json")
        _button(say("batch.figures"), "figures", lambda: charts(results, language), f"{stem}_figures.html", "text/html")
    if not fits:
        st.caption(say("error.table.excel_rows", limit=EXCEL_ROWS - 1))
    st.caption(say("batch.download_hint"))


def _button(label: str, key: str, make: object, name: str, kind: str, disabled: bool = False) -> None:
    st.download_button(label, make, name, kind, on_click="ignore", icon=":material/download:", key=f"batch-{key}",
                       disabled=disabled)


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
