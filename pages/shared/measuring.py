"""A run's estimate, measured in the background while a person reads on: one for all tabs of a server."""

from __future__ import annotations

import logging
import threading
import time

import streamlit as st

from emotion_core import EmotionError
from emotion_core.messages import reason_of
from emotion_core.training.config import TrainingConfig
from emotion_core.training.data import DataChoice
from emotion_core.training.estimate import Estimate, estimate


class Measuring:
    """The measuring of one choice of data, base and settings. `error` says why it failed."""

    def __init__(self) -> None:
        self.found: Estimate | None = None
        self.error: EmotionError | None = None
        self._began = 0.0
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def start(self, choice: DataChoice, base: str, config: TrainingConfig, device: str | None) -> None:
        """Begin, or do nothing where it is under way."""
        with self._starting:
            if self.running:
                return
            self.found = self.error = None
            self._began = time.monotonic()
            self._thread = threading.Thread(target=self._work, args=(choice, base, config, device), daemon=True)
            self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until it has ended."""
        if self._thread:
            self._thread.join(seconds)

    def _work(self, choice: DataChoice, base: str, config: TrainingConfig, device: str | None) -> None:
        try:
            self.found = estimate(choice, base, config, device)
        except EmotionError as error:
            self.error = error
        except Exception as error:  # the upload went with its session, a full disk
            logging.getLogger("emotion_studio").exception("estimate")
            self.error = EmotionError("error.job.failed", reason=reason_of(error))


@st.cache_resource(show_spinner=False, max_entries=50)
def of(what: str) -> Measuring:
    """The server's one measuring of `what`: data, base and the settings that time and memory hang on."""
    return Measuring()


def key(choice: DataChoice, base: str, config: TrainingConfig, device: str | None) -> str:
    """What tells one measuring from another; epochs only multiply it."""
    return repr((choice.table.source, choice.columns, base, device, config.with_changes(
        epochs=1, seed=0, split_seed=None, patience=0, warmup_ratio=0.1, learning_rate=None, dropout=0.1)))
