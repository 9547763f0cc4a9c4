"""Sweeps on a page: their list, one as a table and plots with mean and spread, and what can honestly be said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from emotion_core import EmotionError, curves, runs
from emotion_core.runs import sweeps
from emotion_core.runs.sweeps import Sweep
from emotion_core.runs.words import STATES
from emotion_core.training.settings import said

from . import acting, frame, training_settings
from .language import current, say
from .run_view import ICONS
from .wording import bold, plain, told

REFRESH_SECONDS = 2.0
_WORDS = {"test_macro_f1": "figure.test_f1", "test_accuracy": "figure.test_accuracy", "test_loss": "figure.test_loss",
          "train_accuracy": "figure.train_accuracy", "train_loss": "figure.train_loss"}
_PLOT = {"displaylogo": False, "modeBarButtons": [["toImage"]]}
_FIGURE = "sweep-figure"


def listed(opened: Callable[[str, str], None]) -> None:
    """Draw the list of sweeps; `opened("sweep", id)` opens one."""
    found = sweeps.all_sweeps()
    if not found:
        st.caption(say("sweep.none"))
        return
    for one in found:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            axes = ", ".join(training_settings.label(axis) for axis in one.axes) or say("sweep.seeds")
            st.markdown(f"**{plain(one.name)}**  \n{axes} · {say('sweep.done', done=one.done, total=one.total)}",
                        width="stretch")
            st.button(say("batch.open"), key=f"sweep-open-{one.id}", on_click=opened, args=("sweep", one.id))


def show(sweep: Sweep, close: Callable[[], None], opened: Callable[[str, str], None]) -> None:
    """Draw everything about `sweep`."""
    st.button(say("training.back"), icon=":material/arrow_back:", on_click=close)
    st.markdown(f"#### {plain(sweep.name)}")
    acting.say_failure()
    figure = st.selectbox(say("sweep.figure"), sweeps.FIGURES, format_func=lambda one: say(_WORDS[one]), key=_FIGURE,
                          persist_state="session")
    if all(run.ended for run in sweep.runs):
        _result(sweep, figure)
        with st.container(horizontal=True), st.popover(say("batch.delete"), icon=":material/delete:"):
            st.markdown(say("sweep.delete_warning", count=sweep.total))
            st.button(say("batch.delete_confirm"), on_click=_delete, args=(sweep.id, close), key="sweep-delete")
    else:
        runs.wake()
        _watch(sweep.id, figure)
    st.markdown(bold("sweep.runs"))
    for run in sweep.runs:
        with st.container(horizontal=True, vertical_alignment="center"):
            score = f" · {run.figures[figure]:.4f}" if figure in run.figures else ""
            st.markdown(f"{ICONS[run.state]} {plain(run.name)}  \n{say(STATES[run.state])}{score}", width="stretch")
            if run.resumable:
                st.button(say("run.resume"), key=f"sweep-resume-{run.id}", on_click=acting.do,
                          args=(runs.resume, run.id))
            st.button(say("batch.open"), key=f"sweep-run-{run.id}", on_click=opened, args=("run", run.id))


@frame.watching(REFRESH_SECONDS)
def _watch(sweep: str, figure: str) -> None:
    try:
        found = sweeps.get(sweep)
    except EmotionError:
        st.rerun()
    if all(run.ended for run in found.runs):
        st.rerun()
    acting.say_failure()
    now = sum(run.step / run.steps for run in found.runs if run.active and run.steps)
    ended = sum(run.ended for run in found.runs)
    st.progress(min(1.0, (ended + now) / found.total), say("sweep.done", done=found.done, total=found.total))
    st.caption(say("training.goes_on"))
    st.button(say("sweep.stop"), icon=":material/stop:", on_click=acting.do, args=(sweeps.stop, sweep))
    _result(found, figure)


def _result(sweep: Sweep, figure: str) -> None:
    result = sweeps.result(sweep.id, figure)
    key, values = result.sentence
    if "best" in values:
        values = values | {"best": _said(values["best"]), "next": _said(values["next"])}
    st.info(told(key, values), icon=":material/insights:")
    if not result.rows:
        return
    percent = not figure.endswith("loss")
    members = {run.id: run for run in sweep.runs}
    st.plotly_chart(curves.spread(
        [_said(row.settings) for row in result.rows], [row.mean[figure] for row in result.rows],
        [row.spread[figure] for row in result.rows],
        [[members[one].figures[figure] for one in row.runs if one in members] for row in result.rows],
        say(_WORDS[figure]), percent), key="sweep-spread", config=_PLOT)
    st.caption(say("sweep.spread_about"))
    rows = []
    for row in result.rows:
        cells = {training_settings.label(name): training_settings.written(name, value)
                 for name, value in row.settings.items()}
        cells[say("sweep.count")] = str(row.count)
        for name in sweeps.FIGURES:
            cells[say(_WORDS[name])] = _with_spread(row.mean.get(name), row.spread.get(name))
        rows.append(cells)
    st.dataframe(pd.DataFrame(rows), hide_index=True, placeholder="")


def _with_spread(mean: float | None, spread: float | None) -> str:
    if mean is None:
        return ""
    return f"{mean:.4f}" if spread is None or spread != spread else f"{mean:.4f} ± {spread:.4f}"


def _said(settings: Mapping[str, Any]) -> str:
    return said(settings, current()) or say("sweep.the_one")


def _delete(sweep: str, close: Callable[[], None]) -> None:
    if acting.do(sweeps.delete, sweep):
        close()
