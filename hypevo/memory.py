"""Giving memory back: a driver runs for weeks beside trainings that need it."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def release_memory() -> None:
    """Return to the operating system what dead objects held.

    Objects in cycles, as every figure of matplotlib, wait for a full collection, which is rare in a large process; and
    glibc keeps what is free below the last block in use.
    """
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # another C library, another system
        ctypes.CDLL(None).malloc_trim(0)
