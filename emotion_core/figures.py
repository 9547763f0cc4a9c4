"""Plotly figures from plain data. No streamlit, no computing: what is drawn comes in."""

from __future__ import annotations

import plotly.graph_objects as go

from .inference import EmotionScore, Prediction
from .labels import COLOURS, display_name

_BAR_HEIGHT = 64
_MARGIN = 12


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
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    figure.update_xaxes(range=[0, 1], visible=False, fixedrange=True)
    figure.update_yaxes(autorange="reversed", tickfont={"size": 16}, ticksuffix="  ", fixedrange=True)
    return figure
