"""The model in use: chosen in the sidebar, loaded once for all sessions."""

from __future__ import annotations

import streamlit as st

from emotion_core import EmotionClassifier, EmotionError
from emotion_core.models import SavedModel, saved_models

from .language import say
from .wording import distinct

_KEY = "model"


@st.cache_resource(max_entries=2, show_spinner=False)
def _load(folder: str, changed: float) -> EmotionClassifier:
    """`changed` is part of the key, so that a folder written anew is loaded anew."""
    return EmotionClassifier.load(folder)


def picker() -> None:
    """The sidebar's list of the models under `weights/`."""
    shown = distinct({saved.name: saved.shown for saved in saved_models()})
    names = list(shown)
    if st.session_state.get(_KEY) not in names:  # none chosen yet, or its folder has gone
        st.session_state[_KEY] = names[0] if names else None
    st.selectbox(say("model.label"), names, key=_KEY, placeholder=say("model.none"), disabled=not names,
                 format_func=lambda name: shown.get(name, name), help=say("model.help"))


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
