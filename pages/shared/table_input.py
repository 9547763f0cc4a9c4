"""A person's table on a page: upload or sample, what was detected, a preview, which column is which."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from emotion_core import EmotionClassifier, EmotionError, models, scoring
from emotion_core.labels import LABELS, display_name
from emotion_core.scoring.rows import Columns, Survey, survey
from emotion_core.tables import Source, TableFile, change, detect, guess_columns
from emotion_core.tables.encoding import ENCODINGS
from emotion_core.tables.source import LARGEST_FILE

from . import uploading
from .language import current, say
from .wording import plain

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

SAMPLE = Path(scoring.__file__).parents[1] / "samples" / "test.csv"
TYPES = ["csv", "tsv", "txt", "xlsx", "xls", "ods"]
_PREVIEWED = 8
_MOST_MAPPED = 20
_LONGEST_NAME = 60
_NONE = -1  # a select box takes None for "nothing chosen"
_FILE, _PLACE, _USE_SAMPLE = "table-upload", "table-place", "table-sample"


def choose(sample: Path | None = SAMPLE) -> tuple[TableFile, Columns, str] | None:
    """The table, its columns and its name as the person chose them; None until there is a file.

    `sample` is offered where there is none. Raises EmotionError for a file that can't be used.
    """
    limit = LARGEST_FILE // 10**6
    st.html(uploading.style(_FILE, say("table.kinds", limit=limit), say("table.refused", limit=limit)))
    upload = st.file_uploader(say("table.upload"), key=_FILE, max_upload_size=limit, help=say("table.upload_help"),
                              on_change=forget)
    if upload is not None:
        path, name = _kept(upload)
    elif kept := st.session_state.get(_PLACE):  # the page was left and come back to: the widget has forgotten
        path, name = kept.path, kept.name
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(say("table.kept", file=plain(name)))
            st.button(say("table.clear"), icon=":material/close:", on_click=forget)
    elif sample and st.session_state.get(_USE_SAMPLE):
        path, name = sample, sample.name
    else:
        if sample:
            st.caption(say("table.empty"))
            st.button(say("table.sample"), icon=":material/science:", on_click=_use_sample)
        return None
    with _called(name):
        with st.spinner(say("table.reading")):
            source = _detected(str(path), path.stat().st_mtime)
        table = TableFile(_options(source))
        return table, _columns(table), name


def forget() -> None:
    """Let go of the file that is here; the next one begins anew."""
    for key in (_PLACE, _USE_SAMPLE):
        st.session_state.pop(key, None)


def found_in(table: TableFile, columns: Columns, classifier: EmotionClassifier | None = None) -> Survey:
    """The survey of the table, remembered for the session. Raises EmotionError for a file that can't be used."""
    key = repr((table.source, columns, classifier and (classifier.name, classifier.max_length)))
    if st.session_state.get("table-survey-key") != key:
        kept = st.session_state.get(_PLACE)
        name = kept.name if kept and kept.path == table.source.path else table.source.path.name
        with st.spinner(say("table.counting")), _called(name):
            st.session_state["table-survey"] = survey(table, columns, classifier)
        st.session_state["table-survey-key"] = key
    return st.session_state["table-survey"]


def mapping(unknown: dict[str, int]) -> dict[str, str | None]:
    """Select boxes that give each unknown label one of the seven, or none."""
    chosen: dict[str, str] = {}
    with st.expander(say("table.unknown", count=len(unknown)), expanded=True, icon=":material/label:"):
        for label, count in list(unknown.items())[:_MOST_MAPPED]:
            chosen[label] = st.selectbox(
                say("table.map", label=plain(_short(label, _LONGEST_NAME)), count=count), ["", *LABELS],
                key=f"table-map-{_token(label)}",
                format_func=lambda one: display_name(one, current()) if one else say("table.leave_out"))
        if len(unknown) > _MOST_MAPPED:
            st.caption(say("table.unknown_more", count=len(unknown) - _MOST_MAPPED))
    return {label: emotion for label, emotion in chosen.items() if emotion}


def _use_sample() -> None:
    st.session_state[_USE_SAMPLE] = True


@dataclass(frozen=True)
class _Kept:
    """An upload as a file of this session, which goes with the session."""

    id: str
    folder: tempfile.TemporaryDirectory[str]
    path: Path
    name: str


def _kept(upload: UploadedFile) -> tuple[Path, str]:
    """The upload's file and name. Its own name never becomes a path. Raises EmotionError where the disk is full."""
    kept = st.session_state.get(_PLACE)
    if kept is None or kept.id != upload.file_id:
        try:
            folder = tempfile.TemporaryDirectory(prefix="emotion-upload-")
            suffix = Path(upload.name).suffix.lower()
            path = Path(folder.name) / f"upload{suffix if suffix.removeprefix('.') in TYPES else '.txt'}"
            upload.seek(0)
            with path.open("wb") as copy:
                shutil.copyfileobj(upload, copy, 1 << 20)
        except OSError as error:
            raise models.unwritable(Path(tempfile.gettempdir()), error) from error
        kept = st.session_state[_PLACE] = _Kept(upload.file_id, folder, path, upload.name)
    return kept.path, kept.name


@contextlib.contextmanager
def _called(name: str) -> Iterator[None]:
    """An error inside speaks of the file by the name that the person knows."""
    try:
        yield
    except EmotionError as error:
        if "file" in error.values:
            error.values["file"] = name
        raise


@st.cache_data(max_entries=8, show_spinner=False)
def _detected(path: str, changed: float) -> Source:
    return detect(Path(path))


def _options(source: Source) -> Source:
    """What was detected, to read and to change."""
    names = {",": say("table.comma"), "\t": say("table.tab"), ";": say("table.semicolon"), "|": say("table.bar"),
             "": say("table.one_column")}
    token = _token(repr(source))
    if source.sheet is not None:
        said = say("table.detected_sheet", sheet=plain(source.sheet))
    else:
        names.setdefault(source.delimiter or "", plain(source.delimiter or ""))
        said = say("table.detected", encoding=(source.encoding or "").upper(), delimiter=names[source.delimiter or ""])
    if not source.certain:
        st.warning(say("table.uncertain"), icon=":material/info:")
    with st.expander(said, icon=":material/tune:", expanded=not source.certain):
        if source.sheet is not None:
            options = {"sheet": st.selectbox(say("table.sheet"), source.sheets, key=f"table-sheet-{token}",
                                             index=source.sheets.index(source.sheet))}
        else:
            encoding = st.selectbox(say("table.encoding"), ENCODINGS, key=f"table-encoding-{token}",
                                    index=ENCODINGS.index(source.encoding), format_func=str.upper)
            delimiter = st.selectbox(say("table.delimiter"), list(names), format_func=names.__getitem__,
                                     index=list(names).index(source.delimiter or ""), key=f"table-delimiter-{token}")
            options = {"encoding": encoding, "delimiter": delimiter or None}
        if any(getattr(source, name) != value for name, value in options.items()):
            source = change(source, **options)
        header = st.checkbox(say("table.header"), value=source.header, key=f"table-header-{_token(repr(source))}")
    return dataclasses.replace(source, header=header)


def _columns(table: TableFile) -> Columns:
    preview = table.preview(100)
    names = _shown_names(table.columns)
    st.dataframe(pd.DataFrame([[_short(str(cell)) for cell in row] for row in preview[:_PREVIEWED]],
                              columns=names), hide_index=True, placeholder="")
    guessed_text, guessed_label = guess_columns(table.columns, preview)
    token = _token(repr(table.source))
    places = list(range(len(table.columns)))
    left, right = st.columns(2)
    with left:
        text = st.selectbox(say("table.text_column"), places, index=guessed_text, key=f"table-text-{token}",
                            format_func=names.__getitem__)
    with right:
        label = st.selectbox(
            say("table.label_column"), [_NONE, *places], index=0 if guessed_label is None else guessed_label + 1,
            key=f"table-label-{token}",
            format_func=lambda place: say("table.no_label") if place == _NONE else names[place])
    if label == text:
        st.warning(say("table.same_column"), icon=":material/info:")
    return Columns(text, label if label not in (text, _NONE) else None)


def _shown_names(columns: tuple[str, ...]) -> list[str]:
    """The columns' names, long ones cut; one that is the same as another then is called by its number too."""
    names = [_short(name, _LONGEST_NAME) for name in columns]
    return [name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names, 1)]


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[:most] + "…"


def _token(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
