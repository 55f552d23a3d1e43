"""What the loop holds of a training under way, and in which order slots are filled."""

from __future__ import annotations

import queue
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from hypevo.protocol import Outcome, WorkError
from hypevo.trainings.backend import Slot
from hypevo.trainings.work import Training


@dataclass(frozen=True)
class Active:
    """A training that occupies a slot."""

    training: Training
    slot: Slot
    future: Future[Outcome]


class Reports:
    """Puts what a backend tells of one training into the loop's queue."""

    def __init__(self, events: queue.SimpleQueue[Any], number: int) -> None:
        self._events = events
        self._number = number

    def started(self, where: str) -> None:
        """Put where it runs."""
        self._events.put((self._number, where))

    def report(self, step: int, metrics: dict[str, float]) -> None:
        """Put an epoch."""
        self._events.put((self._number, (step, metrics)))

    def ended(self, future: Future[Outcome]) -> None:
        """Put its end."""
        self._events.put((self._number, future))


def ranked(slots: Sequence[Slot]) -> Iterator[tuple[int, Slot]]:
    """Slots, each with its number among those of its machine."""
    counts: Counter[str] = Counter()
    for slot in slots:
        yield counts[slot.node], slot
        counts[slot.node] += 1


def none_left(unit: str, why: str) -> WorkError:
    """The error of a loop without a device; `unit` was the last one, and `why` it is set aside."""
    return WorkError(
        f"no device is left: {unit} {why}. Look at the device (nvidia-smi); the same command goes on where "
        f"this one stopped"
    )
