"""The models page: what is under `weights/`, KoBERT at the press of a button, the notebook's checkpoint."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import streamlit as st

from emotion_core import EmotionError, bases, hub, kobert
from emotion_core.checkpoints import import_checkpoint
from emotion_core.models import BUNDLED, delete, folder_size, saved_models
from pages.shared import fetching, frame
from pages.shared.language import current, say

CHECKPOINT_TYPES = ["tar", "pt", "pth", "bin"]
REFRESH_SECONDS = 0.5
_MEGABYTE = 1024**2

# Keys of the session's state.
_NAME, _FOLDER, _FILE, _DONE = "import-name", "import-folder", "import-file", "import-done"


def main() -> None:
    """Draw the page."""
    st.title(say("models.title"))
    st.caption(say("models.intro"))
    _saved()
    _kobert()
    _import()


def _saved() -> None:
    st.subheader(say("models.saved"))
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
            name = st.selectbox(say("models.delete_which"), own, index=None, placeholder=say("models.delete_none"))
            st.warning(say("models.delete_warning"))
            if st.button(say("models.delete_confirm"), disabled=name is None):
                delete(name)
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
    st.button(say("models.kobert_stop"), on_click=download.stop)


def _import() -> None:
    st.subheader(say("models.import"))
    st.markdown(say("models.import_intro"))
    if name := st.session_state.pop(_DONE, None):
        st.success(say("models.import_done", name=name), icon=":material/check_circle:")
    with st.form("import-form"):
        file = st.file_uploader(say("models.import_file"), type=CHECKPOINT_TYPES, key=_FILE)
        name = st.text_input(say("models.import_name"), key=_NAME, max_chars=60, placeholder="my-notebook-model")
        folder = st.text_input(say("models.import_folder"), key=_FOLDER, help=say("models.import_folder_help"),
                               placeholder=say("models.import_folder_empty"))
        pressed = st.form_submit_button(say("models.import_button"), type="primary")
    if not pressed:
        return
    if file is None or not name.strip():
        st.warning(say("models.import_incomplete"), icon=":material/info:")
        return
    if not folder.strip() and not hub.cached(kobert.HUB_ID):
        st.warning(say("models.import_needs_kobert"), icon=":material/info:")
        return
    try:
        with st.spinner(say("models.importing")):
            _import_upload(file, name.strip(), folder.strip() or bases.KOBERT)
    except EmotionError as error:
        st.error(error.text(current()), icon=":material/error:")
        return
    st.session_state[_DONE] = name.strip()
    st.rerun()


def _import_upload(upload: object, name: str, base: str) -> None:
    """Import the uploaded file by way of a temporary one, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="emotion-import-") as place:
        file = Path(place) / _plain_name(upload.name)  # the name that an error shows
        upload.seek(0)
        with file.open("wb") as copy:
            shutil.copyfileobj(upload, copy, _MEGABYTE)
        import_checkpoint(file, name, base)


def _plain_name(name: str) -> str:
    """An uploaded file's name without anything that a path could be made of."""
    return "".join(c for c in name if c.isalnum() or c in "-_. ").strip(". ")[-100:] or "checkpoint"


frame.show(main)
