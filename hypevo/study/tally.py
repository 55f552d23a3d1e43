"""How far a study has come: its finished trials, its best and what it has cost, brought forward trial by trial.

Asking costs the same after ten thousand trials as after ten.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

from hypevo.problem.fitness import fittest
from hypevo.study.attributes import DEFAULT, DEVICE_SECONDS, ENDED_AS, ORIGIN, SECONDS

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Tally:
    """The trials that have ended so far.

    Attributes:
        ended: How many trials have ended in any way.
        finished: The trials with a fitness, in the order in which they finished.
        generations: Trials that count as such, complete or pruned.
        best: The fittest trial, the earliest of equally fit ones.
        defaults: The finished ones among the trials of the default.
        best_after: After each finished trial, the generations so far and the best of them.
        device_seconds: Time the trainings took, counted as one device each.
    """

    def __init__(self, trials: Iterable[FrozenTrial]) -> None:
        self.ended = 0
        self.finished: list[FrozenTrial] = []
        self.generations = 0
        self.best: FrozenTrial | None = None
        self.defaults: list[FrozenTrial] = []
        self.best_after: list[tuple[int, FrozenTrial]] = []
        self.device_seconds = 0.0
        self._seconds = 0.0
        for trial in in_order(trials):
            self.add(trial)

    def add(self, trial: FrozenTrial) -> None:
        """Count a trial that has just ended."""
        self.ended += 1
        self.device_seconds += float(trial.user_attrs.get(DEVICE_SECONDS, 0.0))
        if trial.state is TrialState.FAIL:
            return
        self.generations += 1
        if trial.state is not TrialState.COMPLETE or trial.value is None:
            return
        self.finished.append(trial)
        if trial.user_attrs.get(ORIGIN) == DEFAULT:
            self.defaults.append(trial)
        self._seconds += float(trial.user_attrs.get(SECONDS, 0.0))
        ahead = [trial] if self.best is None else [self.best, trial]
        self.best = fittest(ahead, lambda one: (one.value, one.number)) or trial
        self.best_after.append((self.generations, self.best))

    def stale(self, min_gain: float) -> int:
        """Generations since the best fitness had last risen by more than `min_gain`, in one step or in several."""
        risen_to, since = -math.inf, 0
        for generation, best in self.best_after:
            if best.value is not None and best.value > risen_to + min_gain:
                risen_to, since = best.value, generation
        return self.generations - since

    @property
    def noted(self) -> list[FrozenTrial]:
        """Those that say how the study stands: the default's, and the best."""
        best = [] if self.best is None else [self.best]
        return list({trial.number: trial for trial in (*self.defaults, *best)}.values())

    @property
    def mean_seconds(self) -> float:
        """Mean duration of the finished trials; nan for none."""
        return self._seconds / len(self.finished) if self.finished else math.nan


def in_order(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Ended trials in the order in which they ended; by the clock only where a trial does not say."""
    return sorted(
        trials,
        key=lambda trial: (
            trial.user_attrs.get(ENDED_AS, -1),
            trial.datetime_complete or datetime.max,
            trial.number,
        ),
    )
