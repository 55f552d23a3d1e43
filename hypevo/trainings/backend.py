"""The contract of a backend: where trainings run, on this machine or on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hypevo.protocol import Failure, Job, Outcome
from hypevo.trainings.child import Prepared


@dataclass(frozen=True)
class Slot:
    """A place for one training at a time.

    Attributes:
        device: «cpu», «mps», or the index of a GPU; of one in a cluster only a number, since the cluster assigns them.
        number: Tells the slots of one device apart, counted from 0.
        node: The machine, where there are several.
    """

    device: str
    number: int = 0
    node: str = ""

    @property
    def place(self) -> str:
        """The device, and its machine if there are several."""
        return f"{self.node}:{self.device}" if self.node else self.device

    @property
    def unit(self) -> str:
        """What is set aside if it breaks: the device, or the machine where a cluster assigns the devices."""
        return self.node or self.device


class Events(Protocol):
    """Is told how a job goes, from another thread and in order: started, its reports, and then its future's end."""

    def started(self, where: str) -> None:
        """The job has left the queue and runs; `where` is a device, and a machine if there are several."""

    def report(self, step: int, metrics: dict[str, float]) -> None:
        """The training reported the epoch `step`."""


class Backend(Protocol):
    """Where trainings run."""

    def slots(self) -> Sequence[Slot]:
        """The slots there are now; they may change while trainings run."""

    def on_change(self, changed: Callable[[], None]) -> None:
        """Have `changed` called, from any thread, when slots have come or gone."""

    def instead_of(self, place: str) -> str | None:
        """Give up a device that cannot be used for one that was not asked for by name; None if there is none."""

    def submit(self, job: Job, events: Events) -> Future[Outcome]:
        """Start a job; its time-out does not count the time it waits in a queue."""

    def cancel(self, future: Future[Outcome], failure: Failure) -> None:
        """Stop a job; its outcome carries the failure."""

    def call(self, function: Callable[..., Any], *args: Any, slot: Slot | None = None) -> Any:
        """The result of `function(*args)` in a process of its own, on the device of a slot, else on the CPU.

        Raises:
            InputError: as the function raised it.
            WorkError: the function failed otherwise, or its process died.
        """

    def prepare(self, trainer: str, settings: Mapping[str, Any], cache: Path) -> Prepared:
        """Have every machine build what its trainings share.

        Raises:
            InputError: the data cannot be used.
        """

    def settle(self, folder: Path, *, keep: bool) -> None:
        """Bring a training's weights into its folder from where it ran, or give them up."""

    def sweep(self, mark: str) -> None:
        """End what the trainings of an earlier driver have left; `mark` is the folder that holds theirs."""

    def close(self) -> None:
        """Stop all jobs and wait until they are gone; the backend may be used again."""
