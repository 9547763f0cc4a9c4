"""The sentences of a scored file on a page: filters that live in the URL, and a table of one page at a time."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import streamlit as st

from emotion_core.labels import ENGLISH, LABELS, display_name
from emotion_core.scoring.results import Filter, Results

from .language import current, say

PAGE_SIZE = 50
ALL = -1  # a select box takes None for "nothing chosen"
TRUTH, PREDICTED, NUMBER = "batch-truth", "batch-predicted", "batch-number"
PERCENT, THRESHOLD = "batch-percent", "batch-threshold"
_RANGE, _TEXT, _WRONG, _UNSURE = "batch-range", "batch-text", "batch-wrong", "batch-unsure"
_RESTORED = "batch-restored"
FILTERS = ("true", "predicted", "low", "high", "text", "wrong", "unsure", "page", "percent", "threshold")
"""What the URL remembers."""
_DEFAULT_THRESHOLD = 0.5


def restore(of: str) -> None:
    """Set the widgets to what the URL says, where results `of` are newly shown; from then on the widgets hold it."""
    if st.session_state.get(_RESTORED) == of and _RANGE in st.session_state:  # gone where the page was left
        return
    st.session_state[_RESTORED] = of
    query = st.query_params
    low = _number("low", 0.0)
    st.session_state.update({
        TRUTH: _emotion("true"), PREDICTED: _emotion("predicted"), _TEXT: query.get("text", "")[:200],
        _RANGE: (low, max(low, _number("high", 1.0))), _WRONG: query.get("wrong") == "1",
        _UNSURE: query.get("unsure") == "1", PERCENT: query.get("percent") == "1",
        THRESHOLD: _number("threshold", _DEFAULT_THRESHOLD),
        NUMBER: max(1, int(f"0{page}")) if re.fullmatch("[0-9]{1,7}", page := query.get("page", "")) else 1})


def forget() -> None:
    """Take everything out of the URL and the session."""
    for name in FILTERS:
        if name in st.query_params:
            del st.query_params[name]
    for key in (TRUTH, PREDICTED, NUMBER, PERCENT, THRESHOLD, _RANGE, _TEXT, _WRONG, _UNSURE, _RESTORED):
        st.session_state.pop(key, None)


def only_cell(truth: int, predicted: int) -> None:
    """Filter for a cell of the confusion matrix and nothing else, so that the list is as long as the cell says."""
    st.session_state.update({TRUTH: truth, PREDICTED: predicted, NUMBER: 1, _RANGE: (0.0, 1.0), _TEXT: "",
                             _WRONG: False})


def show(results: Results) -> None:
    """Draw the filters and the sentences that they let through."""
    st.subheader(say("batch.sentences"), anchor="sentences")
    emotions = [ALL, *range(len(LABELS))]

    def name(place: int) -> str:
        return say("batch.all") if place == ALL else display_name(LABELS[place], current())

    truth = ALL
    left, right = st.columns(2)
    if results.labelled:
        truth = left.selectbox(say("figure.true"), emotions, format_func=name, key=TRUTH, on_change=_first_page)
    predicted = (right if results.labelled else left).selectbox(
        say("figure.predicted"), emotions, format_func=name, key=PREDICTED, on_change=_first_page)
    left, right = st.columns(2) if results.labelled else (left, right)
    low, high = left.slider(say("column.probability"), 0.0, 1.0, step=0.01, key=_RANGE, on_change=_first_page)
    text = right.text_input(say("batch.search"), key=_TEXT, on_change=_first_page)
    with st.container(horizontal=True):
        wrong = results.labelled and st.checkbox(say("batch.only_wrong"), key=_WRONG, on_change=_first_page)
        unsure = st.checkbox(say("batch.unsure_first"), key=_UNSURE, on_change=_first_page)
    wanted = Filter(None if truth == ALL else truth, None if predicted == ALL else predicted, low, high, text, wrong)
    places = results.select(wanted, surest_first=not unsure)
    pages = max(1, -(-len(places) // PAGE_SIZE))
    st.session_state[NUMBER] = number = min(st.session_state.get(NUMBER, 1), pages)
    if not len(places):
        st.caption(say("batch.no_sentences"))
    else:
        st.caption(say("batch.found_unsure" if unsure else "batch.found", count=len(places)))
        if pages > 1:
            number = st.number_input(say("batch.page", pages=pages), 1, pages, key=NUMBER)
        table(results, places[(number - 1) * PAGE_SIZE : number * PAGE_SIZE])
    _remember(wanted, unsure, number)


def table(results: Results, places: np.ndarray) -> None:
    """The rows at `places`."""
    rows = []
    for place in places:
        row = {say("batch.row"): int(results.row[place]), say("column.sentence"): results.text(place)}
        if results.labelled:
            true = int(results.truth[place])
            row[say("figure.true")] = display_name(LABELS[true], current()) if true >= 0 else ""
        row[say("figure.predicted")] = display_name(LABELS[int(results.predicted[place])], current())
        row[say("column.probability")] = 100 * float(results.confidence[place])
        rows.append(row)
    st.dataframe(pd.DataFrame(rows), hide_index=True, placeholder="", column_config={
        say("batch.row"): st.column_config.NumberColumn(width="small", format="%d"),
        say("column.sentence"): st.column_config.TextColumn(width="large"),
        say("column.probability"): st.column_config.NumberColumn(format="%.1f%%")})


def _first_page() -> None:
    st.session_state[NUMBER] = 1


def _emotion(name: str) -> int:
    wanted = st.query_params.get(name)
    return ENGLISH.index(wanted) if wanted in ENGLISH else ALL


def _number(name: str, default: float) -> float:
    try:
        found = float(st.query_params.get(name, default))
    except ValueError:
        return default
    return round(min(1.0, max(0.0, found)), 2) if found == found else default  # no NaN


def _remember(wanted: Filter, unsure: bool, number: int) -> None:
    threshold = st.session_state.get(THRESHOLD, _DEFAULT_THRESHOLD)
    written = {
        "true": "" if wanted.truth is None else ENGLISH[wanted.truth], "text": wanted.text,
        "predicted": "" if wanted.predicted is None else ENGLISH[wanted.predicted],
        "low": f"{wanted.low:g}" if wanted.low > 0 else "", "high": f"{wanted.high:g}" if wanted.high < 1 else "",
        "wrong": "1" if wanted.only_wrong else "", "unsure": "1" if unsure else "",
        "page": str(number) if number > 1 else "", "percent": "1" if st.session_state.get(PERCENT) else "",
        "threshold": f"{threshold:g}" if threshold != _DEFAULT_THRESHOLD else ""}
    for name, value in written.items():
        if value and st.query_params.get(name) != value:
            st.query_params[name] = value
        elif not value and name in st.query_params:
            del st.query_params[name]
