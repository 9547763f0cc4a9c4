"""What the C library does with memory that is freed. Not for how much of it anything takes."""

from __future__ import annotations

import ctypes
import sys

KEPT = 2**31 - 1
"""Bytes, more than the gradients of all weights and a batch's states take."""
LARGEST_BLOCK = 32 * 2**20
"""The most that every glibc takes."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed() -> None:
    """Let this process keep freed memory at hand, where its C library is glibc.

    By itself glibc gives blocks of a batch's size back to the kernel, which hands them out again a page at a time, each
    cleared: 20,000 pages a step, 2 to 6 % of its time.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, LARGEST_BLOCK)
        library.mallopt(_TRIM_THRESHOLD, KEPT)
