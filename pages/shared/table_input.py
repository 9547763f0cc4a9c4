"""A person's table on a page: upload or sample, what was detected, a preview, which column is which."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import streamlit as st

from emotion_core import scoring
from emotion_core.labels import LABELS, display_name
from emotion_core.scoring.rows import Columns, Survey, survey
from emotion_core.tables import Source, TableFile, detect, guess_columns
from emotion_core.tables.delimited import DELIMITERS
from emotion_core.tables.encoding import ENCODINGS
from emotion_core.tables.source import LARGEST_FILE

from .language import current, say

SAMPLE = Path(scoring.__file__).parents[1] / "samples" / "test.csv"
TYPES = ["csv", "tsv", "txt", "xlsx", "xls", "ods"]
_PREVIEWED = 8
_MOST_MAPPED = 20
_FILE, _PLACE, _USE_SAMPLE = "table-upload", "table-place", "table-sample"


def choose(sample: Path | None = SAMPLE) -> tuple[TableFile, Columns, str] | None:
    """The table, its columns and its name as the person chose them; None until there is a file.

    `sample` is offered where there is none. Raises EmotionError for a file that can't be used.
    """
    upload = st.file_uploader(say("table.upload"), type=TYPES, key=_FILE, max_upload_size=LARGEST_FILE // 10**6,
                              help=say("table.upload_help"), on_change=_forget_sample)
    if upload is None and sample is None:
        return None
    if upload is None:
        if not st.session_state.get(_USE_SAMPLE):
            st.caption(say("table.empty"))
            st.button(say("table.sample"), icon=":material/science:", on_click=_use_sample)
            return None
        path, name = sample, sample.name
    else:
        path, name = _kept(upload), upload.name
    with st.spinner(say("table.reading")):
        source = _detected(str(path), path.stat().st_mtime)
    source = _options(source)
    table = TableFile(source)
    columns = _columns(table)
    return table, columns, name


def found_in(table: TableFile, columns: Columns) -> Survey:
    """The survey of the table, remembered for the session."""
    key = repr((table.source, columns))
    if st.session_state.get("table-survey-key") != key:
        with st.spinner(say("table.counting")):
            st.session_state["table-survey"] = survey(table, columns)
        st.session_state["table-survey-key"] = key
    return st.session_state["table-survey"]


def mapping(unknown: dict[str, int]) -> dict[str, str | None]:
    """Select boxes that give each unknown label one of the seven, or none."""
    chosen: dict[str, str | None] = {}
    with st.expander(say("table.unknown", count=len(unknown)), expanded=True, icon=":material/label:"):
        for label, count in list(unknown.items())[:_MOST_MAPPED]:
            chosen[label] = st.selectbox(
                say("table.map", label=_short(label), count=count), [None, *LABELS], key=f"table-map-{_token(label)}",
                format_func=lambda one: say("table.leave_out") if one is None else display_name(one, current()))
        if len(unknown) > _MOST_MAPPED:
            st.caption(say("table.unknown_more", count=len(unknown) - _MOST_MAPPED))
    return {label: emotion for label, emotion in chosen.items() if emotion}


def _use_sample() -> None:
    st.session_state[_USE_SAMPLE] = True


def _forget_sample() -> None:
    st.session_state[_USE_SAMPLE] = False


def _kept(upload: object) -> Path:
    """The upload as a file of this session; gone with the session. Its own name never becomes a path."""
    place = st.session_state.get(_PLACE)
    if place is None or place[0] != upload.file_id:
        folder = tempfile.TemporaryDirectory(prefix="emotion-upload-")
        suffix = Path(upload.name).suffix.lower()
        path = Path(folder.name) / f"upload{suffix if suffix.removeprefix('.') in TYPES else '.txt'}"
        upload.seek(0)
        with path.open("wb") as copy:
            shutil.copyfileobj(upload, copy, 1 << 20)
        place = st.session_state[_PLACE] = (upload.file_id, folder, path)
    return place[2]


@st.cache_data(max_entries=8, show_spinner=False)
def _detected(path: str, changed: float) -> Source:
    return detect(Path(path))


def _options(source: Source) -> Source:
    """What was detected, to read and to change."""
    names = {",": say("table.comma"), "\t": say("table.tab"), ";": say("table.semicolon"), "|": say("table.bar"),
             None: say("table.one_column")}
    token = _token(str(source.path))
    if source.sheet is not None:
        said = say("table.detected_sheet", sheet=source.sheet)
    else:
        said = say("table.detected", encoding=(source.encoding or "").upper(), delimiter=names[source.delimiter])
    if not source.certain:
        st.warning(say("table.uncertain"), icon=":material/info:")
    with st.expander(said, icon=":material/tune:", expanded=not source.certain):
        if source.sheet is not None:
            sheet = st.selectbox(say("table.sheet"), source.sheets, index=source.sheets.index(source.sheet),
                                 key=f"table-sheet-{token}")
            source = dataclasses.replace(source, sheet=sheet)
        else:
            encoding = st.selectbox(say("table.encoding"), ENCODINGS, key=f"table-encoding-{token}",
                                    index=ENCODINGS.index(source.encoding), format_func=str.upper)
            choices = [*DELIMITERS, None]
            delimiter = st.selectbox(say("table.delimiter"), choices, index=choices.index(source.delimiter),
                                     format_func=names.__getitem__, key=f"table-delimiter-{token}")
            source = dataclasses.replace(source, encoding=encoding, delimiter=delimiter)
        header = st.checkbox(say("table.header"), value=source.header, key=f"table-header-{token}")
    return dataclasses.replace(source, header=header)


def _columns(table: TableFile) -> Columns:
    preview = table.preview(100)
    st.dataframe(pd.DataFrame([[_short(str(cell)) for cell in row] for row in preview[:_PREVIEWED]],
                              columns=list(table.columns)), hide_index=True, placeholder="")
    guessed_text, guessed_label = guess_columns(table.columns, preview)
    token = _token(repr(table.source))
    places = list(range(len(table.columns)))
    left, right = st.columns(2)
    with left:
        text = st.selectbox(say("table.text_column"), places, index=guessed_text, key=f"table-text-{token}",
                            format_func=table.columns.__getitem__)
    with right:
        label = st.selectbox(say("table.label_column"), [None, *places], key=f"table-label-{token}",
                             index=0 if guessed_label is None else guessed_label + 1,
                             format_func=lambda place: say("table.no_label") if place is None else table.columns[place])
    return Columns(text, label if label != text else None)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"


def _token(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
