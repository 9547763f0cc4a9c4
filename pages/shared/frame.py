"""What stands around every page: no traceback ever reaches a person."""

from __future__ import annotations

import logging
from collections.abc import Callable

import streamlit as st

from emotion_core import EmotionError

from .language import current, say

# Streamlit's own hint in a text box exists in English only; ours stands beside the button.
# Korean breaks lines between words, which browsers do only when told.
_STYLE = """<style>
[data-testid="InputInstructions"] { display: none; }
.stMain :is(h1, h2, h3, h4, p) { word-break: keep-all; overflow-wrap: anywhere; }
</style>"""


def show(page: Callable[[], None]) -> None:
    """Draw `page`; an error becomes one sentence on it, and an unforeseen one goes to the server's log."""
    st.html(_STYLE)
    try:
        page()
    except EmotionError as error:
        st.error(error.text(current()), icon=":material/error:")
    except Exception:
        logging.getLogger("emotion_studio").exception("page %s", page.__module__)
        st.error(say("page.broken"), icon=":material/error:")
