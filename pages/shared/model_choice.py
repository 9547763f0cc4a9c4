"""The model in use: chosen in the sidebar, kept in the URL, loaded once for all sessions."""

from __future__ import annotations

import streamlit as st

from emotion_core import EmotionClassifier, EmotionError
from emotion_core.models import SavedModel, saved_models

from .language import say
from .wording import distinct

_KEY = "model"
"""The session's key, and the URL's: a reload or a bookmark has the same model."""


@st.cache_resource(max_entries=2, show_spinner=False)
def _load(folder: str, changed: float) -> EmotionClassifier:
    """`changed` is part of the key, so that a folder written anew is loaded anew."""
    classifier = EmotionClassifier.load(folder)
    classifier.warm_up()
    return classifier


def picker() -> None:
    """The sidebar's list of the models under `weights/`."""
    shown = distinct({saved.name: saved.shown for saved in saved_models()})
    names = list(shown)
    if st.session_state.get(_KEY) not in names:  # none chosen yet, or its folder has gone
        wanted = st.query_params.get(_KEY)
        st.session_state[_KEY] = wanted if wanted in names else names[0] if names else None
    st.selectbox(say("model.label"), names, key=_KEY, placeholder=say("model.none"), disabled=not names,
                 format_func=lambda name: shown.get(name, name), help=say("model.help"))
    chosen = st.session_state[_KEY]
    if chosen and chosen != names[0]:
        st.query_params[_KEY] = chosen
    elif _KEY in st.query_params:
        del st.query_params[_KEY]


def use(name: str) -> None:
    """Make `name` the model of all pages of this session; before the sidebar is drawn."""
    st.session_state[_KEY] = name


def chosen() -> SavedModel:
    """The model that the sidebar names. Raises EmotionError when there is none under `weights/`."""
    for saved in saved_models():
        if saved.name == st.session_state.get(_KEY):
            return saved
    raise EmotionError("error.model.none")


def classifier() -> EmotionClassifier:
    """The chosen model, loaded. Raises EmotionError when it can't be."""
    saved = chosen()
    with st.spinner(say("model.loading")):
        return _load(str(saved.folder), saved.changed)
