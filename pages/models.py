"""The models page: what is under `weights/`, KoBERT at the press of a button, the notebook's checkpoint."""

from __future__ import annotations

import datetime
import logging
import os
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import streamlit as st

from emotion_core import EmotionError, bases, hub, kobert
from emotion_core.checkpoints import import_checkpoint
from emotion_core.models import BUNDLED, delete, folder_size, saved_models
from pages.shared import fetching, frame
from pages.shared.language import current, say

CHECKPOINT_TYPES = ["tar", "pt", "pth", "bin"]
REFRESH_SECONDS = 0.5
LOCAL = ("127.0.0.1", "localhost", "::1")
_MEGABYTE = 1024**2

# Keys of the session's state.
_NAME, _FOLDER, _FILE, _PATH, _WAY = "import-name", "import-folder", "import-file", "import-path", "import-way"
_DONE, _SAID, _ROUND, _DELETE, _DELETED = "import-done", "import-said", "import-round", "delete-name", "delete-done"


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
        st.success(say("models.deleted", name=name), icon=":material/check_circle:")
    found = saved_models()
    if not found:
        st.caption(say("models.saved_empty"))
        return
    table = pd.DataFrame([
        {say("models.name"): saved.name, say("models.size"): f"{folder_size(saved.folder) / _MEGABYTE:,.0f} MB",
         say("models.changed"): f"{datetime.datetime.fromtimestamp(saved.changed):%Y-%m-%d %H:%M}"}
        for saved in found
    ])
    st.dataframe(table, hide_index=True)
    st.caption(say("models.choose_hint"))
    if own := [saved.name for saved in found if saved.name != BUNDLED]:
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
        st.error(error.text(current()), icon=":material/error:")
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
        st.error(download.error.text(current()), icon=":material/cloud_off:")
    elif download.stopped:
        st.info(say("models.kobert_stopped"), icon=":material/pause_circle:")
    st.button(say("models.kobert_fetch"), type="primary", icon=":material/download:", on_click=download.start)


@st.fragment(run_every=REFRESH_SECONDS)
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
    if name := st.session_state.pop(_DONE, None):
        st.success(say("models.import_done", name=name), icon=":material/check_circle:")
        for said in st.session_state.pop(_SAID, []):
            st.warning(said.text(current()), icon=":material/warning:")
    # Whoever reaches the app over a network has no business in this computer's folders.
    local = st.get_option("server.address") in LOCAL
    ways = {"upload": say("models.import_upload"), "path": say("models.import_path_way")}
    way = st.radio(say("models.import_way"), ways, format_func=ways.__getitem__, horizontal=True,
                   key=_WAY) if local else "upload"
    with st.form("import-form"):
        file = path = None
        if way == "upload":  # a new key after each import, so that its gigabyte doesn't stay in the server's memory
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
    if pressed:
        with told:
            _submitted(_typed(path) if path and path.strip() else file, name.strip(), folder.strip())


def _submitted(source: Path | BinaryIO | None, name: str, folder: str) -> None:
    """Import what the form holds, or say what is missing or wrong."""
    if source is None or not name:
        st.warning(say("models.import_incomplete"), icon=":material/info:")
        return
    if not folder and not hub.cached(kobert.HUB_ID):
        st.warning(say("models.import_needs_kobert"), icon=":material/info:")
        return
    try:
        with st.spinner(say("models.importing"), show_time=True):
            _import_from(source, name, folder)
    except EmotionError as error:
        st.error(error.text(current()), icon=":material/error:")
        return
    except Exception as error:
        logging.getLogger("emotion_studio").exception("import")
        st.error(say("models.unexpected", reason=str(error)[:200] or type(error).__name__), icon=":material/error:")
        return
    st.rerun()


def _import_from(source: Path | BinaryIO, name: str, folder: str) -> None:
    """Import and remember what to say; the page is drawn anew afterwards."""
    base: str | Path = bases.KOBERT
    if folder:
        base = _typed(folder)
        if not os.path.isdir(base):
            raise EmotionError("models.import_no_folder", folder=str(base)[:200])
    said: list[EmotionError] = []
    import_checkpoint(source, name, base, warn=said.append)
    st.session_state[_DONE], st.session_state[_SAID] = name, said
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
    for key in (_NAME, _PATH):
        st.session_state.pop(key, None)


def _typed(path: str) -> Path:
    """The path that a person typed, or that a file manager copied with quotation marks around it."""
    return Path(os.path.expanduser(path.strip().strip("\"'")))


frame.show(main)
