"""Plotly figures of training: how runs learn, what they learn from, how sweeps compare. No streamlit, no computing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from .labels import COLOURS, LABELS, display_name
from .messages import message

PALETTE = ("#7767EE", "#C96A14", "#2FB384", "#A3173A", "#1A66DC", "#DDB40A", "#8790A5", "#7B3F98")
"""One colour a run of an overlay, over again after eight."""
_TRAIN, _TEST = "#C96A14", "#7767EE"
_CLEAR, _GREY = "rgba(0,0,0,0)", "#8790A5"
_HEIGHT = 300
_SINGLE_EPOCHS = 30
"""Epochs up to which each has a tick of its own."""


@dataclass(frozen=True)
class Curve:
    """Figures over epochs. epoch, value: float, the same length; dashed for what is measured while training goes."""

    name: str
    epoch: Sequence[float]
    value: Sequence[float]
    colour: str
    dashed: bool = False
    faint: bool = False


def train_and_test(train: tuple[Sequence[float], Sequence[float]], so_far: tuple[Sequence[float], Sequence[float]],
                   test: tuple[Sequence[float], Sequence[float]], language: str) -> list[Curve]:
    """The curves of one run, each given as (epochs, values).

    train: whole epochs; so_far: inside them, the mean since the epoch began; test: at the epochs' ends.
    """
    return [Curve(message("figure.so_far", language), *so_far, _TRAIN, faint=True),
            Curve(message("figure.train", language), *train, _TRAIN, dashed=True),
            Curve(message("figure.test", language), *test, _TEST)]


def lines(curves: Sequence[Curve], language: str, *, percent: bool = False) -> go.Figure:
    """`curves` over epochs; `percent` for shares of 1."""
    form = ":.1%" if percent else ":.4f"
    figure = go.Figure()
    drawn = [curve for curve in curves if len(curve.epoch)]
    for curve in drawn:
        dash = "dot" if curve.dashed else "solid"
        marked = not curve.faint or len(curve.epoch) == 1  # a line of one point is none
        figure.add_scatter(
            x=list(curve.epoch), y=list(curve.value), name=curve.name, mode="lines+markers" if marked else "lines",
            line={"color": curve.colour, "width": 1.5 if curve.faint else 2.5, "dash": dash},
            opacity=0.45 if curve.faint else 1, marker={"size": 7},
            hovertemplate=f"%{{fullData.name}}<br>{message('figure.epoch', language)} %{{x:.2~f}}: "
                          f"%{{y{form}}}<extra></extra>")
    _lay_out(figure, _HEIGHT + 20 * max(0, len(drawn) - 3))  # the legend stands above the curves
    figure.update_layout(margin={"t": 44})  # and the button that saves the picture above the legend
    last = max((float(curve.epoch[-1]) for curve in drawn), default=1.0)
    figure.update_xaxes(title=message("figure.epoch", language), range=[0, max(1.0, last) * 1.03], fixedrange=True,
                        **({"dtick": 1} if last <= _SINGLE_EPOCHS // 2 else {}))
    figure.update_yaxes(tickformat=".0%" if percent else None, rangemode="tozero", fixedrange=True)
    if percent and drawn:
        low = min(float(np.min(curve.value)) for curve in drawn)
        high = max(float(np.max(curve.value)) for curve in drawn)
        figure.update_yaxes(range=[max(0.0, min(low, high - 0.2) - 0.03), min(1.02, max(high, low + 0.2) + 0.03)])
    return figure


def f1_by_epoch(epochs: Sequence[float], f1: np.ndarray, language: str) -> go.Figure:
    """A line an emotion; f1 float (epochs, 7), label-id order."""
    return lines([Curve(display_name(label, language), epochs, f1[:, place] if len(f1) else [], COLOURS[label])
                  for place, label in enumerate(LABELS)], language, percent=True)


def learning_rate(epochs: Sequence[float], rates: Sequence[float], language: str) -> go.Figure:
    """The learning rate over epochs."""
    figure = lines([Curve(message("figure.learning_rate", language), epochs, rates, _TEST, faint=True)], language)
    figure.update_traces(opacity=1, line_width=2.5,
                         hovertemplate=f"{message('figure.epoch', language)} %{{x:.2~f}}: %{{y:.3~g}}<extra></extra>")
    figure.update_yaxes(tickformat=".1e", rangemode="tozero")
    figure.update_layout(showlegend=False)
    return figure


def balance(rows: Sequence[tuple[str, int, int]], language: str) -> go.Figure:
    """Stacked bars of (label, rows to train on, rows to test on)."""
    names = [display_name(label, language) for label, _, _ in rows]
    total = max(1, sum(train + test for _, train, test in rows))
    figure = go.Figure([
        go.Bar(x=[train for _, train, _ in rows], y=names, orientation="h", name=message("figure.train", language),
               marker={"color": [COLOURS[label] for label, _, _ in rows]},
               hovertemplate="%{y} %{x:,}<extra>%{fullData.name}</extra>"),
        go.Bar(x=[test for _, _, test in rows], y=names, orientation="h", name=message("figure.test", language),
               marker={"color": [COLOURS[label] for label, _, _ in rows], "opacity": 0.45},
               text=[f"{train + test:,} ({(train + test) / total:.0%})" for _, train, test in rows],
               textposition="outside", cliponaxis=False, hovertemplate="%{y} %{x:,}<extra>%{fullData.name}</extra>"),
    ])
    _lay_out(figure, 300)
    figure.update_layout(barmode="stack", showlegend=False, margin={"r": 90})
    figure.update_xaxes(visible=False, fixedrange=True)
    figure.update_yaxes(autorange="reversed", fixedrange=True, ticksuffix="  ")
    return figure


def token_lengths(counts: np.ndarray, longest: int, language: str) -> go.Figure:
    """Histogram of sentences by tokens, int (tokens + 1,), with a line where they are cut."""
    figure = go.Figure(go.Bar(
        x=np.arange(len(counts)), y=counts, marker={"color": _TEST, "line": {"width": 0}},
        hovertemplate=message("figure.length_hover", language)))
    figure.add_vline(x=longest + 0.5, line={"dash": "dot", "color": _TRAIN})
    _lay_out(figure, 240)
    figure.update_layout(bargap=0)
    figure.update_xaxes(title=message("figure.tokens", language), fixedrange=True,
                        range=[0, max(len(counts), min(longest, 2 * len(counts))) + 1])
    figure.update_yaxes(title=message("figure.sentences", language), fixedrange=True)
    return figure


def spread(names: Sequence[str], means: Sequence[float], spreads: Sequence[float], each: Sequence[Sequence[float]],
           title: str, percent: bool) -> go.Figure:
    """Mean and standard deviation of each combination of a sweep (NaN draws none), and a point for each of its runs."""
    figure = go.Figure([
        go.Scatter(
            x=list(means), y=list(names), mode="markers", marker={"size": 12, "color": _TEST, "symbol": "diamond"},
            error_x={"type": "data", "array": [0 if math.isnan(one) else one for one in spreads], "thickness": 2,
                     "color": _TEST},
            customdata=[[one] for one in spreads],
            hovertemplate=f"%{{y}}<br>%{{x{':.2%' if percent else ':.4f'}}}<extra></extra>"),
        go.Scatter(
            x=[value for values in each for value in values],
            y=[name for name, values in zip(names, each, strict=True) for _ in values], mode="markers",
            marker={"size": 7, "color": _GREY, "opacity": 0.7},
            hovertemplate=f"%{{x{':.2%' if percent else ':.4f'}}}<extra></extra>"),
    ])
    _lay_out(figure, 90 + 44 * max(1, len(names)))
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title=title, tickformat=".1%" if percent else None, fixedrange=True)
    figure.update_yaxes(autorange="reversed", fixedrange=True, type="category", automargin=True, ticksuffix="  ")
    return figure


def _lay_out(figure: go.Figure, height: int) -> None:
    figure.update_layout(
        height=height, margin={"l": 12, "r": 12, "t": 12, "b": 12}, paper_bgcolor=_CLEAR, plot_bgcolor=_CLEAR,
        modebar={"bgcolor": _CLEAR, "color": _GREY, "activecolor": _TEST},  # on a clear paper it would be a grey box
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0}, hovermode="closest")
