"""Plotly figures from plain data. No streamlit, no computing: what is drawn comes in."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from .evaluation import Reliability
from .inference import EmotionScore, Prediction
from .labels import COLOURS, LABELS, display_name
from .messages import message

_BAR_HEIGHT = 64
_MARGIN = 12
_CLEAR = "rgba(0,0,0,0)"
# Clear at the light end, so that it suits any background.
_BLUES = [[0, "rgba(91,75,196,0.06)"], [1, "rgba(91,75,196,1)"]]
_DARK_CELL = 0.65  # share from which white is read better than the page's own text colour
_INK = {False: "#221F33", True: "#ECEAF6"}  # text, by whether the page is dark
_ACCENT, _GREY = "#7767EE", "#8790A5"
_HISTOGRAM_BINS = 25
_MODEBAR = {"bgcolor": _CLEAR, "color": _GREY, "activecolor": _ACCENT}


def top_emotions(prediction: Prediction, language: str) -> go.Figure:
    """Horizontal bars of the first emotion and, by the two-emotion rule, the second; x is probability, 0 to 1."""
    shown = [prediction.top, *([prediction.second] if prediction.second else [])]
    return _bars(shown, language)


def _bars(scores: list[EmotionScore], language: str) -> go.Figure:
    names = [display_name(score.label, language) for score in scores]
    probabilities = [score.probability for score in scores]
    figure = go.Figure(
        go.Bar(
            x=probabilities,
            y=names,
            orientation="h",
            marker={"color": [COLOURS[score.label] for score in scores], "cornerradius": 6},
            text=[f"{probability:.1%}" for probability in probabilities],
            textposition="outside",
            textfont={"size": 16},
            cliponaxis=False,
            hovertemplate="%{y} %{x:.1%}<extra></extra>",
        )
    )
    figure.update_layout(
        height=_BAR_HEIGHT * len(scores) + 2 * _MARGIN,
        margin={"l": _MARGIN, "r": 56, "t": _MARGIN, "b": _MARGIN},
        bargap=0.35,
        showlegend=False,
        paper_bgcolor=_CLEAR,
        plot_bgcolor=_CLEAR,
    )
    figure.update_xaxes(range=[0, 1], visible=False, fixedrange=True)
    figure.update_yaxes(autorange="reversed", tickfont={"size": 16}, ticksuffix="  ", fixedrange=True)
    return figure


def confusion_matrix(matrix: np.ndarray, language: str, percent: bool = False, dark: bool = False,
                     chosen: tuple[int, int] | None = None) -> go.Figure:
    """A heatmap of counts, int (7, 7), or of each row's percent; true emotions down, predicted ones across.

    `dark` is whether the page is; the cell `chosen`, (true id, predicted id), has a frame.

    An invisible marker lies on each cell with customdata (true id, predicted id), since a heatmap can't be
    selected in streamlit (streamlit#8760).
    """
    names = [display_name(label, language) for label in LABELS]
    share = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    written = [[f"{value:.0%}" if percent else f"{count:,}" for value, count in zip(values, counts, strict=True)]
               for values, counts in zip(share, matrix.tolist(), strict=True)]
    places = [(true, predicted) for true in range(len(LABELS)) for predicted in range(len(LABELS))]
    hover = [message("figure.matrix_hover", language, true=names[true], predicted=names[predicted],
                     count=int(matrix[true, predicted]), share=share[true, predicted]) for true, predicted in places]
    ink = ["#FFFFFF" if share[place] >= _DARK_CELL else _INK[dark] for place in places]
    figure = go.Figure([
        go.Heatmap(z=share, x=names, y=names, colorscale=_BLUES, zmin=0, zmax=1, showscale=False, xgap=2, ygap=2,
                   hoverinfo="skip"),
        go.Scatter(
            x=[names[predicted] for _, predicted in places], y=[names[true] for true, _ in places],
            mode="markers+text", customdata=[list(place) for place in places],
            text=[written[true][predicted] for true, predicted in places],
            textfont={"size": 13, "color": ink},
            marker={"symbol": "square", "size": 40, "color": "rgba(0,0,0,0.001)"},
            unselected={"marker": {"opacity": 0.001}}, selected={"marker": {"opacity": 0.001}},
            hovertext=hover, hovertemplate="%{hovertext}<extra></extra>"),
    ])
    figure.update_layout(
        height=480, margin={"l": _MARGIN, "r": _MARGIN, "t": 40, "b": _MARGIN}, showlegend=False,
        paper_bgcolor=_CLEAR, plot_bgcolor=_CLEAR, clickmode="event+select", dragmode=False, modebar=_MODEBAR)
    if chosen:
        true, predicted = chosen
        figure.add_shape(type="rect", x0=predicted - 0.48, x1=predicted + 0.48, y0=true - 0.46, y1=true + 0.46,
                         line={"color": _INK[dark], "width": 2})
    figure.update_xaxes(title=message("figure.predicted", language), side="top", fixedrange=True, showgrid=False,
                        range=[-0.5, len(LABELS) - 0.5], tickfont={"size": 13, "color": _INK[dark]},
                        autotickangles=[0, -90])  # upright where names are too long for a narrow screen
    figure.update_yaxes(title=message("figure.true", language), range=[len(LABELS) - 0.5, -0.5], fixedrange=True,
                        showgrid=False, tickfont={"size": 13, "color": _INK[dark]})
    return figure


def reliability(found: Reliability, language: str) -> go.Figure:
    """Accuracy over mean top probability of each bin, with the diagonal of a perfectly calibrated model."""
    filled = found.count > 0
    figure = go.Figure([
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dot", "color": _GREY}, hoverinfo="skip"),
        go.Scatter(
            x=found.confidence[filled], y=found.accuracy[filled], mode="lines+markers", line={"color": _ACCENT},
            customdata=found.count[filled], cliponaxis=False,
            marker={"size": 6 + 18 * np.sqrt(found.count[filled] / max(1, found.count.max()))},
            hovertemplate=message("figure.reliability_hover", language)),
    ])
    return _unit_axes(figure, message("figure.confidence", language), message("figure.accuracy", language))


def coverage(threshold: np.ndarray, covered: np.ndarray, accuracy: np.ndarray, chosen: float,
             language: str) -> go.Figure:
    """Accuracy over the share of rows kept when the least sure are left out; a line where `chosen` is the threshold."""
    figure = go.Figure(go.Scatter(
        x=covered, y=accuracy, customdata=threshold, mode="lines", line={"color": _ACCENT, "width": 3},
        hovertemplate=message("figure.coverage_hover", language)))
    kept = covered[threshold >= chosen]
    figure.add_vline(x=float(kept.max()) if len(kept) else 0.0, line={"dash": "dot", "color": _GREY})
    return _unit_axes(figure, message("figure.coverage", language), message("figure.accuracy", language))


def distribution(counts: np.ndarray, language: str) -> go.Figure:
    """Bars of how many sentences have each emotion first; int (7,)."""
    names = [display_name(label, language) for label in LABELS]
    total = max(1, int(counts.sum()))
    figure = go.Figure(go.Bar(
        x=counts, y=names, orientation="h", marker={"color": [COLOURS[label] for label in LABELS], "cornerradius": 5},
        text=[f"{count:,} ({count / total:.0%})" for count in counts.tolist()], textposition="outside",
        cliponaxis=False, hovertemplate="%{y} %{x:,}<extra></extra>"))
    figure.update_layout(height=320, margin={"l": _MARGIN, "r": 90, "t": _MARGIN, "b": _MARGIN}, paper_bgcolor=_CLEAR,
                         plot_bgcolor=_CLEAR, modebar=_MODEBAR)
    figure.update_xaxes(visible=False, fixedrange=True)
    figure.update_yaxes(autorange="reversed", fixedrange=True, ticksuffix="  ")
    return figure


def confidence(values: np.ndarray, language: str) -> go.Figure:
    """Histogram of the top probability, float (n,); counted here, so that the browser gets 25 numbers."""
    counts, edges = np.histogram(values, bins=_HISTOGRAM_BINS, range=(0, 1))
    figure = go.Figure(go.Bar(x=(edges[:-1] + edges[1:]) / 2, y=counts, marker={"color": _ACCENT},
                              hovertemplate="%{x:.0%}: %{y:,}<extra></extra>"))
    figure.update_layout(height=260, bargap=0.05, margin={"l": _MARGIN, "r": 2 * _MARGIN, "t": _MARGIN, "b": _MARGIN},
                         paper_bgcolor=_CLEAR, plot_bgcolor=_CLEAR, modebar=_MODEBAR)
    figure.update_xaxes(range=[0, 1], tickformat=".0%", title=message("figure.confidence", language), fixedrange=True)
    figure.update_yaxes(title=message("figure.sentences", language), fixedrange=True)
    return figure


def _unit_axes(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_layout(height=340, showlegend=False, paper_bgcolor=_CLEAR, plot_bgcolor=_CLEAR,
                         modebar=_MODEBAR, margin={"l": _MARGIN, "r": _MARGIN, "t": _MARGIN, "b": _MARGIN})
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%", title=x, fixedrange=True)
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%", title=y, fixedrange=True)
    return figure
