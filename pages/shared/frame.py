"""What stands around every page: no traceback ever reaches a person."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from emotion_core import EmotionError

from .language import say
from .wording import sentence

# Streamlit's own hint in a text box exists in English only; ours stands beside the button.
# A table's own download writes cells as they are, which a spreadsheet may execute; ours stand below the tables.
# Korean breaks lines between words, which browsers do only when told.
_STYLE = """<style>
[data-testid="InputInstructions"], [data-testid="stElementToolbarButton"]:has([aria-label="Download as CSV"]) {
    display: none;
}
.stMain :is(h1, h2, h3, h4, p, li) { word-break: keep-all; overflow-wrap: anywhere; }
</style>"""


_ENTERED = "frame-entered"


def enter() -> None:
    """Say that app.py is running, with its sidebar; called there before the page."""
    st.session_state[_ENTERED] = True


def _nothing() -> None:
    """Stands for the first page until app.py has named it."""


def show(page: Callable[[], None]) -> None:
    """Draw `page`; an error becomes one sentence on it, and an unforeseen one goes to the server's log."""
    if not st.session_state.get(_ENTERED):
        # Until the first st.navigation of a server, streamlit runs a page that is asked for by its address without
        # app.py, since the folder is called pages/. Any call of st.navigation ends that for the whole server. The page
        # is known there by its address, which is what the rerun through app.py looks it up by.
        address = Path(inspect.getfile(page)).stem
        st.navigation([st.Page(_nothing, url_path="frame", default=True), st.Page(page, url_path=address)],
                      position="hidden")
        st.rerun()
    st.html(_STYLE)
    _guarded(page)


def watching(run_every: float | None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`st.fragment(run_every=…)` whose errors are said like a page's: streamlit draws it anew outside `show`."""

    def wrap(draw: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(draw)
        def guarded(*arguments: object) -> None:
            _guarded(draw, *arguments)

        return st.fragment(guarded, run_every=run_every)

    return wrap


def _guarded(draw: Callable[..., None], *arguments: object) -> None:
    try:
        draw(*arguments)
    except EmotionError as error:
        st.error(sentence(error), icon=":material/error:")
    except Exception:
        logging.getLogger("emotion_studio").exception("page %s", draw.__module__)
        st.error(say("page.broken"), icon=":material/error:")
