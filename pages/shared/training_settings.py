"""The settings of a run as widgets: presets, every setting with a line about it, and how a value reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from emotion_core.training import settings
from emotion_core.training.config import PRESETS, TrainingConfig
from emotion_core.training.settings import BY_NAME, PRESET_NAMES, SETTINGS, Setting

from .language import current, say

_PRESET = "training-preset"
_ELSEWHERE = ("head",)  # asked beside the base
_SMALL = ("learning_rate", "max_grad_norm", "weight_decay")


def key(name: str) -> str:
    """The session's key of a setting's widget."""
    return f"training-set-{name}"


def current_values() -> dict[str, Any]:
    """What the widgets hold, or the preset's where they weren't drawn yet."""
    preset = PRESETS["notebook"].as_dict()
    return {name: st.session_state.get(key(name), value) for name, value in preset.items()}


def use(config: TrainingConfig) -> None:
    """Put the values of `config` into the widgets."""
    for name, value in config.as_dict().items():
        kind = BY_NAME[name].kind if name in BY_NAME else ""
        st.session_state[key(name)] = float(value) if kind == "float" else value  # a number box is strict
    _find_preset()


def prepare() -> None:
    """Give the widgets their first values; before any of them is drawn."""
    if _PRESET not in st.session_state:
        use(PRESETS["notebook"])


def draw(fixed_test: bool) -> None:
    """Draw the widgets; `fixed_test` where the data brings a test half of its own."""
    names = {name: said for name, said, _ in PRESET_NAMES}
    st.segmented_control(say("training.preset"), list(names), format_func=lambda one: say(names[one]), key=_PRESET,
                         on_change=_apply_preset, persist_state="session")
    chosen = next((help_key for name, _, help_key in PRESET_NAMES if name == st.session_state.get(_PRESET)), None)
    st.caption(say(chosen) if chosen else say("training.preset_own"))
    _grid([setting for setting in SETTINGS if not setting.advanced], fixed_test)
    with st.expander(say("training.advanced"), icon=":material/tune:"):
        _grid([setting for setting in SETTINGS if setting.advanced and setting.name not in _ELSEWHERE], fixed_test)


def _grid(members: list[Setting], fixed_test: bool) -> None:
    for start in range(0, len(members), 2):
        for place, setting in zip(st.columns(2), members[start : start + 2], strict=False):
            with place:
                _widget(setting, fixed_test and setting.name == "test_size")


def _widget(setting: Setting, disabled: bool) -> None:
    common: dict[str, Any] = {
        "label": say(setting.label_key), "key": key(setting.name), "help": say(setting.help_key),
        "on_change": _optimizer_changed if setting.name == "optimizer" else _find_preset, "disabled": disabled,
        "persist_state": "session"}
    if setting.kind == "bool":
        st.toggle(**common)
    elif setting.kind == "choice":
        said = dict(setting.choices)
        st.selectbox(options=list(said), format_func=lambda one: say(said[one]), **common)
    else:
        number: Callable[[Any], Any] = int if setting.kind == "int" else float
        st.number_input(
            min_value=number(setting.low), max_value=number(setting.high), step=number(setting.step),
            format="%g" if setting.name in _SMALL else None,
            value=None if setting.name == "split_seed" else "min",
            placeholder=say("training.same_seed") if setting.name == "split_seed" else None, **common)


def _apply_preset() -> None:
    if name := st.session_state.get(_PRESET):
        head = st.session_state.get(key("head"), "fresh")
        use(PRESETS[name].with_changes(head=head))


def _find_preset() -> None:
    """Name the preset whose values the widgets hold, or none."""
    values = current_values() | {"head": "fresh"}
    st.session_state[_PRESET] = next((name for name, preset in PRESETS.items() if preset.as_dict() == values), None)


def _optimizer_changed() -> None:
    """Each optimizer has a learning rate of its own; one that a person chose stays."""
    optimizer = st.session_state[key("optimizer")]
    usual = {name: TrainingConfig(optimizer=name).learning_rate for name in ("adamw", "sgd")}
    presets = {preset.learning_rate for preset in PRESETS.values()}
    if st.session_state[key("learning_rate")] in {*usual.values(), *presets}:
        st.session_state[key("learning_rate")] = usual[optimizer]
    _find_preset()


def label(name: str) -> str:
    """What a setting is called."""
    return settings.label(name, current())


def written(name: str, value: Any) -> str:
    """A setting's value as a person reads it."""
    return settings.written(name, value, current())
