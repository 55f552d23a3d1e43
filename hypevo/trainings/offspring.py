"""What a trial has started, found again wherever it went: in sessions of its own, and without its parents.

A trial's process carries its folder in an environment variable, and so does every program started below it (torchrun's
workers, a data server). Only a process that leaves its group without starting a program, by a bare `fork`, escapes.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

MARK = "HYPEVO_TRIAL"


def kill_offspring(mark: str) -> None:
    """Kill every program whose mark is this one, or a folder inside it; on systems with /proc."""
    killed: set[int] = {os.getpid()}
    while fresh := _marked(mark) - killed:  # again: one may have been starting another meanwhile
        for pid in fresh:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= fresh


def _marked(mark: str) -> set[int]:
    ours = f"{MARK}={mark}".encode()
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            variables = (entry / "environ").read_bytes().split(b"\0")
            if any(variable == ours or variable.startswith(ours + b"/") for variable in variables):
                found.add(int(entry.name))
    return found
