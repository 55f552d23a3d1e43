"""What the sampler's model says of a study, on one thread: its recommendation, its scatter, its minimal individual."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

import samplers

if TYPE_CHECKING:
    import optuna

# Small matrices: on a busy machine of two cores, threads that wait for each other made an ask up to 44 times as dear,
# and a recommendation after 300 trials took 22 s instead of 0.4 s. Trainings are never inside: they have processes of
# their own.
one_thread = partial(threadpool_limits, limits=1, user_api="blas")


def recommend(study: optuna.Study) -> dict[str, Any]:
    """As `samplers.recommend`: the mean of the study's elite."""
    with one_thread():
        return samplers.recommend(study)


def noise(study: optuna.Study) -> float:
    """As `samplers.noise`: the scatter of the fitness near the best."""
    with one_thread():
        return samplers.noise(study)


def minimal(
    study: optuna.Study, start: Mapping[str, Any], defaults: Mapping[str, Any], allowance: float
) -> samplers.Minimal:
    """As `samplers.minimal`: an individual with the genes back at their defaults that are expected to cost little."""
    with one_thread():
        return samplers.minimal(study, start, defaults, allowance)
