"""The form of a new run or sweep: data, base, settings, what it will take, and Start."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from emotion_core import EmotionError, runs
from emotion_core.runs import sweeps
from emotion_core.runs.store import LONGEST_NAME
from emotion_core.runs.sweeps import SweepPlan
from emotion_core.training.config import OPTIMIZERS, TrainingConfig
from emotion_core.training.data import DataChoice
from emotion_core.training.estimate import Estimate

from . import frame, measuring, training_base, training_data, training_settings
from .language import current, say
from .wording import duration, sentence, told

_TOKEN, _NAME, _SWEEP = "training-token", "training-name", "training-sweep"
_SUGGESTED = {"batch_size": (16, 32, 64), "learning_rate": (2e-5, 5e-5, 1e-4), "dropout": (0.1, 0.3, 0.5),
              "seeds": (1, 2, 3, 4, 5)}
_READ: dict[str, Callable[[str], Any]] = {"batch_size": int, "learning_rate": float, "dropout": float, "seeds": int}
_REFRESH_SECONDS = 1.0
_GIGABYTE = 1024**3


@dataclass(frozen=True)
class _Wanted:
    """What the form asks for; `plan` where it is a sweep, with `config` its first run's."""

    choice: DataChoice
    base: str
    config: TrainingConfig
    device: str | None
    plan: SweepPlan | None

    @property
    def measured(self) -> measuring.Measuring:
        """Its estimate."""
        return measuring.of(measuring.key(self.choice, self.base, self.config, self.device))

    def measure(self) -> None:
        """Begin to measure."""
        self.measured.start(self.choice, self.base, self.config, self.device)


def show(opened: Callable[[str, str], None]) -> None:
    """Draw the form; `opened(kind, id)` is called with "run" or "sweep" once one was started."""
    training_settings.prepare()
    st.subheader(say("training.data"))
    choice = None
    try:
        choice = training_data.choose()
    except EmotionError as error:
        st.error(sentence(error), icon=":material/error:")
    report_place = st.container()
    st.subheader(say("training.base"))
    base = training_base.choose()
    device = training_base.device()
    st.subheader(say("training.settings"))
    training_settings.draw(fixed_test=choice is not None and choice.test_table is not None)
    config = _config()
    good = False
    if choice and base and config:
        with report_place:
            good = _report(choice, base, config)
    fine, plan = _sweep(config) if config else (False, None)
    if good and fine and choice and base and config:
        one = plan.configs[0] if plan else config
        wanted = _Wanted(choice, base, one, device, plan if plan and plan.count > 1 else None)
        _estimate(wanted)
        _start(wanted, opened)
    else:
        st.caption(say("training.not_ready"))


def _config() -> TrainingConfig | None:
    try:
        return TrainingConfig(**training_settings.current_values())
    except EmotionError as error:
        st.error(sentence(error), icon=":material/error:")
        return None


def _report(choice: DataChoice, base: str, config: TrainingConfig) -> bool:
    """Show the data's report; False where nothing can be trained on it."""
    try:
        report = training_data.report_on(choice, base, config)
    except EmotionError as error:
        st.error(sentence(error), icon=":material/error:")
        return False
    if report.problem:
        st.error(told(*report.problem), icon=":material/error:")
    training_data.show(report, config)
    return report.problem is None


def _sweep(config: TrainingConfig) -> tuple[bool, SweepPlan | None]:
    """Whether what was chosen can be, and the grid where a sweep is wished for."""
    if not st.toggle(say("sweep.wanted"), key=_SWEEP, help=say("sweep.wanted_help"), persist_state="session"):
        return True, None
    with st.container(border=True):
        values: dict[str, tuple[Any, ...]] = {}
        values["optimizer"] = tuple(st.multiselect(
            say("setting.optimizer"), OPTIMIZERS, key="sweep-optimizer", default=[config.optimizer],
            format_func=lambda one: training_settings.written("optimizer", one), placeholder=say("sweep.choose"),
            persist_state="session"))
        try:
            for name, suggested in _SUGGESTED.items():
                own = config.seed if name == "seeds" else getattr(config, name)
                options = [f"{value:g}" for value in sorted({*suggested, own})]
                chosen = st.multiselect(
                    say("sweep.seeds") if name == "seeds" else training_settings.label(name), options,
                    default=[f"{own:g}"], key=f"sweep-{name}", accept_new_options=True, persist_state="session",
                    placeholder=say("sweep.choose"),
                    help=say("sweep.values_help"))
                values[name] = _values(chosen, _READ[name])
            if len(values["optimizer"]) > 1 and values["learning_rate"] == (config.learning_rate,):
                values["learning_rate"] = ()  # each optimizer with its usual one
                st.caption(say("sweep.usual_rates"))
            plan = sweeps.plan(config, **values)
        except EmotionError as error:
            st.error(sentence(error), icon=":material/error:")
            return False, None
        st.markdown(say("sweep.size", count=plan.count, combinations=plan.combinations, seeds=len(plan.seeds)))
        if len(plan.seeds) < 2:
            st.caption(say("sweep.advice"))
    return True, plan


def _values(chosen: list[str], read: Callable[[str], Any]) -> tuple[Any, ...]:
    try:
        return tuple(read(one) for one in chosen)
    except ValueError as error:
        raise EmotionError("error.sweep.values", text=", ".join(chosen)[:100]) from error


def _estimate(wanted: _Wanted) -> None:
    """What it will take, once measured."""
    measured = wanted.measured
    with st.container(border=True):
        if measured.running:
            _watch_measuring(wanted)
            return
        if measured.error:
            st.error(sentence(measured.error), icon=":material/error:")
        if measured.found:
            _say_estimate(measured.found, wanted)
        else:
            st.markdown(say("sweep.estimate_first" if wanted.plan else "training.estimate_about"))
        st.button(say("training.estimate_again" if measured.found else "training.estimate"), icon=":material/timer:",
                  on_click=wanted.measure)


@frame.watching(_REFRESH_SECONDS)
def _watch_measuring(wanted: _Wanted) -> None:
    measured = wanted.measured
    if not measured.running:
        st.rerun()
    st.markdown(":material/timer: " + say("training.estimating", passed=duration(measured.seconds)))


def _say_estimate(found: Estimate, wanted: _Wanted) -> None:
    seconds = wanted.plan.seconds(found) if wanted.plan else found.seconds_per_epoch * wanted.config.epochs
    st.markdown(say(
        "training.estimate_said", time=duration(seconds), epoch=duration(found.seconds_per_epoch),
        rate=found.sentences_per_second, memory=found.memory / _GIGABYTE, free=found.free_memory / _GIGABYTE,
        disk=found.disk / _GIGABYTE, free_disk=found.free_disk / _GIGABYTE))
    st.caption(say("training.estimate_how", steps=found.measured_steps, precision=found.precision, device=found.device))
    if wanted.plan:
        st.caption(say("sweep.estimate_how"))
    if found.busy:
        st.caption(say("training.estimate_busy"))
    if not found.fits:
        st.warning(say("training.estimate_tight"), icon=":material/warning:")


def _start(wanted: _Wanted, opened: Callable[[str, str], None]) -> None:
    name = st.text_input(say("training.name"), key=_NAME, max_chars=LONGEST_NAME, persist_state="session",
                         placeholder=say("training.name_empty"))
    # The same token never starts a second run, so that a second click, or one after a lost connection, opens the first.
    asked = repr((wanted.choice.table.source, wanted.choice.columns, wanted.base, wanted.config, wanted.device,
                  wanted.plan, name))
    token = f"{st.session_state.setdefault(_TOKEN, secrets.token_hex(8))}-{_digest(asked)}"
    said = say("sweep.start", count=wanted.plan.count) if wanted.plan else say("training.start")
    pressed = st.button(said, type="primary", icon=":material/play_arrow:", key="training-start")
    waiting = sum(not run.ended for run in runs.all_runs())
    st.caption(say("training.start_waits", count=waiting) if waiting else say("training.goes_on"))
    if not pressed:
        return
    try:
        with st.spinner(say("training.starting"), show_time=True):
            if wanted.plan:
                made = sweeps.start(wanted.plan, wanted.choice, wanted.base, name, wanted.device, token, current())
            else:
                made = runs.start(wanted.choice, wanted.base, wanted.config, name, device=wanted.device, token=token)
    except EmotionError as error:
        st.error(sentence(error), icon=":material/error:")
        return
    del st.session_state[_TOKEN]
    opened("sweep" if wanted.plan else "run", made)
    st.rerun()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
