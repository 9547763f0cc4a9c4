"""A scored file on a page: figures, confusion matrix, its sentences, downloads."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from emotion_core import evaluation, figures
from emotion_core.jobs import JobStatus
from emotion_core.jobs.store import read_json
from emotion_core.labels import ENGLISH, LABELS, display_name
from emotion_core.scoring import job as scoring_job
from emotion_core.scoring.output import write_output
from emotion_core.scoring.results import Filter, Results

from .language import current, say

PAGE_SIZE = 50
_EXTREMES = 5
FILTERS = ("true", "predicted", "low", "high", "text", "wrong")
"""The filters' names in the URL."""
_PLOT = {"displaylogo": False, "modeBarButtons": [["toImage"]]}


@st.cache_resource(max_entries=2, show_spinner=False)
def _results(folder: str, parts: int) -> Results:
    """`parts` is in the key, so that a job stopped later is read anew."""
    return Results(Path(folder))


def show(status: JobStatus) -> None:
    """Draw everything about a job that has ended."""
    with st.spinner(say("batch.loading")):
        results = _results(str(status.folder), len(list(status.folder.glob("part-*.npz"))))
    if not len(results.row):
        st.info(say("batch.nothing"), icon=":material/info:")
        return
    model = Path(read_json(status.folder / "spec.json")["model"]).name
    st.caption(say("batch.summary", scored=results.totals.scored, rows=results.totals.rows, model=_plain(model),
                   skipped=results.totals.skipped_count))
    explore(results, status.id)
    _downloads(status, results, model)


def explore(results: Results, of: str) -> None:
    """Draw the figures and the sentences of `results`; `of` tells one from another, so that each has its filters."""
    if results.labelled:
        _with_labels(results)
    else:
        _without_labels(results)
    _sentences(results, of)


def forget() -> None:
    """Take the filters out of the URL and the session."""
    for name in FILTERS:
        if name in st.query_params:
            del st.query_params[name]
    for key in ("batch-truth", "batch-predicted", "batch-range", "batch-text", "batch-wrong", "batch-number",
                "batch-clicked", "batch-restored"):
        st.session_state.pop(key, None)


def _with_labels(results: Results) -> None:
    totals = results.totals
    matrix = evaluation.confusion_matrix(totals.truth, totals.probabilities.argmax(axis=1))
    found = evaluation.intervals(matrix)
    for place, (name, key) in zip(st.columns(3), (("accuracy", "batch.accuracy"), ("macro_f1", "batch.macro_f1"),
                                                  ("weighted_f1", "batch.weighted_f1")), strict=True):
        one = found[name]
        place.metric(say(key), f"{one.value:.1%}")
        place.caption(say("batch.interval", low=one.low, high=one.high))
    st.subheader(say("batch.matrix"))
    percent = st.segmented_control(say("batch.matrix_unit"), [False, True], default=False, required=True,
                                   format_func=lambda one: say("batch.percent" if one else "batch.counts"),
                                   key="batch-percent", label_visibility="collapsed")
    st.caption(say("batch.matrix_hint"))
    clicked = st.plotly_chart(
        figures.confusion_matrix(matrix, current(), percent), key="batch-matrix", on_select="rerun",
        selection_mode="points", config=_PLOT, alt=say("batch.matrix"))
    _take_click(clicked)
    tabs = st.tabs([say("batch.per_class"), say("batch.calibration"), say("batch.coverage")])
    with tabs[0]:
        _per_class(matrix)
    with tabs[1]:
        diagram = evaluation.reliability(totals.truth, totals.probabilities)
        st.markdown(say("batch.ece", error=diagram.expected_calibration_error))
        st.plotly_chart(figures.reliability(diagram, current()), key="batch-reliability", config=_PLOT)
    with tabs[2]:
        _coverage(results)


def _take_click(event: object) -> None:
    """A newly clicked cell sets the two select boxes, which the person may change afterwards."""
    points = event.selection.points if event else []
    cell = tuple(points[0].get("customdata", ())) if points else ()
    if len(cell) == 2 and st.session_state.get("batch-clicked") != cell:
        st.session_state["batch-truth"], st.session_state["batch-predicted"] = int(cell[0]), int(cell[1])
        st.session_state["batch-number"] = 1
    st.session_state["batch-clicked"] = cell


def _per_class(matrix: np.ndarray) -> None:
    table = pd.DataFrame([
        {say("column.emotion"): display_name(one.label, current()), say("batch.precision"): one.precision,
         say("batch.recall"): one.recall, "F1": one.f1, say("batch.support"): one.support}
        for one in evaluation.per_class(matrix)])
    percent = st.column_config.NumberColumn(format="percent")
    st.dataframe(table, hide_index=True,
                 column_config={say("batch.precision"): percent, say("batch.recall"): percent, "F1": percent})


def _coverage(results: Results) -> None:
    totals = results.totals
    threshold, covered, accuracy = evaluation.coverage_curve(totals.truth, totals.probabilities)
    chosen = st.slider(say("batch.threshold"), 0.0, 1.0, 0.5, 0.01, key="batch-threshold")
    kept = totals.probabilities.max(axis=1) >= chosen
    right = (totals.probabilities.argmax(axis=1) == totals.truth)[kept]
    if kept.any():
        st.markdown(say("batch.coverage_said", covered=kept.mean(), accuracy=right.mean()))
    else:
        st.markdown(say("batch.coverage_none"))
    st.plotly_chart(figures.coverage(threshold, covered, accuracy, chosen, current()), key="batch-coverage",
                    config=_PLOT)


def _without_labels(results: Results) -> None:
    counts = np.bincount(results.predicted, minlength=len(LABELS))
    st.subheader(say("batch.distribution"))
    st.plotly_chart(figures.distribution(counts, current()), key="batch-distribution", config=_PLOT)
    st.subheader(say("batch.confidence"))
    st.plotly_chart(figures.confidence(results.confidence, current()), key="batch-confidence", config=_PLOT)
    st.subheader(say("batch.extremes"))
    for place, tab in enumerate(st.tabs([display_name(label, current()) for label in LABELS])):
        with tab:
            if not counts[place]:
                st.caption(say("batch.no_sentences"))
                continue
            for key, surest in (("batch.most_certain", True), ("batch.least_certain", False)):
                st.markdown(f"**{say(key)}**")
                _table(results, results.select(Filter(predicted=place), surest)[:_EXTREMES])


def _sentences(results: Results, of: str) -> None:
    st.subheader(say("batch.sentences"), anchor="sentences")
    _restore_filters(results.labelled, of)
    everything: list[int | None] = [None, *range(len(LABELS))]

    def name(place: int | None) -> str:
        return say("batch.all") if place is None else display_name(LABELS[place], current())

    boxes = st.columns(2) if results.labelled else [None, st.container()]
    truth = None
    if results.labelled:
        truth = boxes[0].selectbox(say("figure.true"), everything, format_func=name, key="batch-truth")
    predicted = boxes[1].selectbox(say("figure.predicted"), everything, format_func=name, key="batch-predicted")
    left, right = st.columns(2)
    low, high = left.slider(say("column.probability"), 0.0, 1.0, step=0.01, key="batch-range")
    text = right.text_input(say("batch.search"), key="batch-text")
    wrong = results.labelled and st.checkbox(say("batch.only_wrong"), key="batch-wrong")
    _remember_filters(truth, predicted, low, high, text, wrong)
    places = results.select(Filter(truth, predicted, low, high, text, wrong))
    if not len(places):
        st.caption(say("batch.no_sentences"))
        return
    pages = -(-len(places) // PAGE_SIZE)
    st.session_state["batch-number"] = min(st.session_state.get("batch-number", 1), pages)
    st.caption(say("batch.found", count=len(places)))
    number = st.number_input(say("batch.page", pages=pages), 1, pages, key="batch-number") if pages > 1 else 1
    _table(results, places[(number - 1) * PAGE_SIZE : number * PAGE_SIZE])


def _table(results: Results, places: np.ndarray) -> None:
    rows = []
    for place in places:
        row = {say("batch.row"): int(results.row[place]), say("column.sentence"): results.text(place)}
        if results.labelled:
            true = int(results.truth[place])
            row[say("figure.true")] = display_name(LABELS[true], current()) if true >= 0 else ""
        row[say("figure.predicted")] = display_name(LABELS[int(results.predicted[place])], current())
        row[say("column.probability")] = float(results.confidence[place])
        rows.append(row)
    st.dataframe(pd.DataFrame(rows), hide_index=True, placeholder="", column_config={
        say("batch.row"): st.column_config.NumberColumn(width="small", format="%d"),
        say("column.sentence"): st.column_config.TextColumn(width="large"),
        say("column.probability"): st.column_config.NumberColumn(format="percent")})


def _restore_filters(labelled: bool, of: str) -> None:
    """The filters that the URL names, once a session; then the widgets hold them."""
    if st.session_state.get("batch-restored") == of and "batch-range" in st.session_state:  # gone where not drawn
        return
    st.session_state["batch-restored"] = of
    query = st.query_params

    def emotion(name: str) -> int | None:
        return ENGLISH.index(query[name]) if query.get(name) in ENGLISH else None

    def number(name: str, default: float) -> float:
        try:
            return min(1.0, max(0.0, float(query.get(name, default))))
        except ValueError:
            return default

    defaults = {"batch-predicted": emotion("predicted"), "batch-text": query.get("text", "")[:200],
                "batch-range": (number("low", 0.0), max(number("low", 0.0), number("high", 1.0)))}
    if labelled:
        defaults |= {"batch-truth": emotion("true"), "batch-wrong": query.get("wrong") == "1"}
    for key, value in defaults.items():
        if key not in st.session_state:
            st.session_state[key] = value


def _remember_filters(truth: int | None, predicted: int | None, low: float, high: float, text: str,
                      wrong: bool) -> None:
    wanted = {"true": ENGLISH[truth] if truth is not None else "", "text": text, "wrong": "1" if wrong else "",
              "predicted": ENGLISH[predicted] if predicted is not None else "", "low": f"{low:g}" if low > 0 else "",
              "high": f"{high:g}" if high < 1 else ""}
    for name, value in wanted.items():
        if value and st.query_params.get(name) != value:
            st.query_params[name] = value
        elif not value and name in st.query_params:
            del st.query_params[name]


def _downloads(status: JobStatus, results: Results, model: str) -> None:
    st.subheader(say("batch.download"))
    st.caption(say("batch.download_hint"))
    language = current()

    def table(suffix: str) -> bytes:
        source, _ = scoring_job.read_spec(read_json(status.folder / "spec.json"), status.folder)
        with tempfile.TemporaryDirectory(prefix="emotion-download-") as place:
            path = Path(place) / f"scored{suffix}"
            write_output(path, source, scoring_job.parts(status.folder), language)
            return path.read_bytes()

    def report() -> str:
        content = results.totals.report(model, status.seconds, language)
        return json.dumps(content, ensure_ascii=False, indent=1)

    stem = "".join(c for c in Path(status.title).stem if c.isalnum() or c in "-_ ").strip()[:60] or "emotions"
    with st.container(horizontal=True):
        st.download_button("CSV", lambda: table(".csv"), f"{stem}_emotions.csv", "text/csv", on_click="ignore",
                           icon=":material/download:", key="batch-csv")
        st.download_button("XLSX", lambda: table(".xlsx"), f"{stem}_emotions.xlsx", on_click="ignore",
                           icon=":material/download:", key="batch-xlsx")
        st.download_button(say("batch.report"), report, f"{stem}_report.json", "application/json", on_click="ignore",
                           icon=":material/download:", key="batch-report")
        st.download_button(say("batch.figures"), lambda: _html(results), f"{stem}_figures.html", "text/html",
                           on_click="ignore", icon=":material/download:", key="batch-figures")


def _html(results: Results) -> bytes:
    """All figures as one page that needs no network."""
    totals, language = results.totals, current()
    drawn: list[go.Figure] = []
    if results.labelled:
        matrix = evaluation.confusion_matrix(totals.truth, totals.probabilities.argmax(axis=1))
        drawn = [figures.confusion_matrix(matrix, language), figures.confusion_matrix(matrix, language, percent=True),
                 figures.reliability(evaluation.reliability(totals.truth, totals.probabilities), language),
                 figures.coverage(*evaluation.coverage_curve(totals.truth, totals.probabilities), 0.0, language)]
    drawn += [figures.distribution(np.bincount(results.predicted, minlength=len(LABELS)), language),
              figures.confidence(results.confidence, language)]
    page = io.StringIO()
    page.write('<!doctype html><meta charset="utf-8"><title>Emotion Studio</title>')
    for number, figure in enumerate(drawn):
        page.write(figure.to_html(full_html=False, include_plotlyjs=number == 0))
    return page.getvalue().encode()


def _plain(name: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*_{}[]()#+-.!|<>~:$" else c for c in name)
