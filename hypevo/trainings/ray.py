"""Trainings on all machines of a Ray cluster: one task each, which runs the same child process as on this machine.

Ray assigns the GPUs, tells when machines come and go, and ends what a driver has started when the driver ends. Repeats
of lost trainings are not Ray's but the loop's (`slots.py`), so that one of them keeps its number and its run.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypevo.protocol import Failure, InputError, Job, Outcome, WorkError
from hypevo.trainings import child, node
from hypevo.trainings.backend import Events, Slot
from hypevo.trainings.cluster import Cluster
from hypevo.trainings.tasks import Machine, explained

_FAREWELL = 30.0  # seconds that machines may take to end their trainings


@dataclass
class _Run:
    """A training under way."""

    machine: Machine
    out: Path
    task: Any = None  # Ray's generator of what it tells
    failure: Failure | None = None  # why the driver stops it
    began: float = math.nan  # by the monotonic clock


class RayBackend:
    """Runs jobs as tasks of a Ray cluster, whose machines may come and go."""

    def __init__(
        self,
        trainer: str,
        device: str,
        *,
        slots_per_device: int,
        address: str,
        out: Path,
        tell: Callable[[str], None],
    ) -> None:
        """Join the cluster, and look at its machines.

        Args:
            trainer: Its full name.
            device: «auto» for GPUs if the cluster has any; «cpu».
            slots_per_device: Trainings at once on each GPU, or on each machine's processors.
            address: Of the cluster.
            out: The folder that trainings are below.
            tell: Is told of machines that come, go, and cannot be used.

        Raises:
            InputError: there is no such cluster, or no machine of it can train.
        """
        self._out, self._tell = out.resolve(), tell
        self._changed: Callable[[], None] = lambda: None
        self._running: dict[Future[Outcome], _Run] = {}
        self._weights: dict[Path, Machine] = {}  # trainings whose weights are still where they ran
        self._stale: dict[str, list[Path]] = {}  # and those that nobody wants, by machine
        self._cluster = Cluster(
            trainer,
            device,
            slots_per_device=slots_per_device,
            address=address,
            out=self._out,
            tell=tell,
            changed=lambda: self._changed(),
        )

    def slots(self) -> Sequence[Slot]:
        """Those of the machines that are there and ready."""
        return self._cluster.slots

    def on_change(self, changed: Callable[[], None]) -> None:
        """Have `changed` called when machines have come or gone."""
        self._changed = changed

    def instead_of(self, place: str) -> str | None:
        """The other machines, if there are any."""
        return self._cluster.without(place.rpartition(":")[0])

    def submit(self, job: Job, events: Events) -> Future[Outcome]:
        """Start a job on its machine; it waits there while Ray gives the device to others."""
        future: Future[Outcome] = Future()
        machine = self._cluster.named(job.node)
        if machine is None:
            reason = f"machine {job.node} has left before it began"
            future.set_result(Outcome(failure=Failure.KILLED, reason=reason))
            return future
        settings = job.settings if machine.prepared is None else machine.prepared.settings
        inside = replace(job, device="0" if machine.gpus else "cpu", settings=settings)
        run = _Run(machine, job.out)
        stale = self._stale.pop(machine.id, [])
        run.task = self._cluster.tasks.start_training(machine, inside, stale)
        self._running[future] = run

        def follow() -> None:
            try:
                future.set_result(self._follow(run, job, events))
            except BaseException as error:  # noqa: BLE001 - the future carries it to the driver
                self._cluster.tasks.cancel(run.task)
                future.set_exception(error)

        future.add_done_callback(lambda done: self._running.pop(done, None))
        threading.Thread(target=follow, name=f"training in {job.out.name}", daemon=True).start()
        return future

    def _follow(self, run: _Run, job: Job, events: Events) -> Outcome:
        """Pass on what a training tells, and store its files, until it has ended."""
        try:
            for kind, *content in self._cluster.tasks.told(run.task):
                if kind == "started":
                    run.began = time.monotonic()
                    events.started(f"{run.machine.name}:{content[0]}")
                elif kind == "report":
                    events.report(*content)
                elif kind == "file":
                    _store(job.out, *content)
                elif kind == "ended":
                    outcome, left = content
                    if left:
                        self._weights[job.out] = run.machine
                    return outcome  # type: ignore[no-any-return]
        except self._cluster.tasks.errors as error:
            if run.failure is None and getattr(error, "cause", None) is None:
                self._cluster.suspect(run.machine)  # Ray takes seconds to tell that a machine has died
            self._fetch(run.machine, job.out)
            seconds = 0.0 if math.isnan(run.began) else time.monotonic() - run.began
            if run.failure is not None:
                return Outcome(failure=run.failure, reason=f"{run.failure} by the driver", seconds=seconds)
            return replace(explained(error, run.machine.name), seconds=seconds)
        return Outcome(failure=Failure.KILLED, reason=f"machine {run.machine.name} gave no answer")

    def _fetch(self, machine: Machine, folder: Path, only: str = "") -> bool:
        """Bring what a training has left on its machine; False if the machine does not give it any more."""
        if machine.place.shared or self._cluster.closing:
            return machine.place.shared
        try:
            for _, *content in self._cluster.tasks.told(
                self._cluster.tasks.start_collecting(machine, folder, only)
            ):
                _store(folder, *content)
        except self._cluster.tasks.errors:
            return False
        return True

    def cancel(self, future: Future[Outcome], failure: Failure) -> None:
        """Stop a job that waits or runs; its outcome then carries `failure`."""
        run = self._running.get(future)
        if run is not None:
            run.failure = run.failure or failure
            self._cluster.tasks.cancel(run.task)

    def call(self, function: Callable[..., Any], *args: Any, slot: Slot | None = None) -> Any:
        """The result of `function(*args)` in a child process on a slot's machine, else on any.

        Raises:
            InputError: as the function raised it.
            WorkError: the function failed otherwise, or its machine left.
        """
        machine = self._cluster.any() if slot is None else self._cluster.named(slot.node)
        if machine is None:
            raise WorkError(f"{function.__name__}: machine {slot.node if slot else ''} has left")
        gpu = slot is not None and machine.gpus > 0
        return self._cluster.tasks.errand(machine, node.call, machine.place, gpu, function, *args, gpu=gpu)

    def prepare(self, trainer: str, settings: Mapping[str, Any], cache: Path) -> child.Prepared:
        """Have every machine build what its trainings share; those that come later do it before their first one.

        Raises:
            InputError: the data cannot be used on any machine.
        """
        return self._cluster.prepare(trainer, settings, cache)

    def settle(self, folder: Path, *, keep: bool) -> None:
        """Bring a training's weights from its machine, or have them removed there."""
        folder = folder.resolve()
        machine = self._weights.pop(folder, None)
        if machine is None:
            return
        if not keep:
            self._stale.setdefault(machine.id, []).append(folder)
        elif not self._fetch(machine, folder, node.WEIGHTS):
            self._tell(f"the weights of {folder.name} are lost: machine {machine.name} has left with them")

    def sweep(self, mark: str) -> None:
        """End what an earlier driver has left on any machine, and learn which weights are still there."""
        for machine, names in self._cluster.everywhere(node.sweep, Path(mark)).items():
            self._weights |= {Path(mark) / name: machine for name in names}

    def close(self) -> None:
        """Stop all jobs, wait until they are gone, and leave the cluster."""
        running = dict(self._running)
        self._cluster.closing = True
        for future in running:
            self.cancel(future, Failure.INTERRUPTED)
        wait_for(running, _FAREWELL)
        for machine in {run.machine.id: run.machine for run in running.values()}.values():
            outs = [run.out for run in running.values() if run.machine is machine]
            with suppress(WorkError, InputError):
                self._cluster.tasks.errand(machine, node.end, machine.place, outs)
        self._cluster.close(self._stale)
        self._stale = {}


def _store(folder: Path, name: str, piece: bytes, first: bool) -> None:
    """Write a piece of a file that a machine has sent."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb" if first else "ab") as file:
        file.write(piece)
