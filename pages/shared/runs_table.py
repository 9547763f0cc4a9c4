"""All runs as a table to sort, and several of them side by side: curves, figures, what their settings differ in."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from emotion_core import curves, runs
from emotion_core.runs import Run
from emotion_core.runs.words import STATES

from . import acting, training_settings
from .language import current, say
from .wording import bold, plain, when

_CHOSEN, _OPEN = "runs-chosen", "runs-open"
_PLOT = {"displaylogo": False, "modeBarButtons": [["toImage"]]}
_FIGURES = ("test_accuracy", "test_macro_f1", "test_loss", "train_accuracy", "train_loss")
_WORDS = {"test_accuracy": "figure.test_accuracy", "test_macro_f1": "figure.test_f1", "test_loss": "figure.test_loss",
          "train_accuracy": "figure.train_accuracy", "train_loss": "figure.train_loss"}
_SETTINGS = ("epochs", "batch_size", "optimizer", "learning_rate", "dropout", "max_length", "seed")
_MOST_COMPARED = 12
_MOST_POINTS = 200


def show(opened: Callable[[str, str], None]) -> None:
    """Draw the table and what can be done with chosen runs; `opened("run", id)` and ("compare", ids) go there."""
    acting.say_failure()
    found = runs.all_runs()
    if not found:
        st.caption(say("runs.empty"))
        return
    st.caption(say("runs.hint"))
    percent = st.column_config.NumberColumn(format="%.1f%%")
    four = st.column_config.NumberColumn(format="%.4f")
    ids = [run.id for run in found]
    event = st.dataframe(
        _table(found), hide_index=True, key=_CHOSEN, on_select="rerun", selection_mode="multi-row", placeholder="",
        column_config={
            say("batch.open"): st.column_config.ButtonColumn(
                "", type="tertiary", key=_OPEN, on_click=_open, args=(ids, opened), width="small"),
            **{say(_WORDS[name]): four if name.endswith("loss") else percent for name in _FIGURES},
            training_settings.label("learning_rate"): st.column_config.NumberColumn(format="%.1e"),
            say("run.worked"): st.column_config.NumberColumn(format=say("time.seconds", seconds="%d")),
            say("runs.size"): st.column_config.NumberColumn(format="bytes"),
            say("run.created"): st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")})
    chosen = [found[place] for place in event.selection.rows if place < len(found)]
    _actions(chosen, opened)


def _open(ids: list[str], opened: Callable[[str, str], None]) -> None:
    click = st.session_state[_OPEN]
    if click is not None and click["row"] < len(ids):
        opened("run", ids[click["row"]])


def _table(found: list[Run]) -> pd.DataFrame:
    rows = []
    for run in found:
        row = {say("batch.open"): say("batch.open"), say("training.name"): run.name,
               say("runs.state"): say(STATES[run.state])}
        row |= {say(_WORDS[name]): run.figures.get(name) for name in _FIGURES}
        row |= {say("training.base"): run.base, say("run.data_title"): run.title}
        row |= {training_settings.label(name): getattr(run.config, name, None) for name in _SETTINGS}
        row |= {say("run.worked"): run.seconds, say("runs.size"): run.size, say("runs.sweep"): run.sweep.name
                if run.sweep else "", say("run.created"): pd.Timestamp(run.created, unit="s", tz="UTC").tz_convert(
                    _zone()).tz_localize(None), say("run.note"): run.note}
        rows.append(row)
    table = pd.DataFrame(rows)
    for name in _FIGURES:
        scale = 1 if name.endswith("loss") else 100
        table[say(_WORDS[name])] = scale * table[say(_WORDS[name])].astype(float)
    return table


def _zone() -> object:
    import datetime

    return datetime.datetime.now().astimezone().tzinfo


def _actions(chosen: list[Run], opened: Callable[[str, str], None]) -> None:
    ended = [run for run in chosen if run.ended]
    readable = [run for run in chosen if run.config is not None][:_MOST_COMPARED]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(say("runs.compare", count=len(readable)), icon=":material/stacked_line_chart:", type="primary",
                  disabled=len(readable) < 2, on_click=opened, args=("compare", ",".join(run.id for run in readable)))
        if ended:
            with st.popover(say("runs.delete", count=len(ended)), icon=":material/delete:"):
                st.markdown(say("runs.delete_warning", count=len(ended)))
                st.markdown("\n".join(f"- {plain(run.name)}" for run in ended[:_MOST_COMPARED]))
                st.button(say("batch.delete_confirm"), on_click=_delete, args=([run.id for run in ended],),
                          key="runs-delete")


def _delete(ids: list[str]) -> None:
    for run in ids:
        acting.do(runs.delete, run)
    st.session_state.pop(_CHOSEN, None)


def compare(ids: list[str], close: Callable[[], None], opened: Callable[[str, str], None]) -> None:
    """Draw the runs `ids` over each other; those that are gone or damaged are left out and named."""
    st.button(say("training.back"), icon=":material/arrow_back:", on_click=close)
    st.markdown("#### " + say("runs.compared"))
    known = {run.id: run for run in runs.all_runs()}
    found = [known[one] for one in dict.fromkeys(ids) if one in known and known[one].config is not None]
    found = found[:_MOST_COMPARED]
    if len(found) < len(set(ids)):
        st.warning(say("runs.compare_gone"), icon=":material/info:")
    if not found:
        return
    colours = {run.id: curves.PALETTE[place % len(curves.PALETTE)] for place, run in enumerate(found)}
    for key, name, percent in (("figure.test_accuracy", "test_accuracy", True),
                               ("figure.train_accuracy", "train_accuracy", True),
                               ("figure.test_f1", "test_macro_f1", True),
                               ("figure.both_losses", "loss", False)):
        st.markdown(bold(key))
        drawn = []
        for run in found:
            epochs = runs.metrics(run.id).epochs
            places = [one.epoch for one in epochs]
            if name == "loss":
                drawn.append(curves.Curve(f"{run.name} · {say('figure.train')}", places,
                                          [one.train_loss for one in epochs], colours[run.id], dashed=True))
                drawn.append(curves.Curve(f"{run.name} · {say('figure.test')}", places,
                                          [one.test_loss for one in epochs], colours[run.id]))
            else:
                drawn.append(curves.Curve(run.name, places, [getattr(one, name) for one in epochs], colours[run.id]))
        st.plotly_chart(curves.lines(drawn, current(), percent=percent), key=f"compare-{name}", config=_PLOT)
    st.markdown(bold("runs.differences"))
    difference = runs.compare([run.id for run in found])
    if difference.names:
        st.dataframe(pd.DataFrame(
            [(_label(name), *(_value(name, row[place]) for row in difference.rows))
             for place, name in enumerate(difference.names)],
            columns=[say("run.setting"), *_columns(list(difference.runs))]), hide_index=True, placeholder="")
    else:
        st.caption(say("runs.no_difference"))
    st.markdown(bold("runs.figures"))
    st.dataframe(pd.DataFrame(
        [(say(_WORDS[name]), *(run.figures.get(name) for run in found)) for name in _FIGURES],
        columns=[say("runs.figure"), *_columns(found)]), hide_index=True, placeholder="",
        column_config={name: st.column_config.NumberColumn(format="%.4f") for name in _columns(found)})
    with st.container(horizontal=True):
        for run, column in zip(found, _columns(found), strict=True):
            st.button(column, key=f"compare-open-{run.id}", icon=":material/open_in_new:", on_click=opened,
                      args=("run", run.id))


def _columns(found: list[Run]) -> list[str]:
    """A name a run, none twice."""
    names = [run.name for run in found]
    return [name if names.count(name) == 1 else f"{name} ({when(run.created)} {run.id[-6:]})"
            for name, run in zip(names, found, strict=True)]


def _label(name: str) -> str:
    words = {"base": "training.base", "data": "run.data_title", "fingerprint": "run.fingerprint",
             "device": "run.device"}
    return say(words[name]) if name in words else training_settings.label(name)


def _value(name: str, value: object) -> str:
    return training_settings.written(name, value)
