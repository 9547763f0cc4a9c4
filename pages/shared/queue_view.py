"""The runs that work and those that wait, on a page: how far each is, in which order they come."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from emotion_core import runs
from emotion_core.runs import Run
from emotion_core.runs.words import STATES

from . import acting, frame
from .language import say
from .run_view import ICONS
from .wording import bold, duration, plain

REFRESH_SECONDS = 2.0
_SHOWN = 20


def show(opened: Callable[[str, str], None]) -> None:
    """Draw the queue where there is one; `opened("run", id)` opens a run."""
    if runs.queue():
        runs.wake()  # whoever served the queue may have died with the machine
        _watch(opened)


@frame.watching(REFRESH_SECONDS)
def _watch(opened: Callable[[str, str], None]) -> None:
    found = runs.queue()
    if not found:
        st.rerun()
    acting.say_failure()
    with st.container(border=True, key="queue"):
        st.markdown(bold("runs.queue"))
        waiting = [run for run in found if run.state == "queued"]
        for run in found[:_SHOWN]:
            _row(run, waiting, opened)
        if len(found) > _SHOWN:
            st.caption(say("runs.more", count=len(found) - _SHOWN))


def _row(run: Run, waiting: list[Run], opened: Callable[[str, str], None]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{ICONS[run.state]} **{plain(run.name)}**  \n{say(STATES[run.state])}{_far(run)}", width="stretch")
        if run.state == "queued":
            place = [one.id for one in waiting].index(run.id)
            st.button("", icon=":material/arrow_upward:", key=f"up-{run.id}", help=say("runs.sooner"),
                      disabled=place == 0, on_click=acting.do, args=(runs.move, run.id, -1))
            st.button("", icon=":material/arrow_downward:", key=f"down-{run.id}", help=say("runs.later"),
                      disabled=place == len(waiting) - 1, on_click=acting.do, args=(runs.move, run.id, 1))
        st.button(say("batch.open"), key=f"queue-open-{run.id}", on_click=opened, args=("run", run.id))
        st.button("", icon=":material/stop:", key=f"queue-stop-{run.id}", help=say("run.stop"),
                  disabled=run.state == "stopping", on_click=acting.do, args=(runs.stop, run.id))


def _far(run: Run) -> str:
    if not run.steps or run.state == "queued":
        return ""
    said = f" · {run.step / run.steps:.0%}"
    return said if run.seconds_left is None else said + " · " + say("runs.left", left=duration(run.seconds_left))
