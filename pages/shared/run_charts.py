"""A run's curves on a page: loss and accuracy of both halves, F1 of each emotion, the learning rate."""

from __future__ import annotations

import numpy as np
import streamlit as st

from emotion_core import curves, runs
from emotion_core.runs import Metrics, Run

from .language import current, say
from .wording import bold

MOST_POINTS = 400
_PLOT = {"displaylogo": False, "modeBarButtons": [["toImage"]]}


def draw(run: Run) -> None:
    """Draw the curves so far; the browser gets at most MOST_POINTS of each."""
    found = runs.metrics(run.id).thinned(MOST_POINTS)
    if not found.points and not found.epochs:
        st.caption(say("training.no_curves"))
        return
    for place, (key, name, percent) in zip(st.columns(2), (
            ("figure.loss", "loss", False), ("figure.accuracy_short", "accuracy", True)), strict=True):
        with place:
            st.markdown(bold(key))
            st.plotly_chart(curves.lines(_both_halves(found, name), current(), percent=percent),
                            key=f"run-{name}", config=_PLOT)
    st.caption(say("training.curves_about"))
    with st.expander(say("training.more_curves"), icon=":material/show_chart:"):
        if found.epochs:
            st.markdown(bold("training.f1_by_epoch"))
            epochs = [one.epoch for one in found.epochs]
            st.plotly_chart(curves.f1_by_epoch(epochs, np.array([one.f1 for one in found.epochs]), current()),
                            key="run-f1", config=_PLOT)
        st.markdown(bold("figure.learning_rate"))
        steps = [*found.points, *found.epochs]
        steps.sort(key=lambda one: one.step)
        st.plotly_chart(curves.learning_rate([float(one.epoch) for one in steps], [one.learning_rate for one in steps],
                                             current()), key="run-rate", config=_PLOT)


def _both_halves(found: Metrics, name: str) -> list[curves.Curve]:
    epochs = [one.epoch for one in found.epochs]
    return curves.train_and_test(
        (epochs, [getattr(one, f"train_{name}") for one in found.epochs]),
        ([point.epoch for point in found.points], [getattr(point, name) for point in found.points]),
        (epochs, [getattr(one, f"test_{name}") for one in found.epochs]), current())
