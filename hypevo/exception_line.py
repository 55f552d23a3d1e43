"""An exception in one line: what was raised, and where."""

from __future__ import annotations

import traceback
from pathlib import Path


def first_line(error: BaseException, most: int = 500) -> str:
    """The type and the first line of the message, cut after `most` characters."""
    return f"{type(error).__name__}: {error}".strip().split("\n")[0][:most]


def place(error: BaseException) -> str:
    """File and line that raised it, in brackets behind a space; empty where nobody knows."""
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    return f" ({Path(frame[0].filename).name}:{frame[0].lineno})" if frame else ""
