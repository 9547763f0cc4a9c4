"""One training run on a page: how it goes while it goes, and what can be done with it afterwards."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from emotion_core import EmotionError, runs
from emotion_core.runs import Run
from emotion_core.runs.store import LONGEST_NAME, LONGEST_NOTE
from emotion_core.runs.words import PHASES, STATES

from . import acting, frame, model_choice, results_view, run_charts, run_facts
from .language import say
from .wording import duration, plain, reason, sentence

REFRESH_SECONDS = 1.0
LOG_LINES = 200
_GIGABYTE = 1024**3
_USED = "run-used"
ICONS = {"queued": ":material/schedule:", "running": ":material/play_circle:", "stopping": ":material/pending:",
         "finished": ":material/check_circle:", "stopped": ":material/pause_circle:", "failed": ":material/error:",
         "interrupted": ":material/power_off:", "damaged": ":material/broken_image:"}


def show(run: Run, close: Callable[[], None], again: Callable[[], None]) -> None:
    """Draw everything about `run`; `close` leaves it, `again` leaves it for the form of a new run."""
    st.button(say("training.back"), icon=":material/arrow_back:", on_click=close)
    st.markdown(f"#### {plain(run.name)}")
    acting.say_failure()
    if run.note:
        st.text(run.note)
    if run.state == "damaged":
        st.error(say("run.damaged", folder=str(run.folder)), icon=ICONS["damaged"])
        _delete(run, close)
        return
    if run.ended:
        _ended(run, close)
    else:
        _watch(run.id, run.state)
        with st.container(horizontal=True):
            _rename(run)
    results = run.ended and run.test_folder is not None
    names = [say("run.tab_test"), say("run.tab_settings"), say("run.tab_log")][0 if results else 1:]
    places = dict(zip(names, st.tabs(names, key="run-tabs", on_change="rerun"), strict=True))
    drawn = {say("run.tab_test"): lambda: _test(run), say("run.tab_settings"): lambda: run_facts.draw(run, again),
             say("run.tab_log"): lambda: _log(run)}
    for name, place in places.items():
        if place.open:
            with place:
                drawn[name]()


@frame.watching(REFRESH_SECONDS)
def _watch(run: str, state: str) -> None:
    """How it goes; draws the whole page anew once that changes what can be done."""
    try:
        found = runs.get(run)
    except EmotionError:  # deleted from another window
        st.rerun()
    if found.state != state:
        st.rerun()
    acting.say_failure()
    if found.state == "queued":
        queued = [one.id for one in runs.queue(found.device)]
        before = queued.index(found.id) if found.id in queued else 0  # its turn may have come just now
        st.info(say("run.waits", count=before) if before else say("run.soon"), icon=ICONS["queued"])
    else:
        said = say(PHASES.get(found.phase, STATES[found.state]))
        if found.steps:  # not known before the sentences are read
            said += " · " + say("run.progress", epoch=found.epoch, epochs=found.epochs, step=found.step,
                                steps=found.steps)
        st.progress(min(1.0, found.step / found.steps) if found.steps else 0.0, said)
        left = duration(found.seconds_left) if found.seconds_left is not None else "–"
        memory = runs.memory(found.id)
        for place, (key, value) in zip(st.columns(4), (
                ("run.left", left), ("run.rate", f"{found.rate:,.1f}" if found.rate else "–"),
                ("run.worked", duration(found.seconds)),
                ("run.memory", f"{memory / _GIGABYTE:.1f} GB" if memory else "–")), strict=True):
            place.metric(say(key), value)
    st.caption(say("training.goes_on"))
    with st.container(horizontal=True):
        if found.state == "stopping":
            st.button(say("run.state.stopping"), disabled=True)
            st.button(say("run.stop_now"), icon=":material/dangerous:", on_click=acting.do, args=(runs.stop, run, True),
                      help=say("run.stop_now_help"))
        else:
            st.button(say("run.stop"), icon=":material/stop:", on_click=acting.do, args=(runs.stop, run))
    _figures(found)
    run_charts.draw(found)


def _ended(run: Run, close: Callable[[], None]) -> None:
    if run.state == "failed":
        st.error(reason(run.error, "run.state.failed") if run.error else say("run.state.failed"), icon=ICONS["failed"])
    elif run.state == "finished":
        said = say("run.finished_said", epochs=f"{run.epoch:g}", time=duration(run.seconds))
        st.success(said, icon=ICONS["finished"])
    else:
        st.warning(say("run.stopped_said" if run.state == "stopped" else "run.interrupted_said",
                       epoch=run.epoch, epochs=run.epochs, step=run.step, steps=run.steps), icon=ICONS[run.state])
    if run.resumable:
        at = run.checkpoint
        st.caption(say("run.resumes_at", step=at, steps=run.steps) if at else say("run.resumes_anew"))
    with st.container(horizontal=True):
        if run.resumable:
            st.button(say("run.resume"), type="primary", icon=":material/play_arrow:", on_click=acting.do,
                      args=(runs.resume, run.id))
        if run.model_name:
            st.button(say("run.use"), type="secondary" if run.resumable else "primary", icon=":material/check:",
                      on_click=_use, args=(run,))
            st.download_button(
                say("run.download", size=runs.zip_size(run.id) / 1024**2), lambda: runs.zip_bytes(run.id),
                f"{_stem(run)}.zip", "application/zip", icon=":material/download:", on_click="ignore",
                key="run-download")
        _rename(run)
        _delete(run, close)
    if st.session_state.get(_USED) == run.id:
        st.success(say("run.used", name=plain(run.name)), icon=":material/check_circle:")
        with st.container(horizontal=True):
            st.page_link("pages/live.py", label=say("live.title"), icon=":material/chat:")
            st.page_link("pages/batch.py", label=say("batch.title"), icon=":material/table_view:")
    _figures(run)
    run_charts.draw(run)


def _figures(run: Run) -> None:
    """The best epoch's figures, the model's."""
    found = run.figures
    if not found:
        return
    for place, (key, name, form) in zip(st.columns(4), (
            ("figure.test_accuracy", "test_accuracy", ".1%"), ("figure.test_f1", "test_macro_f1", ".1%"),
            ("figure.test_loss", "test_loss", ".3f"), ("figure.train_accuracy", "train_accuracy", ".1%")), strict=True):
        place.metric(say(key), format(found[name], form))
    by = run.config.best_metric if run.config else "macro_f1"
    st.caption(say("run.best_epoch", epoch=int(found["epoch"]), by=say(
        "setting.best_metric_loss" if by == "loss" else "setting.best_metric_macro_f1")))


def _test(run: Run) -> None:
    try:
        results = runs.test_results(run.id)
    except (EmotionError, OSError, ValueError, KeyError):
        st.error(say("run.no_test"), icon=":material/error:")
        return
    results_view.explore(results, run.id)


def _log(run: Run) -> None:
    st.caption(str(run.folder / "log.txt"))
    if run.ended:
        _log_text(run.id)
    else:
        frame.watching(2 * REFRESH_SECONDS)(_log_text)(run.id)


def _log_text(run: str) -> None:
    if text := runs.log_tail(run, LOG_LINES):
        st.code(text, language=None, wrap_lines=True, height=320)
    else:
        st.caption(say("run.log_empty"))


def _rename(run: Run) -> None:
    with st.popover(say("run.rename"), icon=":material/edit:"), st.form(f"rename-{run.id}", border=False):
        name = st.text_input(say("training.name"), run.name, max_chars=LONGEST_NAME)
        note = st.text_area(say("run.note"), run.note, max_chars=LONGEST_NOTE)
        if st.form_submit_button(say("run.rename_save"), type="primary"):
            try:
                runs.rename(run.id, name)
                runs.write_note(run.id, note)
            except EmotionError as error:
                st.error(sentence(error))
            else:
                st.rerun()


def _delete(run: Run, close: Callable[[], None]) -> None:
    with st.popover(say("batch.delete"), icon=":material/delete:"):
        st.markdown(say("run.delete_warning"))
        st.button(say("batch.delete_confirm"), on_click=_delete_now, args=(run.id, close), key=f"delete-{run.id}")


def _delete_now(run: str, close: Callable[[], None]) -> None:
    if acting.do(runs.delete, run):
        close()


def _use(run: Run) -> None:
    if acting.do(lambda: model_choice.use(runs.use(run.id))):
        st.session_state[_USED] = run.id


def _stem(run: Run) -> str:
    return "".join(sign for sign in run.name if sign.isalnum() or sign in "-_ ").strip()[:60] or run.id
