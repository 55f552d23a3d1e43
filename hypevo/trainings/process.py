"""The first and the last steps of a child process: its group, its log, its reports, its answer.

A child ends with the driver, however that ends, and takes along what it has started.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from hypevo.messages import hidden
from hypevo.protocol import InputError, Job
from hypevo.trainings import child
from hypevo.trainings.descendants import MARK, kill_marked
from hypevo.trainings.output import LOOK_EVERY, Output

SAFE_PATH, OURS = "PYTHONSAFEPATH", "HYPEVO_SET_SAFEPATH"  # the second: it was hypevo that set the first
_MOST_EPOCHS = 2**31  # MLflow keeps an epoch's number in a database


def enter(
    connection: Connection,
    variables: dict[str, str],
    log: Path | None,
    target: Callable[..., None],
    args: tuple[Any, ...],
) -> None:
    """First steps of a child: own group, own log, die with the parent; then the work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    if hasattr(os, "setsid"):
        os.setsid()
    output = None if log is None else Output(log)
    threading.Thread(target=_watch, args=(variables[MARK], output), name="parent watch", daemon=True).start()
    os.environ.update(variables)
    if os.environ.pop(OURS, None):
        os.environ.pop(SAFE_PATH, None)  # a program that the training starts finds the modules beside it
    os.environ.pop(
        "MLFLOW_RUN_ID", None
    )  # the run belongs to the driver; a trainer that logs must not write into it
    torch = sys.modules.get("torch")
    if torch is not None and "OMP_NUM_THREADS" in variables:
        torch.set_num_threads(int(variables["OMP_NUM_THREADS"]))  # imported before the variable was set
    target(connection, *args)
    connection.close()
    if output is not None:
        output.shorten()


def _watch(mark: str, output: Output | None) -> None:
    """Ends this process and all it started when the driver ends, however it ends; until then the log is kept short.

    PR_SET_PDEATHSIG would watch the fork server instead of the driver.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    while not wait([parent.sentinel], None if output is None else LOOK_EVERY):
        if output is not None:
            output.shorten()
    kill_marked(mark)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _lock() -> Any:
    """A lock for this process and those forked from it."""
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if "fork" in methods else "spawn").Lock()


def train(connection: Connection, job: Job) -> None:
    """Run a job, and send its reports and its end."""
    turn = _lock()  # reports may come from threads, and from processes that the training forks

    def report(metrics: Mapping[str, float], *, step: int) -> None:
        if not 0 <= step < _MOST_EPOCHS:
            raise ValueError(f"report() was given step={step}; expected the epoch, counted from 0")
        values = child.numbers(metrics, "report() was given")
        with turn:
            connection.send(("report", int(step), values))

    _answer(connection, child.train, job, report)


def call(connection: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Call a function, and send what it returns or raises."""
    _answer(connection, function, *args)


def _answer(connection: Connection, function: Callable[..., Any], *args: Any) -> None:
    """Send what the function returned, or how it failed; the traceback goes to the log."""
    try:
        connection.send(("done", function(*args)))
    except InputError as error:
        connection.send(("input", hidden(str(error))))
    except Exception as error:  # noqa: BLE001 - every failure of a trainer is an outcome
        print(hidden("".join(traceback.format_exception(error))), file=sys.stderr, end="", flush=True)
        failure, reason = child.failure_of(error)
        connection.send(("failed", failure, hidden(reason)))
