"""What a button does, before the page is drawn anew; what goes wrong is said on the page that follows.

Streamlit calls a button's function outside `frame.show`, so an error must not leave it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import streamlit as st

from emotion_core import EmotionError

from .language import say
from .wording import sentence

_SAID = "acting-said"


def do(action: Callable[..., object], *values: object) -> bool:
    """Do it; False where it went wrong, which `say_failure` says."""
    try:
        action(*values)
    except EmotionError as error:
        st.session_state[_SAID] = error
        return False
    except Exception:
        logging.getLogger("emotion_studio").exception("action %s", getattr(action, "__name__", action))
        st.session_state[_SAID] = None
        return False
    return True


def say_failure() -> None:
    """Say what went wrong since the last time; to be called by a page, and by a part of it that is drawn anew alone."""
    if _SAID in st.session_state:
        error = st.session_state.pop(_SAID)
        st.error(sentence(error) if error else say("page.broken"), icon=":material/error:")
