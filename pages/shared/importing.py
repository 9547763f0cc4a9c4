"""An import that goes on while pages are switched or the tab is closed; the page only watches it."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import BinaryIO

from emotion_core import EmotionError, checkpoints
from emotion_core.messages import reason_of


class Import:
    """One checkpoint on its way to `weights/`, from the moment it is made.

    `step` is the catalogue's key of what is under way, `error` the sentence to show when it failed,
    `said` what a person should know of the base.
    """

    def __init__(self, source: Path | BinaryIO, name: str, base: str | Path) -> None:
        self.name = name
        self.step = "import.reading"
        self.error: EmotionError | None = None
        self.said: list[EmotionError] = []
        self._thread = threading.Thread(target=self._work, args=(source, base), name=f"import {name}", daemon=True)
        self._thread.start()

    def ended(self, seconds: float) -> bool:
        """Whether it has ended; waits for that at most so long."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self, source: Path | BinaryIO, base: str | Path) -> None:
        try:
            checkpoints.import_checkpoint(source, self.name, base, warn=self.said.append, step=self._begin)
        except EmotionError as error:
            self.error = error
        except Exception as error:
            logging.getLogger("emotion_studio").exception("import")
            self.error = EmotionError("models.unexpected", reason=reason_of(error))

    def _begin(self, step: str) -> None:
        self.step = step
