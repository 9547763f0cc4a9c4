"""Which model a run starts from: KoBERT, one under `weights/`, a folder; with a fresh last layer or its own."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from emotion_core import bases, hub, kobert
from emotion_core.models import BUNDLED, devices, saved_models

from .language import say
from .training_settings import key
from .wording import distinct, plain

LOCAL = ("127.0.0.1", "localhost", "::1")
_BASE, _FOLDER, _DEVICE = "training-base", "training-base-folder", "training-device"
_HEAD_OF = "training-head-of"
"""The base that the answer about the last layer was given for; another base has another usual one."""
_OTHER = "?"


def choose() -> str | None:
    """The base as `bases.locate` takes it; None where what was chosen isn't there, which is then said."""
    fetched = hub.cached(kobert.HUB_ID) is not None
    saved = distinct({one.name: one.shown for one in saved_models()})
    local = st.get_option("server.address") in LOCAL  # nobody else has business in this computer's folders
    options = [bases.KOBERT, *saved, *([_OTHER] if local else [])]
    if st.session_state.get(_BASE) not in options:
        st.session_state[_BASE] = bases.KOBERT if fetched or BUNDLED not in saved else BUNDLED
    named = {bases.KOBERT: "KoBERT" if fetched else say("training.base_kobert_absent"),
             _OTHER: say("training.base_folder")}
    st.caption(say("training.base_help"))
    base = st.selectbox(say("training.base"), options, key=_BASE, label_visibility="collapsed",
                        format_func=lambda one: named.get(one) or saved.get(one, one), persist_state="session")
    if base == bases.KOBERT:
        _usual_head(base)
        if not fetched:
            st.warning(say("training.kobert_missing"), icon=":material/download:")
            st.page_link("pages/models.py", label=say("training.to_models"), icon=":material/deployed_code:")
            return None
        return base
    if base == _OTHER:
        typed = st.text_input(say("training.base_path"), key=_FOLDER, placeholder="/home/me/my-model",
                              persist_state="session").strip().strip("\"'")
        if not typed:
            return None
        base = os.path.expanduser(typed)
        if not _is_folder(base):
            st.error(say("training.base_no_folder", folder=plain(base[:200])), icon=":material/error:")
            return None
    _usual_head(base)
    heads = {"fresh": "setting.head_fresh", "keep": "setting.head_keep"}
    st.radio(say("setting.head"), list(heads), format_func=lambda one: say(heads[one]), horizontal=True,
             key=key("head"), help=say("setting.head_help"), persist_state="session")
    return base


def use(base: str) -> None:
    """Choose `base`, and leave the last layer as the settings have it; one that has gone is chosen anew by `choose`."""
    named = base == bases.KOBERT or any(one.name == base for one in saved_models())
    st.session_state[_BASE] = base if named else _OTHER
    if not named:
        st.session_state[_FOLDER] = base
    st.session_state[_HEAD_OF] = base


def _usual_head(base: str) -> None:
    if st.session_state.get(_HEAD_OF) != base:
        st.session_state[_HEAD_OF] = base
        st.session_state[key("head")] = bases.usual_head(base)


def device() -> str | None:
    """The device to train on, asked where there are several; None is the best one."""
    here = devices()
    if len(here) < 2:
        return None
    return st.selectbox(say("training.device"), here, key=_DEVICE, help=say("training.device_help"),
                        persist_state="session")


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # too long for a path, or with a null in it
        return False
