"""The batch page: drag in a file, have it scored by a job that outlives the tab, see where the model is right."""

from __future__ import annotations

import datetime
import threading

import streamlit as st

from emotion_core import EmotionError, jobs
from emotion_core.jobs import JobStatus, store
from emotion_core.messages import message
from emotion_core.scoring import job as scoring_job
from emotion_core.scoring.rows import Columns, Survey, check_labels
from emotion_core.tables import TableFile
from pages.shared import frame, model_choice, results_view, table_input
from pages.shared.language import current, say

REFRESH_SECONDS = 0.7
_STATES = {"starting": "job.starting", "running": "job.running", "stopping": "job.stopping",
           "finished": "job.finished", "stopped": "job.stopped", "failed": "job.failed",
           "interrupted": "job.interrupted", "damaged": "job.damaged"}
_starting = threading.Lock()


def main() -> None:
    """Draw the page."""
    st.title(say("batch.title"))
    if chosen := st.query_params.get("job"):
        try:
            _job(jobs.status(chosen))
            return
        except EmotionError as error:
            if error.key != "error.job.missing":
                raise
            st.warning(error.text(current()), icon=":material/info:")
            del st.query_params["job"]
    st.caption(say("batch.intro"))
    try:
        if chosen_table := table_input.choose():
            _plan(*chosen_table)
    except EmotionError as error:
        st.error(error.text(current()), icon=":material/error:")
    _recent()


def _plan(table: TableFile, columns: Columns, name: str) -> None:
    """What will be done, and the button."""
    found = table_input.found_in(table, columns)
    if found.unknown:
        chosen = table_input.mapping(dict(found.unknown))
        columns = Columns(columns.text, columns.label, chosen)
        found = table_input.found_in(table, columns) if chosen else found
    st.markdown("\n".join(f"- {line}" for line in _lines(found, columns)))
    check_labels(found, columns)
    if found.empty == found.rows:
        st.warning(say("error.sentence.empty"), icon=":material/info:")
        return
    model = model_choice.chosen()
    st.button(say("batch.start", model=model.name), type="primary", icon=":material/play_arrow:",
              on_click=_start, args=(table, columns, name, found.rows))


def _lines(found: Survey, columns: Columns) -> list[str]:
    lines = [say("batch.plan_rows", rows=found.rows)]
    labelled = sum(found.labels.values())
    if columns.label is not None:
        lines.append(say("batch.plan_labelled", labelled=labelled, rest=found.rows - found.empty - labelled))
    else:
        lines.append(say("batch.plan_unlabelled"))
    for count, key in ((found.empty, "batch.plan_empty"), (found.duplicates, "batch.plan_duplicates"),
                       (found.undecodable, "batch.plan_undecodable"), (found.short_rows, "batch.plan_short"),
                       (found.long_rows, "batch.plan_long")):
        if count:
            lines.append(say(key, count=count))
    lines.append(say("batch.plan_cut"))
    return lines


def _start(table: TableFile, columns: Columns, name: str, rows: int) -> None:
    """Start the job once, however often the button was pressed before the page came back."""
    with _starting:
        if "job" in st.query_params:
            return
        started = scoring_job.start(table, columns, model_choice.chosen().folder, name, rows)
        _open(started)


def _open(job: str) -> None:
    _close()
    st.query_params["job"] = job


def _close() -> None:
    if "job" in st.query_params:
        del st.query_params["job"]
    results_view.forget()


def _job(status: JobStatus) -> None:
    st.button(say("batch.back"), icon=":material/arrow_back:", on_click=_close)
    st.markdown(f"#### {_plain(status.title)}")
    if not status.ended:
        _watch(status.id)
        return
    if status.state == "failed" and status.error:
        st.error(_reason(status), icon=":material/error:")
    elif status.state != "finished":
        st.warning(say(_STATES[status.state]), icon=":material/info:")
    if status.state != "damaged":
        results_view.show(status)


@st.fragment(run_every=REFRESH_SECONDS)
def _watch(job: str) -> None:
    status = jobs.status(job)
    if status.ended:
        st.rerun()
    left = status.seconds_left
    share = status.done / status.total if status.total else 0.0
    if status.done:
        said = say("batch.progress", done=status.done, total=status.total, rate=status.rate,
                   left=duration(left or 0.0, current()))
    else:
        said = say(_STATES[status.state])
    st.progress(min(1.0, share), said)
    st.caption(say("batch.goes_on"))
    if status.state == "stopping":
        st.button(say("job.stopping"), disabled=True)
    else:
        st.button(say("batch.stop"), icon=":material/stop:", on_click=jobs.stop, args=(job,))


def duration(seconds: float, language: str) -> str:
    """A length of time as a person says it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return message("time.hours", language, hours=hours, minutes=minutes)
    return message("time.minutes", language, minutes=minutes, seconds=rest) if minutes else message(
        "time.seconds", language, seconds=rest)


def _recent() -> None:
    """Jobs of any tab, also from before the server was restarted."""
    st.subheader(say("batch.recent"))
    found = jobs.jobs(scoring_job.KIND)
    if not found:
        st.caption(say("batch.recent_empty"))
        return
    st.caption(say("batch.kept", days=store.KEPT_DAYS, count=store.KEPT_JOBS))
    for status in found:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            when = f"{datetime.datetime.fromtimestamp(status.created):%m-%d %H:%M}"
            done = say("batch.rows_done", done=status.done)
            st.markdown(f"**{_plain(status.title)}**  \n{when} · {say(_STATES[status.state])} · {done}")
            if status.state != "damaged":
                st.button(say("batch.open"), key=f"open-{status.id}", on_click=_open, args=(status.id,))
            if status.ended:
                with st.popover(say("batch.delete"), icon=":material/delete:"):
                    st.markdown(say("batch.delete_warning"))
                    st.button(say("batch.delete_confirm"), key=f"delete-{status.id}", on_click=jobs.delete,
                              args=(status.id,))


def _reason(status: JobStatus) -> str:
    key, values = status.error
    try:
        return message(key, current(), **values)
    except (KeyError, IndexError, ValueError):  # written by another version of the app
        return say("job.failed")


def _plain(name: str) -> str:
    """A file's name with markdown's signs escaped."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()#+-.!|<>~:$" else c for c in name)


frame.show(main)
