"""The live page: type a sentence, see its top two emotions."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from emotion_core import EmotionScore, Prediction, Skipped, figures
from emotion_core.labels import display_name
from emotion_core.phrasing import describe
from emotion_core.tables import to_csv
from pages.shared import frame, model_choice
from pages.shared.language import current, say
from pages.shared.wording import plain

MOST_LINES = 100  # sentences analysed at once; a file with more belongs on the batch page
MOST_CHARTS = 10  # results drawn as charts; the rest of a long paste is in the history table
MOST_HISTORY = 1000
SHOWN_CHARACTERS = 400
EXAMPLES = ("example.1", "example.2", "example.3", "example.4", "example.5", "example.6", "example.7")

_UNSEEN = "live-unseen"

# Keys of the session's state.
_TEXT, _ASKED = "live-text", "live-asked"
_RESULTS, _HISTORY, _NOTES = "live-results", "live-history", "live-notes"


def main() -> None:
    """Draw the page."""
    st.title(say("live.title"))
    st.caption(say("live.intro"))
    classifier = model_choice.classifier()  # before the form, so that the first answer doesn't wait
    _form()
    if st.session_state.pop(_ASKED, False):
        _analyse(classifier)
    for key in st.session_state.get(_NOTES, []):
        st.warning(say(key, lines=MOST_LINES, tokens=classifier.max_length), icon=":material/info:")
    _results()
    _examples()
    _history()
    _unseen_chart()


def _ask(example: str | None = None) -> None:
    if example is not None:
        st.session_state[_TEXT] = example
    st.session_state[_ASKED] = True


def _form() -> None:
    with st.form("live-form", border=False):
        st.text_area(say("live.box"), key=_TEXT, height=110, placeholder=say("live.placeholder"))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.form_submit_button(say("live.analyse"), type="primary", on_click=_ask)
            st.caption(say("live.shortcut"))


def _examples() -> None:
    st.caption(say("live.examples"))
    with st.container(horizontal=True, gap="small", key="live-examples"):
        for key in EXAMPLES:
            sentence = say(key)
            st.button(sentence, key=f"live.{key}", on_click=_ask, args=(sentence,))


def _analyse(classifier: model_choice.EmotionClassifier) -> None:
    lines = [line for line in st.session_state[_TEXT].splitlines() if line.strip()]
    found = list(classifier.predict_many(lines[:MOST_LINES]))
    results = [result for result in found if isinstance(result, Prediction)]
    notes = []
    if not results or any(isinstance(result, Skipped) for result in found):
        notes.append("error.sentence.empty")
    if len(lines) > MOST_LINES:
        notes.append("live.too_many")
    if any(result.truncated for result in results):
        notes.append("warning.truncated")
    st.session_state[_NOTES] = notes
    st.session_state[_RESULTS] = [(result, model_choice.chosen().shown) for result in results]
    st.session_state[_HISTORY] = [*st.session_state.get(_HISTORY, []), *st.session_state[_RESULTS]][-MOST_HISTORY:]


def _results() -> None:
    results = st.session_state.get(_RESULTS, [])
    for number, (prediction, model) in enumerate(results[:MOST_CHARTS]):
        with st.container(border=True, key=f"live-result-{number}"):
            st.text(shortened(prediction.text))
            st.markdown(f"#### {describe(prediction, current())}")
            st.plotly_chart(
                figures.top_emotions(prediction, current()), key=f"live.chart.{number}",
                config={"displayModeBar": False}, alt=describe(prediction, current()),
            )
            st.caption(say("live.model", model=plain(model)))
            with st.expander(say("live.all_seven")):
                _all_seven(prediction)
    if len(results) > MOST_CHARTS:
        st.caption(say("live.more", shown=MOST_CHARTS, count=len(results)))


def _unseen_chart() -> None:
    """Make the browser load what draws charts, which can take seconds, before there is one to draw."""
    if not st.session_state.get(_RESULTS):
        st.html(f"<style>.st-key-{_UNSEEN} {{ display: none; }}</style>")
        with st.container(key=_UNSEEN):
            st.plotly_chart({"data": [{"type": "bar"}]}, key="live-unseen-chart")


def _all_seven(prediction: Prediction) -> None:
    table = pd.DataFrame(
        [{"label": display_name(score.label, current()), "probability": 100 * score.probability, "logit": score.logit}
         for score in prediction.ranked]
    )
    st.dataframe(
        table, hide_index=True,
        column_config={
            "label": say("column.emotion"),
            "probability": st.column_config.ProgressColumn(
                say("column.probability"), min_value=0.0, max_value=100.0, format="%.1f%%"),
            "logit": st.column_config.NumberColumn(say("column.logit"), format="%.2f", help=say("live.logit_help")),
        },
    )


def _history() -> None:
    history = st.session_state.get(_HISTORY, [])
    st.subheader(say("live.history"))
    if not history:
        st.caption(say("live.history_empty"))
        return
    table = history_table(history, current())
    probabilities = [say("column.first_probability"), say("column.second_probability")]
    percent = st.column_config.NumberColumn(format="%.1f%%")
    st.dataframe(
        table.iloc[::-1].assign(**{name: 100 * table[name].astype(float) for name in probabilities}), hide_index=True,
        placeholder="", column_config=dict.fromkeys(probabilities, percent),
    )
    with st.container(horizontal=True):
        st.download_button(
            say("live.download"), data=to_csv(table), file_name="emotions.csv", mime="text/csv",
            icon=":material/download:", on_click="ignore", help=say("live.download_help"),
        )
        st.button(say("live.clear"), icon=":material/delete:", on_click=_clear)


def _clear() -> None:
    for key in (_HISTORY, _RESULTS, _NOTES):
        st.session_state.pop(key, None)


def history_table(history: list[tuple[Prediction, str]], language: str) -> pd.DataFrame:
    """One row a sentence, oldest first: sentence, both emotions and probabilities, model."""

    def name(score: EmotionScore | None) -> str:
        return display_name(score.label, language) if score else ""

    return pd.DataFrame([
        {
            say("column.sentence"): prediction.text,
            say("column.first"): name(prediction.top),
            say("column.first_probability"): round(prediction.top.probability, 4),
            say("column.second"): name(prediction.second),
            say("column.second_probability"): round(prediction.second.probability, 4) if prediction.second else None,
            say("column.model"): model,
        }
        for prediction, model in history
    ])


def shortened(text: str) -> str:
    """`text` as it is shown above its chart: its beginning, and how much more there is."""
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return text[:SHOWN_CHARACTERS] + say("live.shortened", count=len(text) - SHOWN_CHARACTERS)


frame.show(main)
