"""Where a study stands: its finished trials, its best and what it has cost, brought forward trial by trial.

Asking costs the same after ten thousand trials as after ten.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

from hypevo.problem.fitness import fittest

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
SECONDS, DEVICE_SECONDS = "seconds", "device_seconds"  # user attributes of a trial


class Standing:
    """The trials that have ended so far.

    Attributes:
        finished: The trials with a fitness, in the order in which they finished.
        generations: Trials that count as such, complete or pruned.
        best: The fittest trial, the earliest of equally fit ones.
        course: After each finished trial, the generations so far and the best of them.
        device_seconds: Time the trainings took, counted as one device each.
    """

    def __init__(self, trials: Iterable[FrozenTrial]) -> None:
        self.finished: list[FrozenTrial] = []
        self.generations = 0
        self.best: FrozenTrial | None = None
        self.course: list[tuple[int, FrozenTrial]] = []
        self.device_seconds = 0.0
        self._seconds = 0.0
        for trial in sorted(
            trials, key=lambda trial: (trial.datetime_complete or datetime.max, trial.number)
        ):
            self.add(trial)

    def add(self, trial: FrozenTrial) -> None:
        """Count a trial that has just ended."""
        self.device_seconds += float(trial.user_attrs.get(DEVICE_SECONDS, 0.0))
        if trial.state is TrialState.FAIL:
            return
        self.generations += 1
        if trial.state is not TrialState.COMPLETE or trial.value is None:
            return
        self.finished.append(trial)
        self._seconds += float(trial.user_attrs.get(SECONDS, 0.0))
        ahead = [trial] if self.best is None else [self.best, trial]
        self.best = fittest(ahead, lambda one: (one.value, one.number)) or trial
        self.course.append((self.generations, self.best))

    def stale(self, min_gain: float) -> int:
        """Generations since the best fitness had last risen by more than `min_gain`, in one step or in several."""
        risen_to, since = -math.inf, 0
        for generation, best in self.course:
            if best.value is not None and best.value > risen_to + min_gain:
                risen_to, since = best.value, generation
        return self.generations - since

    @property
    def mean_seconds(self) -> float:
        """Mean duration of the finished trials; nan for none."""
        return self._seconds / len(self.finished) if self.finished else math.nan
