"""What a run was made with: its own settings, data, split and versions, whatever the form holds now."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from emotion_core.labels import display_name
from emotion_core.runs import Run
from emotion_core.training.config import TrainingConfig
from emotion_core.training.settings import SETTINGS

from . import training_base, training_data, training_settings
from .language import current, say
from .wording import bold, when


def draw(run: Run, again: Callable[[], None]) -> None:
    """Draw the settings, the data, the split, the machine; `again` goes to the form of a new run."""
    if run.config is None or run.data is None:
        return
    st.button(say("run.again"), icon=":material/content_copy:", help=say("run.again_help"), on_click=_again,
              args=(run, again))
    usual, values = TrainingConfig(optimizer=run.config.optimizer).as_dict(), run.config.as_dict()
    ordered = sorted(values, key=lambda name: next(
        (place for place, setting in enumerate(SETTINGS) if setting.name == name), len(SETTINGS)))
    _table([(training_settings.label(name), training_settings.written(name, values[name]),
             "" if values[name] == usual[name] else training_settings.written(name, usual[name]))
            for name in ordered],
           (say("run.setting"), say("run.value"), say("run.default")))
    st.markdown(bold("run.data"))
    seed = run.config.seed if run.config.split_seed is None else run.config.split_seed
    _table([
        (say("training.base"), run.base), (say("run.data_title"), run.data.title),
        (say("run.data_rows"), f"{run.data.rows:,}"),
        (say("run.data_split"), f"{run.data.train_rows:,} + {run.data.test_rows:,}"),
        (say("setting.split_seed"), str(seed)),
        (say("run.fingerprint"), run.data.fingerprint), (say("run.device"), run.device),
        (say("run.created"), when(run.created)), (say("run.folder"), str(run.folder)),
        *((say("run.platform") if name == "platform" else name, version) for name, version in run.versions.items()),
    ], (say("run.setting"), say("run.value")))
    _table([(display_name(label, current()), f"{train:,}", f"{test:,}") for label, train, test in run.data.balance],
           (say("column.emotion"), say("figure.train"), say("figure.test")))
    st.caption(say("run.checkpoint_rule"))


def _again(run: Run, again: Callable[[], None]) -> None:
    training_settings.use(run.config)
    training_base.use(run.base)
    training_data.use(run.id)
    again()


def _table(rows: list[tuple[str, ...]], names: tuple[str, ...]) -> None:
    st.dataframe(pd.DataFrame(rows, columns=list(names)), hide_index=True, placeholder="", height="content")
