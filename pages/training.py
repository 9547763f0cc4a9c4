"""The training page: start a run, watch it learn, keep the best."""

from __future__ import annotations

import streamlit as st

from emotion_core import EmotionError, runs
from emotion_core.runs import sweeps
from pages.shared import frame, queue_view, results_view, run_view, runs_table, sweep_view, training_form
from pages.shared.language import say
from pages.shared.wording import sentence

OPENED = ("run", "sweep", "compare")
"""What the URL may name: one run, one sweep, or several runs side by side."""
_TAB = "training-tab"


def main() -> None:
    """Draw the page."""
    st.title(say("training.title"))
    try:
        if run := st.query_params.get("run"):
            run_view.show(runs.get(run), _close, _again)
            return
        if sweep := st.query_params.get("sweep"):
            sweep_view.show(sweeps.get(sweep), _close, _open)
            return
    except EmotionError as error:
        if error.key not in ("error.run.missing", "error.sweep.missing"):
            raise
        st.warning(sentence(error), icon=":material/info:")
        _close()
    if chosen := st.query_params.get("compare"):
        runs_table.compare(chosen.split(","), _close, _open)
        return
    st.caption(say("training.intro"))
    queue_view.show(_open)
    names = [say("training.tab_new"), say("training.tab_runs"), say("training.tab_sweeps")]
    new, known, several = st.tabs(names, key=_TAB, on_change="rerun")
    if new.open:
        with new:
            training_form.show(_open)
    if known.open:
        with known:
            runs_table.show(_open)
    if several.open:
        with several:
            sweep_view.listed(_open)


def _open(kind: str, what: str) -> None:
    _close()
    st.query_params[kind] = what


def _again() -> None:
    _close()
    st.session_state[_TAB] = say("training.tab_new")


def _close() -> None:
    for name in OPENED:
        if name in st.query_params:
            del st.query_params[name]
    results_view.forget()


frame.show(main)
