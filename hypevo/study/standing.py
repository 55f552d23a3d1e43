"""What a study's result has to be held against: its default, its starting weights, the noise, and the last verdict.

A best fitness alone says little: the best of many noisy trainings is lucky as well as good, and a short training may
be worse than none. Everything that shows a result takes these figures from here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial
from scipy.special import gammaincinv, log_ndtr, ndtri

from hypevo.messages import of_hundred
from hypevo.problem.fitness import fittest
from hypevo.study.attributes import DEFAULT, NOISE, ORIGIN, SEED_NOISE, UNTOUCHED, VERDICT
from hypevo.study.storage import finished

BAND = 2.0  # standard deviations to either side of the default
LUCK = 0.05  # from here on a best may well be the luck of the draw
_PARTS = 100  # of equal probability, in the mean over what is not known of the noise


@dataclass(frozen=True)
class Standing:
    """How the best trial stands. What is not known is None.

    Attributes:
        best: The fittest trial.
        best_fitness: Its fitness.
        default: Mean fitness of the default over its trainings: the study's first trial, and those of the noise.
        untouched: Fitness of the starting weights before any training.
        noise: Standard deviation of the default's fitness over training seeds.
        seeds: Trainings that the noise is known from.
        trials: How many the best is the best of.
        verdict: What `hypevo confirm` said last, as plain values.
    """

    best: FrozenTrial | None
    best_fitness: float | None
    default: float | None
    untouched: float | None
    noise: float | None
    seeds: int
    trials: int
    verdict: Mapping[str, Any] | None

    @property
    def band(self) -> tuple[float, float] | None:
        """Where the default's fitness lies with other seeds: its mean ± two standard deviations."""
        if self.default is None or self.noise is None:
            return None
        return self.default - BAND * self.noise, self.default + BAND * self.noise

    @property
    def beyond_noise(self) -> bool | None:
        """Whether the best lies above the band; None while one of them is unknown."""
        if self.best_fitness is None or self.band is None:
            return None
        return self.best_fitness > self.band[1]

    @property
    def below_untouched(self) -> bool:
        """Whether the best is known to be worse than no training at all, as the search saw it."""
        if self.best_fitness is None or self.untouched is None:
            return False
        return self.best_fitness < self.untouched

    @property
    def luck(self) -> float | None:
        """How often a search that finds nothing has a best this high: that of as many trainings of the default alone.

        With mean and sd known from k normal trainings, E[1 − Φ(x + gain / sd · y)ⁿ] for n trials, over x, normal with
        variance 1 / k, and y² = χ²(k − 1) / (k − 1). It takes the noise to be the same everywhere. None where the
        noise is not of this study's own trainings.
        """
        if self.gain is None or self.noise is None or self.seeds < 3:
            return None
        if self.noise == 0:
            return 0.0 if self.gain > 0 else 1.0
        parts = (np.arange(_PARTS) + 0.5) / _PARTS
        mean = ndtri(parts) / math.sqrt(self.seeds)
        freedom = self.seeds - 1
        spread = np.sqrt(2 * gammaincinv(freedom / 2, parts) / freedom)
        bar = np.add.outer(mean, self.gain / self.noise * spread)
        return float(-np.expm1(self.trials * log_ndtr(bar)).mean())

    @property
    def luck_said(self) -> str | None:
        """That in a sentence, where the best lies above the band; else nobody takes it for a gain."""
        if self.luck is None or not self.beyond_noise:
            return None
        times = of_hundred(self.luck)
        return f"{self.trials} trainings of the default alone would have a best this high in {times} of 100 searches"

    @property
    def beside(self) -> str:
        """How the best stands to the noise, in three words; empty while that is unknown."""
        if self.beyond_noise is None:
            return ""
        if not self.beyond_noise:
            return "within the noise"
        return "beyond the noise" if self.luck is None or self.luck <= LUCK else "maybe luck"

    @property
    def gain(self) -> float | None:
        """Of the best over the default, as the search saw it."""
        if self.best_fitness is None or self.default is None:
            return None
        return self.best_fitness - self.default


def standing(
    study: optuna.Study, trials: Sequence[FrozenTrial] | None = None, *, among: int | None = None
) -> Standing:
    """Read how a study stands, by the fitness it has recorded; by another it is read from `rescore.rescored`.

    Args:
        study: One of ours.
        trials: The finished trials, if they are at hand; those of the default and the best will do.
        among: How many have finished, if those are not all.
    """
    trials = finished(study) if trials is None else trials
    best = fittest(trials, lambda one: (one.value, one.number))
    attributes = study.user_attrs
    firsts = [trial.value for trial in trials if trial.user_attrs.get(ORIGIN) == DEFAULT]
    repeats = [one.get("fitness") for one in attributes.get(NOISE, ())]
    known = [value for value in (*firsts, *repeats) if value is not None and math.isfinite(value)]
    untouched = (attributes.get(UNTOUCHED) or {}).get("fitness")
    return Standing(
        best=best,
        best_fitness=None if best is None else best.value,
        default=fmean(known) if known else None,
        untouched=untouched,
        noise=stdev(known) if len(known) >= 3 else attributes.get(SEED_NOISE),
        seeds=len(known),
        trials=len(trials) if among is None else among,
        verdict=attributes.get(VERDICT),
    )
