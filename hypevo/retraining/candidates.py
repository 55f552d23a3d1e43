"""The candidates of a confirmation, and their trainings as the source of the loop.

A training belongs to its hyperparameters and its seed, whatever the candidate is called, so later calls find it again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from hypevo.protocol import Hyp, Outcome
from hypevo.retraining.keeping import Keeping
from hypevo.retraining.race import Rule, Scores, Standings
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
    """The trainings of a confirmation, as the source of the loop: those of dropped candidates are not begun."""

    def __init__(
        self,
        trainings: Mapping[tuple[str, int], Training],
        race: Rule,
        keeping: Keeping,
        tracker: Tracker,
        watcher: Watcher,
    ) -> None:
        self._all = trainings
        self._race = race
        self._keeping = keeping
        self._waiting = {place: one for place, one in trainings.items() if is_open(one.record)}
        super().__init__(tracker, watcher)
        for training in trainings.values():  # what MLflow did not get in an earlier call
            if training.record.result is not None and tracker.needs(training.number):
                tracker.update(training.record)
        self.standings = Standings(tuple(race.names), {}, 0)
        self._follow()

    @property
    def done(self) -> int:
        """How many have a result."""
        return sum(training.record.result is not None for training in self._all.values())

    @property
    def total(self) -> int:
        """How many are wanted, those that have a result included; fewer when a candidate is dropped."""
        return sum(
            training.record.result is not None or self._is_wanted(key)
            for (key, _), training in self._all.items()
        )

    @property
    def mean_seconds(self) -> float:
        """Mean duration of those that have a result; nan for none."""
        results = [training.record.result for training in self._all.values()]
        seconds = [result.seconds for result in results if result is not None]
        return fmean(seconds) if seconds else math.nan

    def unscored(self) -> Iterable[tuple[Training, Outcome]]:
        """What an earlier call has trained and could not score."""
        return [
            (training, outcome)
            for training in self._all.values()
            if (outcome := training.record.unscored) is not None
        ]

    def next(self, active: int) -> Training | None:  # noqa: ARG002 - all of them are wanted
        """The next one that has no result, none of a dropped candidate."""
        while wanted := [place for place in self._waiting if self._is_wanted(place[0])]:
            training = self._waiting.pop(min(wanted, key=self._may_be_in_vain))
            if is_open(training.record):  # else it was scored meanwhile
                return training
        return None

    def _may_be_in_vain(self, place: tuple[str, int]) -> bool:
        """Whether a candidate may be dropped before this training counts: then it is only for slots that would idle."""
        key, seed = place
        now = self._race.seeds[: self.standings.complete + 1]
        return len(self.standings.racing) > 1 and key != self._race.default and seed not in now

    def ended(self, training: Training, outcome: Outcome, fitness: float | None) -> None:  # noqa: ARG002
        """Have MLflow follow, count it, and see who is out."""
        self._keeping.ended(training)
        self._tracker.update(training.record)
        self._follow()
        self._watcher.advanced(done=self.done, best=None, best_number=None, total=self.total)

    def _follow(self) -> None:
        known = self.standings.dropped
        self.standings = self._race.standings(
            scores_of({place: one for place, one in self._all.items() if not is_open(one.record)})
        )
        for key, out in self.standings.dropped.items():
            if key not in known:
                self._watcher.message(f"{self._race.names[key]}: {out}")
        for key in known.keys() - self.standings.dropped.keys():
            self._watcher.message(f"{self._race.names[key]} is back: it was behind one that has failed since")

    def _is_wanted(self, key: str) -> bool:
        racing = self.standings.racing
        return key in racing or (key == self._race.default and bool(racing or not self._race.names))


def training_of(folder: Path, candidate: Candidate, seed: int, beside: str = "") -> Training:
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
        beside=beside,
    )


def is_open(record: Record) -> bool:
    """Whether a training has to run: it has not ended, or was lost through no fault of its hyperparameters."""
    result = record.result
    if result is None:
        return record.unscored is None
    return result.failure is not None and result.failure.lost


def scores_of(trainings: Mapping[tuple[str, int], Training]) -> Scores:
    """The fitness of each training that has ended, by the candidate's key and the seed; None where it failed."""
    scores: dict[str, dict[int, float | None]] = {}
    for (key, seed), training in trainings.items():
        result = training.record.result
        if result is not None:
            scores.setdefault(key, {})[seed] = result.fitness
    return scores


def digest(content: Mapping[str, Any]) -> str:
    """64 hexadecimal digits that tell contents apart."""
    return hashlib.sha256(json.dumps(dict(content), sort_keys=True).encode()).hexdigest()
