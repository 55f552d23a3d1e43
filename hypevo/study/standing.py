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

import optuna
from optuna.trial import FrozenTrial

from hypevo.problem.fitness import fittest
from hypevo.study.attributes import DEFAULT, NOISE, ORIGIN, SEED_NOISE, UNTOUCHED, VERDICT
from hypevo.study.storage import finished

BAND = 2.0  # standard deviations to either side of the default


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
        verdict: What `hypevo confirm` said last, as plain values.
    """

    best: FrozenTrial | None
    best_fitness: float | None
    default: float | None
    untouched: float | None
    noise: float | None
    seeds: int
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
    def gain(self) -> float | None:
        """Of the best over the default, as the search saw it."""
        if self.best_fitness is None or self.default is None:
            return None
        return self.best_fitness - self.default


def standing(study: optuna.Study, trials: Sequence[FrozenTrial] | None = None) -> Standing:
    """Read how a study stands, by the fitness it has recorded; by another it is read from `rescore.rescored`.

    Args:
        study: One of ours.
        trials: The finished trials, if they are at hand.
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
        verdict=attributes.get(VERDICT),
    )
