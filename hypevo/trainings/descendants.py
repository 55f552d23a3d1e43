"""What a training has started, found again wherever it went: in sessions of its own, and without its parents.

A training's process carries its folder in an environment variable, and so does every program that it starts (torchrun's
workers, a data server). Only a process that leaves its family by a bare `fork`, without starting a program, escapes.
"""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

MARK = "HYPEVO_TRIAL"


def kill_marked(mark: str) -> None:
    """Kill every program whose mark is this one, or a folder inside it."""
    killed: set[int] = {os.getpid()}
    while fresh := {pid: process for pid, process in _marked(mark).items() if pid not in killed}:
        for process in fresh.values():  # and again: one may have been starting another meanwhile
            _kill(process)
        killed |= fresh.keys()


def kill_family(pid: int) -> None:
    """Kill a process and all below it, those too that have not yet become the program that they were started for."""
    try:
        process = psutil.Process(pid)
        with suppress(psutil.Error):
            process.suspend()  # it must not start another one meanwhile
        family = [*process.children(recursive=True), process]
    except psutil.Error:  # it has ended
        return
    for one in family:
        _kill(one)


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.Error):
        process.kill()


def _marked(mark: str) -> dict[int, psutil.Process]:
    found = {}
    with suppress(
        OSError, IndexError
    ):  # where the system shows no processes, as without /proc, groups are ended alone
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):  # it has ended, or is another user's
                value = process.environ().get(MARK, "")
                if value == mark or value.startswith((f"{mark}/", f"{mark}\\")):
                    found[process.pid] = process
    return found
