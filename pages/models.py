"""The models page: what is under `weights/`, KoBERT at the press of a button, the notebook's checkpoint."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import streamlit as st

from emotion_core import EmotionError, bases, hub, kobert
from emotion_core.library import deletable, delete, folder_size, sweep
from emotion_core.models import saved_models
from pages.shared import fetching, frame, uploading
from pages.shared.importing import Import
from pages.shared.language import say
from pages.shared.wording import distinct, plain, sentence

CHECKPOINT_TYPES = ["tar", "pt", "pth", "bin"]
REFRESH_SECONDS = 0.5
LOCAL = ("127.0.0.1", "localhost", "::1")
_MEGABYTE = 1024**2

# Keys of the session's state.
_NAME, _FOLDER, _FILE, _PATH, _WAY = "import-name", "import-folder", "import-file", "import-path", "import-way"
_WORK, _DONE, _ROUND, _DELETE, _DELETED = "import-work", "import-done", "import-round", "delete-name", "delete-done"


def main() -> None:
    """Draw the page."""
    st.title(say("models.title"))
    st.caption(say("models.intro"))
    _saved()
    _kobert()
    _import()


def _saved() -> None:
    st.subheader(say("models.saved"))
    if name := st.session_state.pop(_DELETED, None):
        st.success(say("models.deleted", name=plain(name)), icon=":material/check_circle:")
    sweep()
    found = saved_models()
    if not found:
        st.caption(say("models.saved_empty"))
        return
    shown = distinct({saved.name: saved.shown for saved in found})
    table = pd.DataFrame([
        {say("models.name"): shown[saved.name], say("models.size"): f"{folder_size(saved.folder) / _MEGABYTE:,.0f} MB",
         say("models.changed"): f"{datetime.datetime.fromtimestamp(saved.changed):%Y-%m-%d %H:%M}"}
        for saved in found
    ])
    st.dataframe(table, hide_index=True)
    st.caption(say("models.choose_hint"))
    if own := [saved.name for saved in deletable()]:
        with st.popover(say("models.delete"), icon=":material/delete:"):
            name = st.selectbox(say("models.delete_which"), own, index=None, placeholder=say("models.delete_none"),
                                key=_DELETE)
            st.warning(say("models.delete_warning"))
            if st.button(say("models.delete_confirm"), disabled=name is None):
                _delete(name)


def _delete(name: str) -> None:
    try:
        delete(name)
    except EmotionError as error:
        st.error(sentence(error), icon=":material/error:")
        return
    st.session_state[_DELETED] = name
    del st.session_state[_DELETE]
    st.rerun()


def _kobert() -> None:
    st.subheader("KoBERT")
    download = fetching.of(kobert.HUB_ID)
    if folder := hub.cached(kobert.HUB_ID):
        st.success(say("models.kobert_here"), icon=":material/check_circle:")
        st.code(str(folder), language=None, wrap_lines=True)
        return
    st.markdown(say("models.kobert_intro"))
    if download.running:
        _progress()
        return
    if download.error:
        st.error(sentence(download.error), icon=":material/cloud_off:")
    elif download.stopped:
        st.info(say("models.kobert_stopped"), icon=":material/pause_circle:")
    st.button(say("models.kobert_fetch"), type="primary", icon=":material/download:", on_click=download.start)


@frame.watching(REFRESH_SECONDS)
def _progress() -> None:
    download = fetching.of(kobert.HUB_ID)
    if not download.running:
        st.rerun()
    if download.total:
        st.progress(min(1.0, download.done / download.total), say(
            "models.kobert_progress", done=download.done // _MEGABYTE, total=download.total // _MEGABYTE))
    else:
        st.progress(0.0, say("models.kobert_connecting"))
    if download.silent:
        st.caption(say("models.kobert_silent"))
    if st.button(say("models.kobert_stop"), icon=":material/pause:"):
        download.stop()
        st.rerun()


def _import() -> None:
    st.subheader(say("models.import"))
    st.markdown(say("models.import_intro"))
    if done := st.session_state.pop(_DONE, None):
        st.success(say("models.import_done", name=plain(done.name)), icon=":material/check_circle:")
        for said in done.said:
            st.warning(sentence(said), icon=":material/warning:")
        st.session_state[_NAME] = st.session_state[_PATH] = ""
    # Whoever reaches the app over a network has no business in this computer's folders.
    local = st.get_option("server.address") in LOCAL
    ways = {"upload": say("models.import_upload"), "path": say("models.import_path_way")}
    way = st.radio(say("models.import_way"), ways, format_func=ways.__getitem__, horizontal=True,
                   key=_WAY) if local else "upload"
    with st.form("import-form"):
        file = path = None
        if way == "upload":  # a new key after each import, so that its gigabyte doesn't stay in the server's memory
            limit = st.get_option("server.maxUploadSize")
            st.html(uploading.style(_FILE, say("models.import_kinds", limit=limit),
                                    say("models.import_refused", limit=limit)))
            file = st.file_uploader(say("models.import_file"), type=CHECKPOINT_TYPES,
                                    key=f"{_FILE}-{st.session_state.get(_ROUND, 0)}")
        else:
            path = st.text_input(say("models.import_path"), key=_PATH, placeholder="/home/me/model_10.tar",
                                 help=say("models.import_path_help"))
        name = st.text_input(say("models.import_name"), key=_NAME, max_chars=60, placeholder="my-notebook-model")
        folder = st.text_input(say("models.import_folder"), key=_FOLDER, help=say("models.import_folder_help"),
                               placeholder=say("models.import_folder_empty")) if local else ""
        told = st.container()  # above the button, where a person looks, however long the page
        pressed = st.form_submit_button(say("models.import_button"), type="primary")
    with told:
        if pressed and _WORK not in st.session_state:
            _submitted(_typed(path) if path and path.strip() else file, name.strip(), folder.strip())
        if _WORK in st.session_state:
            _watch(st.session_state[_WORK])


def _submitted(source: Path | BinaryIO | None, name: str, folder: str) -> None:
    """Begin to import what the form holds, or say what is missing or wrong."""
    base = _typed(folder) if folder else bases.KOBERT
    if source is None or not name:
        st.warning(say("models.import_incomplete"), icon=":material/info:")
    elif not folder and not hub.cached(kobert.HUB_ID):
        st.warning(say("models.import_needs_kobert"), icon=":material/info:")
    elif folder and not os.path.isdir(base):
        st.error(say("models.import_no_folder", folder=plain(str(base)[:200])), icon=":material/error:")
    else:
        st.session_state[_WORK] = Import(source, name, base)


def _watch(work: Import) -> None:
    """Show what `work` is at until it ends, then what came of it; whoever goes elsewhere ends the watching alone."""
    with st.spinner(say("models.importing"), show_time=True):
        line = st.empty()
        while not work.ended(REFRESH_SECONDS / 2):
            line.caption(say(work.step))
    line.empty()
    del st.session_state[_WORK]
    if work.error:
        st.error(sentence(work.error), icon=":material/error:")
        return
    st.session_state[_DONE] = work
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
    st.rerun()  # the lists above and in the sidebar have one more


def _typed(path: str) -> Path:
    """The path that a person typed, or that a file manager copied with quotation marks around it."""
    return Path(os.path.expanduser(path.strip().strip("\"'")))


frame.show(main)
