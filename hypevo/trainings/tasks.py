"""The door to Ray: functions and trainings that run as tasks on the machines of a cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypevo.interrupts import signals_kept
from hypevo.messages import first_line
from hypevo.protocol import Failure, InputError, Job, Outcome, WorkError
from hypevo.trainings import child, node


@dataclass(eq=False)
class Machine:
    """A machine that may train."""

    id: str
    name: str
    gpus: int  # 0 where processors train
    cpus: int
    place: node.Place
    prepared: child.Prepared | None = None
    suspected: bool = False  # whether it has to answer before it gets another training


class Tasks:
    """Runs things on machines.

    Attributes:
        errors: What Ray raises when a task is lost.
    """

    def __init__(self, address: str, working_dir: Path, slots_per_device: int) -> None:
        """Join the cluster.

        Raises:
            InputError: there is none, or Ray is not installed.
        """
        # Else Ray starts tasks by the `uv run` that the driver was started by, and a machine need not have uv.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        try:
            import ray
        except ImportError as error:
            raise InputError("--backend ray needs Ray: pip install 'hypevo[ray]'") from error
        self._ray, self._per_device = ray, slots_per_device
        self.errors = (ray.exceptions.RayError,)
        try:
            with signals_kept():  # Ray sets handlers of its own
                ray.init(
                    address=address, log_to_driver=False, logging_level=logging.ERROR,
                    runtime_env={"working_dir": str(working_dir)},
                )  # fmt: skip
        except (ConnectionError, RuntimeError, ValueError, OSError, *self.errors) as error:
            raise InputError(
                f"--address {address}: no Ray cluster there ({first_line(error)}). Start one with "
                f"`ray start --head`, with the same Ray, Python and token (RAY_AUTH_TOKEN) everywhere"
            ) from error
        options: dict[str, Any] = {"max_retries": 0, "num_cpus": 0}
        self._errand = ray.remote(**options)(node.errand)
        self._collect = ray.remote(**options, num_returns="streaming")(node.collect)
        # With its own process for every call: `max_calls` counts only in the decorator.
        self._training = ray.remote(**options, num_returns="streaming", max_calls=1)(_training)

    # -- which machines there are --------------------------------------------------------------------------

    def machines(self) -> list[Mapping[str, Any]]:
        """What Ray tells of the machines that are there."""
        nodes: Callable[[], list[Mapping[str, Any]]] = self._ray.nodes
        return [one for one in nodes() if one["Alive"]]

    def errand(self, machine: Machine, function: Callable[..., Any], *args: Any, gpu: bool = False) -> Any:
        """What a function returns on a machine.

        Raises:
            InputError: as the function raised it.
            WorkError: it failed otherwise, or the machine left.
        """
        options = {"num_gpus": 1 / self._per_device} if gpu else {}
        task = self._errand.options(**self._on(machine), **options).remote(function, *args)
        try:
            kind, answer = self._ray.get(task)
        except self.errors as error:
            raise WorkError(f"{function.__name__}: {explained(error, machine.name).reason}") from error
        if kind == "input":
            raise InputError(answer)
        if kind == "work":
            raise WorkError(answer)
        return answer

    def start_training(self, machine: Machine, job: Job, stale: Sequence[Path]) -> Any:
        """Ray's generator of a training; one that is alone gets a whole device."""
        share = 1.0 if self._per_device == 1 or job.share == 1 else 1 / self._per_device
        devices = {"num_gpus": share} if machine.gpus else {"num_cpus": max(1, int(machine.cpus * share))}
        job = replace(job, share=share)
        slots = (machine.gpus or 1) * self._per_device
        options = {**self._on(machine), **devices}
        return self._training.options(**options).remote(machine.place, job, slots, stale)

    def start_collecting(self, machine: Machine, folder: Path, only: str) -> Any:
        """Ray's generator of the files of a training that has ended."""
        return self._collect.options(**self._on(machine)).remote(machine.place, folder, only)

    def told(self, task: Any) -> Iterator[Any]:
        """What a generator tells, in order; raises one of `errors` when its task is lost."""
        for reference in task:
            yield self._ray.get(reference)

    def cancel(self, task: Any) -> None:
        """End a task with its process."""
        with suppress(*self.errors, ValueError, TypeError):
            self._ray.cancel(task, force=True)

    def _on(self, machine: Machine) -> dict[str, Any]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(machine.id, soft=False)}

    def leave(self, stale: Mapping[Machine, Sequence[Path]], patience: float) -> None:
        """Have machines remove what nobody wants, and leave the cluster."""
        tasks = [
            self._errand.options(**self._on(one)).remote(node.drop, one.place, paths)
            for one, paths in stale.items()
        ]
        if tasks:
            self._ray.wait(tasks, num_returns=len(tasks), timeout=patience)
        with signals_kept():
            self._ray.shutdown()


def _training(place: node.Place, job: Job, slots: int, stale: Sequence[Path]) -> Iterator[Any]:
    """A task: the training, and the device that Ray has assigned."""
    import ray

    gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    yield from node.training(place, job, slots, gpus[0] if gpus else "cpu", stale)


def explained(error: BaseException, name: str) -> Outcome:
    """What became of a training whose task Ray has lost, or whose task failed by itself."""
    kind = type(error).__name__
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):  # raised on the machine
        failure, reason = child.failure_of(cause)
        return Outcome(failure=failure, reason=f"on machine {name}: {reason}")
    words = {
        "NodeDiedError": f"machine {name} has left or died",
        "TaskUnschedulableError": f"machine {name} has left before it began",
        "WorkerCrashedError": f"its process on machine {name} was killed",
        "OutOfMemoryError": f"machine {name} ran out of memory, and Ray ended its process",
    }
    return Outcome(
        failure=Failure.KILLED, reason=words.get(kind) or f"machine {name}: {kind} {first_line(error)}"
    )
