"""A scored file on a page: how good the model is on it, or, without labels, what it found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from emotion_core import evaluation, figures, models
from emotion_core.jobs import JobStatus
from emotion_core.jobs.store import read_json
from emotion_core.labels import LABELS, display_name
from emotion_core.scoring import job as scoring_job
from emotion_core.scoring.results import Filter, Results

from . import result_downloads, sentence_list
from .language import current, say
from .sentence_list import forget
from .wording import plain

__all__ = ["explore", "forget", "show"]

_EXTREMES = 5
_MISTAKES = 10
_CLICKS = "batch-clicks"
_PLOT = {"displaylogo": False, "modeBarButtons": [["toImage"]]}


@st.cache_resource(max_entries=2, show_spinner=False)
def _results(folder: str, parts: int, changed: float) -> Results:
    """`parts` and `changed` are in the key, so that a job that went on is read anew."""
    return Results(Path(folder))


def show(status: JobStatus) -> None:
    """Draw everything about a job that has ended."""
    files = scoring_job.part_files(status.folder)
    with st.spinner(say("batch.loading")):
        results = _results(str(status.folder), len(files), files[-1].stat().st_mtime if files else 0.0)
    if not len(results.row):
        st.info(say("batch.nothing"), icon=":material/info:")
        return
    totals = results.totals
    spec = read_json(status.folder / "spec.json")
    folder = Path(spec["model"])
    model = str(spec.get("model_title") or folder.name)
    said = [say("batch.summary", scored=totals.scored, rows=max(totals.rows, status.total), model=plain(model))]
    for count, key in ((totals.skipped_count, "batch.summary_empty"), (totals.truncated, "batch.summary_cut"),
                       (totals.unknown_labels, "batch.summary_unknown")):
        if count:
            said.append(say(key, count=count))
    st.caption(" ".join(said))
    explore(results, status.id)
    result_downloads.show(status, results, models.name_of(folder) or model)


def explore(results: Results, of: str) -> None:
    """Draw the figures and the sentences of `results`; `of` tells one from another, so that each has its filters."""
    sentence_list.restore(of)
    if results.labelled:
        _with_labels(results)
    else:
        _without_labels(results)


def _with_labels(results: Results) -> None:
    found = results.intervals
    for place, (name, key) in zip(st.columns(3), (("accuracy", "batch.accuracy"), ("macro_f1", "batch.macro_f1"),
                                                  ("weighted_f1", "batch.weighted_f1")), strict=True):
        one = found[name]
        place.metric(say(key), f"{one.value:.1%}")
        place.caption(say("batch.interval", low=one.low, high=one.high))
    st.subheader(say("batch.matrix"))
    percent = st.segmented_control(say("batch.matrix_unit"), [False, True], required=True,
                                   format_func=lambda one: say("batch.percent" if one else "batch.counts"),
                                   key=sentence_list.PERCENT, label_visibility="collapsed")
    st.caption(say("batch.matrix_hint"))
    chosen = tuple(st.session_state.get(key, sentence_list.ALL)
                   for key in (sentence_list.TRUTH, sentence_list.PREDICTED))
    # The selection is the browser's: under a new key it is empty again, and the same cell can be clicked twice.
    key = f"batch-matrix-{st.session_state.get(_CLICKS, 0)}"
    st.plotly_chart(
        figures.confusion_matrix(results.matrix, current(), bool(percent), st.context.theme.type == "dark",
                                 None if sentence_list.ALL in chosen else chosen),
        key=key, on_select=lambda: _take_click(key), selection_mode="points", config=_PLOT, alt=say("batch.matrix"))
    sentence_list.show(results)
    st.subheader(say("batch.more"))
    tabs = st.tabs([say("batch.per_class"), say("batch.mistakes"), say("batch.calibration"), say("batch.coverage")])
    with tabs[0]:
        _per_class(results.matrix)
    with tabs[1]:
        mistakes = results.select(Filter(only_wrong=True))[:_MISTAKES]
        st.caption(say("batch.mistakes_hint" if len(mistakes) else "batch.no_mistakes"))
        if len(mistakes):
            sentence_list.table(results, mistakes)
    with tabs[2]:
        st.markdown(say("batch.ece", error=results.reliability.expected_calibration_error))
        st.plotly_chart(figures.reliability(results.reliability, current()), key="batch-reliability", config=_PLOT,
                        alt=say("batch.calibration"))
    with tabs[3]:
        _coverage(results)


def _take_click(key: str) -> None:
    """A clicked cell sets the select boxes, which the person may change afterwards."""
    event = st.session_state.get(key)
    points = event.selection.points if event else []
    cell = points[0].get("customdata", ()) if points else ()
    if len(cell) == 2:
        sentence_list.only_cell(int(cell[0]), int(cell[1]))
        st.session_state[_CLICKS] = st.session_state.get(_CLICKS, 0) + 1


def _per_class(matrix: np.ndarray) -> None:
    precision, recall = say("batch.precision"), say("batch.recall")
    rows = []
    for one, answered in zip(evaluation.per_class(matrix), matrix.sum(axis=0), strict=True):
        # Of no sentences there is no share: an empty cell, where 0 % would read as a model that fails.
        rows.append({
            say("column.emotion"): display_name(one.label, current()),
            precision: 100 * one.precision if answered else None, recall: 100 * one.recall if one.support else None,
            "F1": 100 * one.f1 if answered or one.support else None, say("batch.support"): one.support})
    percent = st.column_config.NumberColumn(format="%.1f%%")
    table = pd.DataFrame(rows).astype({name: float for name in (precision, recall, "F1")})
    st.dataframe(table, hide_index=True, placeholder="", column_config={
        precision: percent, recall: percent, "F1": percent})


def _coverage(results: Results) -> None:
    chosen = st.slider(say("batch.threshold"), 0.0, 1.0, step=0.01, key=sentence_list.THRESHOLD)
    covered, accuracy = evaluation.covered(results.totals.truth, results.totals.probabilities, chosen)
    if covered:
        st.markdown(say("batch.coverage_said", covered=covered, accuracy=accuracy))
    else:
        st.markdown(say("batch.coverage_none"))
    st.plotly_chart(figures.coverage(*results.coverage, chosen, current()), key="batch-coverage", config=_PLOT,
                    alt=say("batch.coverage"))


def _without_labels(results: Results) -> None:
    counts = np.bincount(results.predicted, minlength=len(LABELS))
    st.subheader(say("batch.distribution"))
    st.plotly_chart(figures.distribution(counts, current()), key="batch-distribution", config=_PLOT,
                    alt=say("batch.distribution"))
    st.subheader(say("batch.confidence"))
    st.plotly_chart(figures.confidence(results.confidence, current()), key="batch-confidence", config=_PLOT,
                    alt=say("batch.confidence"))
    st.subheader(say("batch.extremes"))
    for place, tab in enumerate(st.tabs([display_name(label, current()) for label in LABELS])):
        with tab:
            if not counts[place]:
                st.caption(say("batch.no_sentences"))
                continue
            for key, surest in (("batch.most_certain", True), ("batch.least_certain", False)):
                st.markdown(f"**{say(key)}**")
                sentence_list.table(results, results.select(Filter(predicted=place), surest)[:_EXTREMES])
    sentence_list.show(results)
