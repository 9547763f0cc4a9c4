"""The reader's language: the browser's at first, then what the switch says."""

from __future__ import annotations

import streamlit as st

from emotion_core.messages import message

_KEY, _LAST = "language", "language-last"
_NAMES = {"ko": "한국어", "en": "English"}


def current() -> str:
    """ "ko" or "en": the switch, else the browser's language; Korean where that is unknown."""
    chosen = st.session_state.get(_KEY)
    if chosen not in _NAMES:  # not drawn yet, or a browser that sent the switch before it knew its value
        locale = st.context.locale
        browsers = "ko" if locale is None or locale.lower().startswith("ko") else "en"
        chosen = st.session_state.get(_LAST, browsers)
    st.session_state[_LAST] = chosen
    return chosen


def say(key: str, **values: object) -> str:
    """The catalogue's text of `key` in the reader's language."""
    return message(key, current(), **values)


def switch() -> None:
    """The language switch; one of the two is always chosen."""
    st.session_state[_KEY] = current()
    st.segmented_control(
        say("language.label"), list(_NAMES), format_func=_NAMES.__getitem__, required=True, key=_KEY,
        label_visibility="collapsed",
    )
