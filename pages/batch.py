"""The batch page: drag in a file, have it scored by a job that outlives the tab, see where the model is right."""

from __future__ import annotations

import threading
import time

import streamlit as st

from emotion_core import EmotionError, jobs
from emotion_core.jobs import JobStatus, store
from emotion_core.scoring import export
from emotion_core.scoring import job as scoring_job
from emotion_core.scoring.rows import MOST_MEASURED, Columns, Survey, check_labels
from emotion_core.tables import TableFile
from pages.shared import acting, frame, model_choice, results_view, table_input
from pages.shared.language import say
from pages.shared.sentence_list import FILTERS
from pages.shared.wording import duration, plain, reason, sentence, when

REFRESH_SECONDS = 0.7
_LIST_SECONDS = 2.0
_PATIENCE_SECONDS = 8.0  # after which a job that doesn't hear a stop may be ended by force
_STATES = {"starting": "job.starting", "running": "job.running", "stopping": "job.stopping",
           "finished": "job.finished", "stopped": "job.stopped", "failed": "job.failed",
           "interrupted": "job.interrupted", "damaged": "job.damaged"}
_LAST = "batch-last"
_starting = threading.Lock()


def main() -> None:
    """Draw the page."""
    st.title(say("batch.title"))
    if "job" not in st.query_params and _LAST in st.session_state:  # back from another page
        st.query_params.update(st.session_state[_LAST])
    acting.say_failure()
    if chosen := st.query_params.get("job"):
        try:
            status = jobs.status(chosen)
        except EmotionError as error:
            _close()
            st.warning(sentence(error), icon=":material/info:")
        else:
            _job(status)
            st.session_state[_LAST] = {name: value for name, value in st.query_params.to_dict().items()
                                       if name in ("job", *FILTERS)}
            return
    st.caption(say("batch.intro"))
    try:
        if chosen_table := table_input.choose():
            _plan(*chosen_table)
    except EmotionError as error:
        st.error(sentence(error), icon=":material/error:")
    _recent()


def _plan(table: TableFile, columns: Columns, name: str) -> None:
    """What will be done, and the button."""
    classifier = model_choice.classifier()
    found = table_input.found_in(table, columns, classifier)
    if found.unknown:
        chosen = table_input.mapping(dict(found.unknown))
        columns = Columns(columns.text, columns.label, chosen)
        found = table_input.found_in(table, columns, classifier) if chosen else found
    check_labels(found, columns)
    st.markdown("\n".join(f"- {line}" for line in _lines(found, table, columns, classifier.max_length)))
    if found.empty == found.rows:
        st.warning(say("batch.all_empty", column=plain(table.columns[columns.text])), icon=":material/info:")
        return
    start = say("batch.start", model=plain(model_choice.chosen().shown))
    st.button(start, type="primary", icon=":material/play_arrow:", on_click=acting.do,
              args=(_start, table, columns, name, found.rows))


def _lines(found: Survey, table: TableFile, columns: Columns, tokens: int) -> list[str]:
    lines = [say("batch.plan_rows", rows=found.rows, columns=len(table.columns))]
    labelled = sum(found.labels.values())
    rest = found.rows - found.empty - labelled
    if columns.label is None:
        lines.append(say("batch.plan_unlabelled"))
    elif rest:
        lines.append(say("batch.plan_labelled", labelled=labelled, rest=rest))
    else:
        lines.append(say("batch.plan_all_labelled", labelled=labelled))
    for count, key in ((found.empty, "batch.plan_empty"), (found.duplicates, "batch.plan_duplicates"),
                       (found.undecodable, "batch.plan_undecodable"), (found.short_rows, "batch.plan_short"),
                       (found.long_rows, "batch.plan_long")):
        if count:
            lines.append(say(key, count=count))
    if found.too_long:
        key = "batch.plan_cut" if found.measured < MOST_MEASURED else "batch.plan_cut_least"
        lines.append(say(key, count=found.too_long, tokens=tokens))
    return lines


def _start(table: TableFile, columns: Columns, name: str, rows: int) -> None:
    """Start the job once, however often the button was pressed before the page came back."""
    with _starting:
        if "job" in st.query_params:
            return
        model = model_choice.chosen()
        started = scoring_job.start(table, columns, model.folder, name, rows, model.shown)
        table_input.forget()
        _open(started)


def _open(job: str) -> None:
    _close()
    st.query_params["job"] = job


def _close() -> None:
    if "job" in st.query_params:
        del st.query_params["job"]
    st.session_state.pop(_LAST, None)
    results_view.forget()


def _another() -> None:
    _close()
    table_input.forget()


def _job(status: JobStatus) -> None:
    st.button(say("batch.back"), icon=":material/arrow_back:", on_click=_another)
    st.markdown(f"#### {plain(status.title)}")
    if not status.ended:
        _watch(status.id)
        return
    if status.state == "failed" and status.error:
        st.error(reason(status.error, "job.failed"), icon=":material/error:")
    elif status.state != "finished":
        st.warning(say(_STATES[status.state]), icon=":material/info:")
    if status.state in ("stopped", "interrupted", "failed"):
        st.button(say("batch.resume", left=max(0, status.total - status.done)), icon=":material/play_arrow:",
                  on_click=acting.do, args=(jobs.resume, status.id))
    if status.state != "damaged":
        results_view.show(status)


@frame.watching(REFRESH_SECONDS)
def _watch(job: str) -> None:
    try:
        status = jobs.status(job)
    except EmotionError:  # deleted in another tab: the page says so
        st.rerun()
    if status.ended:
        st.rerun()
    acting.say_failure()
    left = status.seconds_left
    share = status.done / status.total if status.total else 0.0
    if status.done and status.rate and left is not None:
        said = say("batch.progress", done=status.done, total=status.total, rate=max(1.0, status.rate),
                   left=duration(max(0.0, left)))
    else:
        said = say(_STATES[status.state] if status.state != "running" else "batch.preparing")
    st.progress(min(1.0, share), said)
    st.caption(say("batch.goes_on"))
    if status.state != "stopping":
        st.button(say("batch.stop"), icon=":material/stop:", on_click=acting.do, args=(jobs.stop, job))
    elif _waited(status) < _PATIENCE_SECONDS:
        st.button(say("job.stopping"), disabled=True)
    else:
        st.button(say("batch.stop_now"), icon=":material/dangerous:", on_click=acting.do, args=(jobs.stop, job, True))


def _waited(status: JobStatus) -> float:
    """Seconds since somebody asked the job to stop."""
    try:
        return time.time() - (status.folder / "stop").stat().st_mtime
    except OSError:
        return 0.0


def _recent() -> None:
    """Jobs of any tab, also from before the server was restarted."""
    st.subheader(say("batch.recent"))
    export.sweep()
    found = jobs.jobs(scoring_job.KIND)
    if not found:
        st.caption(say("batch.recent_empty"))
    st.caption(say("batch.kept", days=store.KEPT_DAYS, count=store.KEPT_JOBS))
    if found:
        works = any(not one.ended for one in found)
        frame.watching(_LIST_SECONDS if works else None)(_list)(works)


def _list(works: bool) -> None:
    found = jobs.jobs(scoring_job.KIND)
    if works and all(one.ended for one in found):
        st.rerun()  # nothing to watch any more
    acting.say_failure()
    for status in found:
        with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"job-{status.id}"):
            state = say("batch.list_stopped" if status.state in ("stopped", "interrupted") else _STATES[status.state])
            rows = say("batch.rows_of", done=status.done, total=status.total) if status.done < status.total else say(
                "batch.rows_done", done=status.done)
            st.markdown(f"**{plain(status.title)}**  \n{when(status.created)} · {state} · {rows}", width="stretch")
            if status.state != "damaged" and st.button(say("batch.open"), key=f"open-{status.id}"):
                _open(status.id)
                st.rerun()
            if status.ended:
                with st.popover(say("batch.delete"), icon=":material/delete:"):
                    st.markdown(say("batch.delete_warning"))
                    if st.button(say("batch.delete_confirm"), key=f"delete-{status.id}"):
                        acting.do(export.delete, status.id)
                        st.rerun()


frame.show(main)
