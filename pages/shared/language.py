"""The reader's language: the browser's at first, then what the switch says."""

from __future__ import annotations

import streamlit as st

from emotion_core.messages import message

_KEY = "language"
_NAMES = {"ko": "한국어", "en": "English"}


def current() -> str:
    """ "ko" or "en": the switch, else the browser's language; Korean where that is unknown."""
    if _KEY not in st.session_state:
        locale = st.context.locale
        st.session_state[_KEY] = "ko" if locale is None or locale.lower().startswith("ko") else "en"
    return st.session_state[_KEY]


def say(key: str, **values: object) -> str:
    """The catalogue's text of `key` in the reader's language."""
    return message(key, current(), **values)


def switch() -> None:
    """The language switch; one of the two is always chosen."""
    current()
    st.segmented_control(
        say("language.label"), list(_NAMES), format_func=_NAMES.__getitem__, required=True, key=_KEY,
        label_visibility="collapsed",
    )
