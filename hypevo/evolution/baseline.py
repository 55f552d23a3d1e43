"""The noise of a study: its default, trained with further seeds beside the first trials and outside of the search.

These trainings share the loop with the trials, and are as safe as they are: the folder is written first, an attempt
that was interrupted runs again under its seed, and what has ended is entered once.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import optuna

from hypevo.problem.plan import Plan
from hypevo.protocol import Outcome
from hypevo.study.attributes import ATTEMPTS, DEVICE_SECONDS, NOISE, NOISE_BEGUN, device_seconds_of
from hypevo.tracking.tracker import Tracker
from hypevo.trainings.record import WEIGHTS, Record, Result
from hypevo.trainings.work import Training

FOLDER = "noise"  # beside that of the trials
FRESH = 20_000  # added to the study's seed: none of the search's, and none of a confirmation's
_FIRST = 1_000_000_000  # number of the first one: no trial has it


class Baseline:
    """The default's trainings with other seeds."""

    def __init__(
        self,
        study: optuna.Study,
        plan: Plan,
        folder: Path,
        seeds: int,
        tracker: Tracker,
        *,
        share: float,
        keep_weights: bool,
        still_ours: Callable[[], None],
        settle: Callable[..., None],
    ) -> None:
        """Want the default trained with so many seeds, those of earlier calls included.

        Args:
            study: Optuna's; its attributes say what has ended.
            plan: What the study is.
            folder: The study's.
            seeds: How many.
            tracker: Where MLflow's part goes.
            share: Of a device's time that a training counts for.
            keep_weights: Whether their weights stay.
            still_ours: Raises when another driver has taken the study over.
            settle: The backend's: brings a training's weights from where it ran, or gives them up.
        """
        self._study = study
        self._plan = plan
        self._folder = folder / FOLDER
        self._tracker = tracker
        self._share = share
        self._keep_weights = keep_weights
        self._still_ours = still_ours
        self._settle = settle
        self._ended: list[dict[str, Any]] = list(study.user_attrs.get(NOISE, ()))
        self._begun: dict[str, dict[str, Any]] = dict(study.user_attrs.get(NOISE_BEGUN, {}))  # by seed
        known = {entry["seed"] for entry in self._ended}
        wanted = range(plan.seed + FRESH, plan.seed + FRESH + seeds)
        self._waiting = deque(seed for seed in wanted if seed not in known)
        self._under_way: set[int] = set()  # by number

    @property
    def under_way(self) -> int:
        """How many trainings have begun and not ended, those included that will be repeated."""
        return len(self._under_way)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to be trained."""
        return not self._waiting and not self._under_way

    @property
    def device_seconds(self) -> float:
        """What they have cost, counted as one device each."""
        return device_seconds_of(self._ended, self._begun)

    def owns(self, training: Training) -> bool:
        """Whether a training is one of these."""
        return training.number >= _FIRST

    def unscored(self) -> Iterable[tuple[Training, Outcome]]:
        """Enter what an earlier driver left, and hand on what it could not score."""
        left = []
        for seed in tuple(self._waiting):
            training = self._training(seed)
            record = training.record
            if not training.attempt or training.attempt != record.details.get("attempt"):
                continue  # the folder is that of an earlier attempt, or of another study
            if (result := record.result) is not None:
                self._waiting.remove(seed)
                self._enter(training, result)
            elif (outcome := record.unscored) is not None:
                self._waiting.remove(seed)
                self._under_way.add(training.number)
                left.append((training, outcome))
        for entry in self._ended:
            record = self._training(entry["seed"]).record
            if self._tracker.needs(record.number) and record.result is not None:
                self._tracker.update(record)
        return left

    def next(self) -> Training | None:
        """The next one to be trained."""
        if not self._waiting:
            return None
        training = self._training(self._waiting.popleft())
        self._under_way.add(training.number)
        return training

    def begun(self, training: Training) -> None:
        """Enter an attempt whose folder is open: a result counts only with its own attempt."""
        self._note(training, 0.0)
        self._tracker.update(training.record)

    def reported(self, training: Training) -> None:
        """Have MLflow follow."""
        self._tracker.update(training.record)

    def lost(self, training: Training, outcome: Outcome) -> None:
        """Enter what an attempt cost that was lost."""
        self._note(training, outcome.seconds)

    def ended(self, training: Training) -> None:
        """Enter how one ended, as its folder says."""
        result = training.record.result
        if result is None:
            raise OSError(f"the result of {training.name} cannot be read back from {training.record.folder}")
        self._under_way.discard(training.number)
        self._enter(training, result)

    def _note(self, training: Training, seconds: float) -> None:
        """Store which attempt a training is at, and what the lost ones have cost."""
        self._still_ours()
        cost = self._begun.get(str(training.seed), {}).get(DEVICE_SECONDS, 0.0)
        self._begun[str(training.seed)] = {
            ATTEMPTS: training.attempt,
            DEVICE_SECONDS: round(cost + seconds * self._share, 3),
        }
        self._study.set_user_attr(NOISE_BEGUN, self._begun)

    def _enter(self, training: Training, result: Result) -> None:
        self._still_ours()
        entry: dict[str, Any] = {
            "seed": training.seed,
            "fitness": result.fitness,
            "metrics": result.metrics,
            DEVICE_SECONDS: round(result.seconds * self._share, 3),
        }
        if result.failure is not None:
            entry |= {"failure": result.failure.value, "reason": result.reason}
        self._ended.append(entry)
        self._study.set_user_attr(NOISE, self._ended)
        if not self._keep_weights:
            self._settle(training.record.folder, keep=False)
            shutil.rmtree(training.record.folder / WEIGHTS, ignore_errors=True)
        self._tracker.update(training.record)

    def _training(self, seed: int) -> Training:
        number = _FIRST + seed - self._plan.seed - FRESH
        return Training(
            number=number,
            name=f"the default with seed {seed}",
            record=Record(self._folder / f"seed-{seed}", number, self._still_ours),
            hyp=self._plan.hyp,
            seed=seed,
            tags={"hypevo.kind": "noise"},
            attempt=int(self._begun.get(str(seed), {}).get(ATTEMPTS, 0)),
        )
