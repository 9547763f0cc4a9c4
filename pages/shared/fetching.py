"""A download that goes on while pages are switched, reloaded or closed: one for all tabs of a server."""

from __future__ import annotations

import logging
import threading
import time

import streamlit as st

from emotion_core import EmotionError, bases
from emotion_core.messages import reason_of

SILENT_SECONDS = 4.0
"""After so long without a byte a person should be told that nothing comes."""


class Stopped(Exception):
    """The person pressed Stop; what is here is kept and the next download goes on from it."""


class _Run:
    """One press of the button. A stopped run may still wait for a silent server: it then reports to nobody."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.done = self.total = 0
        self.last = time.monotonic()
        self.error: EmotionError | None = None
        self.thread: threading.Thread | None = None

    def progress(self, done: int, total: int) -> None:
        if self.stopped.is_set():
            raise Stopped
        if (done, total) != (self.done, self.total):
            self.done, self.total, self.last = done, total, time.monotonic()


class Fetching:
    """The download of one model, in a thread. `error` is the sentence to show when it failed."""

    def __init__(self, repo_id: str) -> None:
        self.repo_id = repo_id
        self._changing = threading.Lock()
        self._run = _Run()

    @property
    def running(self) -> bool:
        """Whether it is under way; a stopped one is not, from the moment of the press."""
        thread = self._run.thread
        return thread is not None and thread.is_alive() and not self._run.stopped.is_set()

    @property
    def stopped(self) -> bool:
        """Whether a person ended the last one."""
        return self._run.stopped.is_set()

    @property
    def done(self) -> int:
        """Bytes that are here."""
        return self._run.done

    @property
    def total(self) -> int:
        """Bytes in all; 0 until the Hub has told."""
        return self._run.total

    @property
    def silent(self) -> bool:
        """Whether nothing has come for a while."""
        return self.running and time.monotonic() - self._run.last > SILENT_SECONDS

    @property
    def error(self) -> EmotionError | None:
        """Why the last one failed."""
        return self._run.error

    def start(self) -> None:
        """Begin, or do nothing where it is under way already."""
        with self._changing:
            if self.running:
                return
            self._run = run = _Run()
            run.thread = threading.Thread(target=self._work, args=(run,), name=f"fetch {self.repo_id}", daemon=True)
            run.thread.start()

    def stop(self) -> None:
        """End it at once, whatever the server does."""
        self._run.stopped.set()

    def join(self, seconds: float) -> None:
        """Wait until it has ended."""
        if self._run.thread:
            self._run.thread.join(seconds)

    def _work(self, run: _Run) -> None:
        try:
            bases.locate(self.repo_id, run.progress)
        except Stopped:
            pass
        except EmotionError as error:
            run.error = None if run.stopped.is_set() else error
        except Exception as error:
            logging.getLogger("emotion_studio").exception("fetch %s", self.repo_id)
            run.error = EmotionError("models.unexpected", reason=reason_of(error))


@st.cache_resource(show_spinner=False)
def of(repo_id: str) -> Fetching:
    """The server's one download of `repo_id`."""
    return Fetching(repo_id)
