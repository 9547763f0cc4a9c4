"""The C library is told to keep what is freed, where it is one that can be told, and never less than before."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import pytest

from emotion_core import memory


@pytest.fixture
def told(monkeypatch) -> list[tuple[int, int]]:
    """What mallopt was called with; on Linux, nothing said before."""
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=lambda *said: calls.append(said)))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(memory, "_kept", 0)
    return calls


def test_scoring_and_then_training_keep_more_and_never_less(told) -> None:
    memory.keep_freed(memory.SCORING)
    assert told == [(-3, 2**25), (-1, memory.SCORING)]  # glibc's malloc.h: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
    memory.keep_freed(memory.TRAINING)
    assert told[2:] == [(-3, 2**25), (-1, memory.TRAINING)]
    memory.keep_freed(memory.SCORING)
    assert len(told) == 4


@pytest.mark.parametrize(("platform", "library"), [("linux", SimpleNamespace()), ("darwin", None)])
def test_another_c_library_is_left_alone(told, monkeypatch, platform: str, library: object) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    if library is not None:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    memory.keep_freed(memory.SCORING)
    assert told == []


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt") if sys.platform == "linux" else True, reason="glibc's")
def test_glibc_takes_these_values() -> None:
    mallopt = ctypes.CDLL(None).mallopt
    assert mallopt(-3, memory.LARGEST_BLOCK) == 1
    assert mallopt(-1, memory.TRAINING) == 1
