"""The C library is told to keep what is freed, where it is one that can be told."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import pytest

from emotion_core.training import memory


@pytest.fixture
def told(monkeypatch) -> list[tuple[int, int]]:
    """What mallopt was called with, on Linux."""
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=lambda *said: calls.append(said)))
    monkeypatch.setattr(sys, "platform", "linux")
    return calls


def test_glibc_is_told(told) -> None:
    memory.keep_freed()
    assert told == [(-3, 2**25), (-1, memory.KEPT)]  # malloc.h: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


@pytest.mark.parametrize(("platform", "library"), [("linux", SimpleNamespace()), ("darwin", None)])
def test_another_c_library_is_left_alone(told, monkeypatch, platform: str, library: object) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    if library is not None:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    memory.keep_freed()
    assert told == []


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc's")
def test_glibc_takes_these_values() -> None:
    mallopt = ctypes.CDLL(None).mallopt
    assert mallopt(-3, memory.LARGEST_BLOCK) == 1
    assert mallopt(-1, memory.KEPT) == 1
