"""When an evolution has had enough: generations, hours, device hours, patience, failures in a row."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypevo.protocol import Failure, Outcome
from hypevo.study.estimates import noise
from hypevo.study.standing import standing

if TYPE_CHECKING:
    import optuna

    from hypevo.problem.settings import EvolveSettings
    from hypevo.study.tally import Tally


class Budget:
    """Decides whether an evolution starts another trial, and says why not.

    Attributes:
        spent: Why no more trials start, in words; empty while they do. Once said it stays.
        failed: Whether too many trials failed in a row.
    """

    def __init__(
        self,
        settings: EvolveSettings,
        study: optuna.Study,
        tally: Tally,
        beside: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Keep to what the user asked for.

        Args:
            settings: What that is.
            study: Optuna's.
            tally: Of its trials.
            beside: Device seconds that trainings outside of the trials have cost.
        """
        self._beside = beside
        self._settings = settings
        self._study = study
        self._tally = tally
        self._began = math.nan  # by the monotonic clock
        self._failures_in_a_row = 0
        self._scatter = (
            0,
            math.nan,
            math.nan,
        )  # generations; the scatter of fitness near the best, over seeds
        self._whence = ""  # what the noise is taken from
        self.spent = ""
        self.failed = False

    def begin(self) -> None:
        """Start the clock of `--hours`, at the first trial of this call."""
        if math.isnan(self._began):
            self._began = time.monotonic()

    def wants(self, active: int) -> bool:
        """Whether the total leaves room for another trial while `active` ones are under way."""
        total = self._settings.total
        return total is None or self._tally.generations + active < total

    def exhausted(self) -> bool:
        """Whether no more trials are to be started, repeats of lost ones included."""
        self.spent = self.spent or self._limit_reached()
        return self.spent != ""

    def count(self, outcome: Outcome) -> None:
        """Count failures in a row: many of them have a cause that no other hyperparameters will remove."""
        if outcome.failure is None:
            self._failures_in_a_row = 0
        elif outcome.failure is not Failure.PRUNED:
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= self._settings.max_failures:
                self.failed = True
                last = f"{outcome.failure}: {outcome.reason}"
                self.spent = f"{self._failures_in_a_row} trials failed in a row; the last one {last}"

    def _limit_reached(self) -> str:
        settings, tally = self._settings, self._tally
        if settings.hours is not None and time.monotonic() - self._began > settings.hours * 3600:
            return f"the {settings.hours:g} hours are over"
        used = tally.device_seconds + self._beside()
        if settings.gpu_hours is not None and used > settings.gpu_hours * 3600:
            return f"the study has used its {settings.gpu_hours:g} GPU-hours"
        if settings.patience is not None and tally.generations >= settings.patience:
            return self._without_gain(settings.patience)
        return ""

    def _without_gain(self, patience: int) -> str:
        least = self._settings.min_gain
        gain = self._noise() if least is None else least
        if math.isnan(gain):
            return ""  # too few trials are known to tell noise
        stale = self._tally.stale(gain)
        if stale < patience:
            return ""
        what = f"{gain:g}" if least is not None else f"{gain:.2g}, {self._whence},"
        return f"no gain of more than {what} in {stale} generations"

    def _noise(self) -> float:
        """The larger of two standard deviations of fitness, as far as they are known; nan while neither is.

        Near the best, with the seeds of the search; and of the default over fresh seeds. One fixed seed shows the
        smaller part of a training's noise.
        """
        generations = self._tally.generations
        if self._scatter[0] != generations:
            known = standing(self._study, trials=self._tally.noted).noise
            self._scatter = (generations, noise(self._study), math.nan if known is None else known)
        _, near, seeds = self._scatter
        if math.isnan(near) or seeds > near:
            self._whence = "the scatter of the default over fresh seeds"
            return seeds
        self._whence = "the scatter of fitness near the best"
        return near
