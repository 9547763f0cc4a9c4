"""What a run learns from, on a page: an upload, the samples or an earlier run's data; and what is in it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from emotion_core import EmotionError, curves, runs
from emotion_core.labels import display_name
from emotion_core.messages import message
from emotion_core.runs import all_runs
from emotion_core.scoring.rows import Columns, check_labels
from emotion_core.training.config import TrainingConfig
from emotion_core.training.data import DataChoice, sample_set
from emotion_core.training.report import DataReport, data_report

from . import table_input
from .language import current, say
from .wording import bold, distinct, plain, when

_SOURCE, _RUN, _REPORT = "training-source", "training-source-run", "training-report"
_SOURCES = {"upload": "training.source_upload", "sample": "training.source_sample", "run": "training.source_run"}
_PLOT = {"displaylogo": False, "modeBarButtons": [["toImage"]]}
_SHOWN_UNKNOWN = 5


def choose() -> DataChoice | None:
    """The data as the person chose it; None until there is a file. Raises EmotionError for one that can't be used."""
    earlier = [run for run in all_runs() if run.config is not None]
    options = ["upload", "sample", *(["run"] if earlier else [])]
    if st.session_state.get(_SOURCE) not in options:
        st.session_state[_SOURCE] = options[0]
    source = st.segmented_control(say("training.source"), options, required=True, key=_SOURCE,
                                  format_func=lambda one: say(_SOURCES[one]), label_visibility="collapsed",
                                  persist_state="session")
    if source == "sample":
        st.caption(say("training.sample_about"))
        return sample_set()
    if source == "run":
        names = distinct({run.id: f"{run.title} · {run.name} · {when(run.created)}" for run in earlier})
        if st.session_state.get(_RUN) not in names:
            st.session_state[_RUN] = earlier[0].id
        return runs.data_of(st.selectbox(say("training.source_run_which"), list(names), key=_RUN,
                                         format_func=names.__getitem__, persist_state="session"))
    chosen = table_input.choose(sample=None)
    if chosen is None:
        st.caption(say("training.upload_about"))
        return None
    table, columns, name = chosen
    if columns.label is None:
        raise EmotionError("error.training.no_labels")
    found = table_input.found_in(table, columns)
    if found.unknown:
        mapped = table_input.mapping(dict(found.unknown))
        columns = Columns(columns.text, columns.label, mapped)
        found = table_input.found_in(table, columns) if mapped else found
    check_labels(found, columns)
    return DataChoice(table, columns, name)


def use(run: str) -> None:
    """Choose the data of an earlier run."""
    st.session_state.update({_SOURCE: "run", _RUN: run})


def report_on(choice: DataChoice, base: str, config: TrainingConfig) -> DataReport:
    """The report, remembered for the session. Raises EmotionError where data or base can't be read."""
    stat = choice.table.source.path.stat()
    key = repr((choice.table.source, stat.st_mtime_ns, choice.columns, base, config.max_length, config.test_size,
                config.seed, config.split_seed, config.class_weights))
    known = st.session_state.get(_REPORT)
    if known is None or known[0] != key:
        with st.spinner(say("training.reading")):
            known = st.session_state[_REPORT] = (key, data_report(choice, base, config))
    return known[1]


def show(report: DataReport, config: TrainingConfig) -> None:
    """Draw what is in the data, the odd things first."""
    st.markdown(say("training.report_rows", rows=report.rows, train=report.train_rows, test=report.test_rows))
    st.markdown("\n".join(f"- {line}" for line in _lines(report, config)))
    for key, values in report.warnings:
        st.warning(message(key, current(), **_named(values)), icon=":material/warning:")
    with st.expander(say("training.report_more"), icon=":material/bar_chart:"):
        st.markdown(bold("training.balance"))
        st.plotly_chart(curves.balance(report.balance, current()), key="training-balance", config=_PLOT)
        st.markdown(bold("training.lengths"))
        about = "training.lengths_about" if report.cut else "training.lengths_uncut"
        st.caption(say(about, longest=report.longest, limit=config.max_length))
        st.plotly_chart(curves.token_lengths(report.lengths, config.max_length, current()), key="training-lengths",
                        config=_PLOT)
        if report.conflict_examples:
            st.markdown(bold("training.conflicts"))
            st.dataframe(pd.DataFrame([
                {say("column.sentence"): text,
                 say("column.emotion"): ", ".join(display_name(label, current()) for label in labels)}
                for text, labels in report.conflict_examples]), hide_index=True)


def _lines(report: DataReport, config: TrainingConfig) -> list[str]:
    share = report.cut / max(1, report.used)
    lines = [say("training.report_cut", cut=report.cut, share=share, limit=config.max_length),
             say("training.report_odd", duplicates=report.duplicates, conflicting=report.conflicting,
                 overlap=report.overlap)]
    if report.empty or report.unlabelled:
        lines.append(say("training.report_left_out", empty=report.empty, unlabelled=report.unlabelled))
    if report.unknown:
        said = ", ".join(plain(label) for label in list(report.unknown)[:_SHOWN_UNKNOWN])
        lines.append(say("training.report_unknown", rows=sum(report.unknown.values()), labels=said))
    return lines


def _named(values: dict[str, object]) -> dict[str, object]:
    """Labels by their names in the reader's language."""
    if "labels" not in values:
        return values
    names = [display_name(label, current()) for label in str(values["labels"]).split(", ")]
    return values | {"labels": ", ".join(names)}
