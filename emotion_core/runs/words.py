"""Which catalogue entry says a run's state, and which its phase."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

STATES: Mapping[str, str] = MappingProxyType({
    "queued": "run.state.queued", "running": "run.state.running", "stopping": "run.state.stopping",
    "finished": "run.state.finished", "stopped": "run.state.stopped", "failed": "run.state.failed",
    "interrupted": "run.state.interrupted", "damaged": "run.state.damaged",
})
PHASES: Mapping[str, str] = MappingProxyType({
    "preparing": "run.phase.preparing", "training": "run.phase.training", "testing": "run.phase.testing",
    "saving": "run.phase.saving",
})
