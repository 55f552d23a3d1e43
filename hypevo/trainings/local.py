"""Trials on this machine: one process each, forked from a server that has the trainer already imported.

A process of its own means that a crash, a leak or the out-of-memory killer costs one trial and nothing else. The server
(`forkserver`) makes that cheap: torch is imported once. Where fork does not exist, `spawn` does the same, slower.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from hypevo.protocol import Failure, InputError, Job, Outcome, WorkError
from hypevo.trainings import child
from hypevo.trainings.backend import Events, Slot
from hypevo.trainings.descendants import MARK, kill_family, kill_marked
from hypevo.trainings.devices import environment
from hypevo.trainings.process import OURS, SAFE_PATH, call, enter, train
from hypevo.trainings.record import LOG

DAY = 86400.0  # seconds: the system takes no longer waits than some weeks
FAREWELL = 10.0  # seconds a process may take to end after its last word: some hang, and hold the device
TRAINER, PRELOAD = "HYPEVO_PRELOAD_TRAINER", "hypevo.trainings.preload"  # the module is for the server alone
METHOD = "HYPEVO_START_METHOD"
_SERVER_DIED = 255  # what multiprocessing makes of a child whose server is gone; the child may still live


class LocalBackend:
    """Runs jobs, and single calls, in child processes that die with this one."""

    def __init__(
        self,
        trainer: str,
        devices: Sequence[str],
        *,
        slots_per_device: int = 1,
        chosen: bool = False,
        method: str | None = None,
    ) -> None:
        """Prepare to run `trainer`.

        Args:
            trainer: Its full name.
            devices: One slot each, or several.
            slots_per_device: Slots of each device.
            chosen: Whether the devices were chosen for the user, so that the CPU may take their place.
            method: Of multiprocessing; HYPEVO_START_METHOD by default, else forkserver where there is one, else spawn.
        """
        if method is None:
            there = multiprocessing.get_all_start_methods()
            method = os.environ.get(METHOD) or ("forkserver" if "forkserver" in there else "spawn")
        self._context = multiprocessing.get_context(method)
        os.environ[TRAINER] = trainer  # read by the server when it starts
        if SAFE_PATH not in os.environ:
            # Python would put the working directory first, where a user's yaml.py hides the package.
            os.environ |= {SAFE_PATH: "1", OURS: "1"}
        if method == "forkserver":
            self._context.set_forkserver_preload([PRELOAD])
        self._slots_per_device = slots_per_device
        self._chosen = chosen
        self._slots = self._of(devices)
        self._running: dict[Future[Outcome], _Process] = {}

    def slots(self) -> Sequence[Slot]:
        """One for each device first, then the second ones."""
        return self._slots

    def _of(self, devices: Sequence[str]) -> list[Slot]:
        return [Slot(device, number) for number in range(self._slots_per_device) for device in devices]

    def on_change(self, changed: Callable[[], None]) -> None:
        """Nothing changes."""

    def instead_of(self, place: str) -> str | None:
        """The CPU, where no device was asked for by name."""
        if not self._chosen or place == "cpu":
            return None
        self._slots = self._of(["cpu"])
        return "cpu"

    def submit(self, job: Job, events: Events) -> Future[Outcome]:
        """Start a job now."""
        future: Future[Outcome] = Future()
        job.out.mkdir(parents=True, exist_ok=True)
        variables = environment(job.device, job.threads)
        try:
            process = _Process(self._context, train, (job,), variables, job.out / LOG)
        except (OSError, EOFError) as error:  # no more processes, or the server of the children was killed
            future.set_result(Outcome(failure=Failure.KILLED, reason=f"no process for it: {error!r}"))
            return future
        self._running[future] = process

        def follow() -> None:
            try:
                events.started(job.device)
                future.set_result(_outcome(process, events, job.timeout))
            except BaseException as error:  # noqa: BLE001 - the future carries it to the driver
                future.set_exception(error)

        threading.Thread(target=follow, name=f"training in {job.out.name}", daemon=True).start()
        future.add_done_callback(lambda done: self._running.pop(done, None))
        return future

    def cancel(self, future: Future[Outcome], failure: Failure) -> None:
        """Stop a running job; its outcome then carries `failure`."""
        process = self._running.get(future)
        if process is not None:
            process.stop(failure)

    def call(self, function: Callable[..., Any], *args: Any, slot: Slot | None = None) -> Any:
        """The result of `function(*args)` in a child process, its output on this terminal.

        Raises:
            InputError: as the function raised it.
            WorkError: the function failed otherwise, or its process died.
        """
        variables = environment("cpu" if slot is None else slot.device, None)
        process = _Process(self._context, call, (function, args), variables, None)
        try:
            while (message := process.receive(None)) is not None:
                kind, *content = message
                if kind == "done":
                    return content[0]
                if kind == "input":
                    raise InputError(content[0])
                raise WorkError(f"{function.__name__}: {content[1]}")
        except KeyboardInterrupt:
            process.stop(Failure.INTERRUPTED)
            raise
        finally:
            process.join(FAREWELL)
        raise WorkError(f"{function.__name__} ended without an answer: {process.death()[1]}")

    def prepare(self, trainer: str, settings: Mapping[str, Any], cache: Path) -> child.Prepared:
        """Build what all trainings share, in a child process.

        Raises:
            InputError: the data cannot be used.
        """
        found: child.Prepared = self.call(child.prepare, trainer, settings, cache)
        return found

    def settle(self, folder: Path, *, keep: bool) -> None:
        """Everything is in the folder already."""

    def sweep(self, mark: str) -> None:
        """End what the trainings of an earlier driver have left below a folder."""
        kill_marked(mark)

    def close(self) -> None:
        """Kill whatever still runs, and wait until it is gone."""
        running = dict(self._running)
        for process in running.values():
            process.stop(Failure.INTERRUPTED)
        wait_for(running)  # the thread that follows a child joins it, and no other


class _Process:
    """A process in a group of its own, and the pipe on which it speaks."""

    def __init__(
        self,
        context: Any,
        target: Callable[..., None],
        args: tuple[Any, ...],
        variables: Mapping[str, str],
        log: Path | None,
    ) -> None:
        self.connection, theirs = context.Pipe(duplex=False)
        # One for each process: another attempt at the same training must not be taken for what this one has left.
        self._mark = f"call-{uuid.uuid4().hex}" if log is None else str(log.parent / uuid.uuid4().hex)
        self.process = context.Process(
            target=enter, args=(theirs, {**variables, MARK: self._mark}, log, target, args), daemon=False
        )
        self.failure: Failure | None = None
        self.started = time.monotonic()
        self.process.start()
        theirs.close()

    def receive(self, timeout: float | None) -> tuple[Any, ...] | None:
        """The next message; None once the process has ended.

        Raises:
            TimeoutError: nothing came within `timeout` seconds.
        """
        ready = wait([self.connection, self.process.sentinel], timeout)
        if not ready:
            raise TimeoutError
        if self.connection in ready or self.connection.poll():
            with suppress(EOFError, OSError):
                return tuple(self.connection.recv())
        return None

    def stop(self, failure: Failure) -> None:
        """Kill the process and everything it started."""
        self.failure = self.failure or failure
        if self.process.pid is not None:
            kill_family(self.process.pid)
        self._kill_group()
        self.process.kill()  # also the one that had not yet made its own group

    def join(self, patience: float | None = None) -> None:
        """Wait until the process is gone, and kill what is left of it after `patience` seconds, and of its children."""
        self.process.join(patience)
        self._kill_group()
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        kill_marked(self._mark)
        self.connection.close()

    def _kill_group(self) -> None:
        if self.process.pid is not None and hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def death(self) -> tuple[Failure, str]:
        """How a process that gave no answer ended."""
        code = self.process.exitcode
        if self.failure is not None:
            return self.failure, f"{self.failure} by the driver"
        if code == _SERVER_DIED:
            return Failure.KILLED, "the server of the trial processes died"
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = " (the system's out-of-memory killer sends this one)" if name == "SIGKILL" else ""
            return Failure.KILLED, f"killed by {name}{hint}"
        return Failure.CRASHED, f"left with exit code {code} and without a result"


def _outcome(process: _Process, events: Events, timeout: float | None) -> Outcome:
    """Follow a training to its end."""
    outcome: Outcome | None = None
    deadline = None if timeout is None else process.started + timeout
    while True:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            process.stop(Failure.TIMED_OUT)
            deadline = None
            continue
        try:
            message = process.receive(None if left is None else min(left, DAY))
        except TimeoutError:
            continue
        if message is None:
            break
        kind, *content = message
        if kind == "report":
            events.report(*content)
            continue
        if kind == "done":
            outcome = Outcome(metrics=content[0])
        elif kind == "input":
            outcome = Outcome(failure=Failure.CRASHED, reason=content[0])
        else:
            outcome = Outcome(failure=content[0], reason=content[1])
        break
    seconds = time.monotonic() - process.started
    process.join(FAREWELL)
    if outcome is None:
        failure, reason = process.death()
        if failure is Failure.TIMED_OUT:
            reason = f"stopped after {timeout:g} s"
        outcome = Outcome(failure=failure, reason=reason)
    return Outcome(outcome.metrics, outcome.failure, outcome.reason, seconds)
