"""The candidates of a confirmation, and their trainings as the source of the loop.

A training belongs to its hyperparameters and its seed, whatever the candidate is called, so later calls find it again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypevo.protocol import Hyp, Outcome
from hypevo.retraining.tracked import Tracked
from hypevo.tracking.tracker import Tracker
from hypevo.trainings.record import Record
from hypevo.trainings.work import Training, Watcher


@dataclass(frozen=True)
class Candidate:
    """A point that is trained with every fresh seed; its name is what people call it."""

    name: str
    hyp: Hyp
    search_fitness: float = math.nan

    @property
    def key(self) -> str:
        """The same for the same hyperparameters, whatever they are called."""
        return digest(dict(sorted(self.hyp.items())))


class CandidateTrainings(Tracked):
    """The trainings of a confirmation, as the source of the loop."""

    def __init__(self, trainings: Sequence[Training], tracker: Tracker, watcher: Watcher) -> None:
        self._all = trainings
        self._waiting = deque(training for training in trainings if _is_open(training.record))
        super().__init__(tracker, watcher)
        for training in trainings:  # what MLflow did not get in an earlier call
            if training.record.result is not None and tracker.needs(training.number):
                tracker.update(training.record)

    @property
    def done(self) -> int:
        """How many have a result."""
        return sum(training.record.result is not None for training in self._all)

    def unscored(self) -> Iterable[tuple[Training, Outcome]]:
        """What an earlier call has trained and could not score."""
        return [
            (training, outcome) for training in self._all if (outcome := training.record.unscored) is not None
        ]

    def next(self, active: int) -> Training | None:  # noqa: ARG002 - all of them are wanted
        """The next one that has no result."""
        while self._waiting:
            training = self._waiting.popleft()
            if _is_open(training.record):  # else it was scored meanwhile
                return training
        return None

    def ended(self, training: Training, outcome: Outcome, fitness: float | None) -> None:  # noqa: ARG002
        """Have MLflow follow, and count it."""
        self._tracker.update(training.record)
        self._watcher.advanced(done=self.done, best=None, best_number=None)


def training_of(folder: Path, candidate: Candidate, seed: int) -> Training:
    """One training of a candidate; its folder and number stay the same when more candidates or seeds are asked for."""
    name = f"hyp-{candidate.key[:10]}-seed-{seed}"
    number = int(hashlib.sha256(name.encode()).hexdigest()[:12], 16)
    record = Record(folder / name, number)
    return Training(
        number=number,
        name=f"{candidate.name} · seed {seed}",
        record=record,
        hyp=candidate.hyp,
        seed=seed,
        tags={"hypevo.kind": "confirm", "hypevo.candidate": candidate.name},
        attempt=int(record.details.get("attempt", 0)),
    )


def _is_open(record: Record) -> bool:
    """Whether a training has to run: it has not ended, or was lost through no fault of its hyperparameters."""
    result = record.result
    if result is None:
        return record.unscored is None
    return result.failure is not None and result.failure.lost


def fitness_of(record: Record) -> float | None:
    """The fitness of a training; None when it failed, or has no result yet."""
    result = record.result
    return None if result is None else result.fitness


def digest(content: Mapping[str, Any]) -> str:
    """64 hexadecimal digits that tell contents apart."""
    return hashlib.sha256(json.dumps(dict(content), sort_keys=True).encode()).hexdigest()
