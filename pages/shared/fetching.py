"""A download that goes on while pages are switched, reloaded or closed: one for all tabs of a server."""

from __future__ import annotations

import threading

import streamlit as st

from emotion_core import EmotionError, hub


class Stopped(Exception):
    """The person pressed Stop; what is here is kept and the next download goes on from it."""


class Fetching:
    """The download of one model, in a thread. `error` is the sentence to show when it failed."""

    def __init__(self, repo_id: str) -> None:
        self.repo_id = repo_id
        self.done = 0
        self.total = 0
        self.error: EmotionError | None = None
        self._stop = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin, or do nothing where it is under way already."""
        with self._starting:
            if self.running:
                return
            self.done = self.total = 0
            self.error = None
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name=f"fetch {self.repo_id}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ask it to stop at the next bytes that come."""
        self._stop.set()

    def _run(self) -> None:
        try:
            hub.snapshot(self.repo_id, self._progress)
        except EmotionError as error:
            if not self._stop.is_set():
                self.error = error

    def _progress(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        if self._stop.is_set():
            raise Stopped


@st.cache_resource(show_spinner=False)
def of(repo_id: str) -> Fetching:
    """The server's one download of `repo_id`."""
    return Fetching(repo_id)
