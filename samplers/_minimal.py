"""The few parameters that matter: an individual with all others returned to their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._verdict import model_of, view_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from optuna.study import Study

    from ._verdict import View


@dataclass(frozen=True)
class Minimal:
    """An individual near its defaults, and what a model expects of it; costs are in units of the study's value.

    Attributes:
        params: A value for every parameter.
        kept: Parameters that differ from their default, with the expected cost of returning each, the dearest first.
        returned: Parameters that went back, in this order, with the expected cost of all returned so far.
        cost: Expected cost of all that were returned: how much worse than the start; below 0 where it is better.
        uncertainty: Standard deviation of that cost under the model.
    """

    params: Mapping[str, Any]
    kept: Mapping[str, float]
    returned: Mapping[str, float]
    cost: float
    uncertainty: float


def minimal(study: Study, start: Mapping[str, Any], defaults: Mapping[str, Any], allowance: float) -> Minimal:
    """Return an individual to its defaults, parameter by parameter, for as long as that is expected to cost little.

    The next one is always the one whose return costs the least in all, under a model like the adaptive mode's; it ends
    before the expected cost exceeds ``allowance``. A model knows nothing of interactions that no trial has shown: the
    result is a new individual, so measure it before you trust it.

    Args:
        study: A study with one objective.
        start: The individual to begin with, the best one say; a value for every parameter of the study.
        defaults: Where parameters go back to. One without a default stays as it is.
        allowance: The greatest expected cost, in units of the study's value: the noise, say.

    Raises:
        ValueError: If fewer than 12 trials that are no crashes are complete, a parameter has no value in ``start``, or
            the allowance is not a number of at least 0.
    """
    if not allowance >= 0:
        raise ValueError(f"`allowance` must be at least 0, got {allowance}.")
    view = view_of(study)
    model = None if view is None else model_of(view, _as_deep_again(view, dict(start) | dict(defaults)))
    if view is None or model is None:
        raise ValueError(
            f"study {study.study_name!r} has fewer than 12 complete trials; a model needs as many."
        )
    cube = view.cube
    if lacking := [name for name in cube.genes.distributions if name not in start]:
        raise ValueError(f"`start` has no value for {lacking[0]!r}.")

    def costs(individuals: list[dict[str, Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return expected costs (n,) against the start, and their standard deviations (n,)."""
        vectors = np.array([cube.genes.encode(one) for one in (dict(start), *individuals)])
        mean, covariance = model.process.posterior(cube.features(cube.scale(vectors)))
        own = np.diag(covariance)
        variance = own[0] + own[1:] - 2 * covariance[0, 1:]
        return (mean[0] - mean[1:]) * model.unit, np.sqrt(np.maximum(variance, 0.0)) * model.unit

    current, cost, uncertainty = {name: start[name] for name in cube.genes.distributions}, 0.0, 0.0
    away = [name for name in current if name in defaults and defaults[name] != current[name]]
    returned: dict[str, float] = {}
    while True:
        expected, deviations = costs([current | {name: defaults[name]} for name in away] or [current])
        cheapest = int(np.argmin(expected))
        if not away or expected[cheapest] > allowance:
            break
        cost, uncertainty = float(expected[cheapest]), float(deviations[cheapest])
        name = away.pop(cheapest)
        current[name] = defaults[name]
        returned[name] = cost
    more = {name: float(one) - cost for name, one in zip(away, expected, strict=False)}
    kept = dict(sorted(more.items(), key=lambda item: -item[1]))
    return Minimal(current, kept, returned, cost, uncertainty)


def _as_deep_again(view: View, target: Mapping[str, Any]) -> float:
    """Return a fitness as far below that of the trial nearest to ``target`` as that is below the best.

    All the way from the start to the defaults has to be in the model, and the defaults may lie so far below the best
    that they look like a crash: a model without them expects hardly any cost on the way.
    """
    cube, evidence = view.cube, view.evidence
    if not cube.genes.distributions.keys() <= target.keys():
        return np.inf
    there = cube.features(cube.scale(cube.genes.encode(target)[np.newaxis]))
    fitness = evidence.fitness[evidence.eligible]
    distance = np.sum((cube.features(evidence.points[evidence.eligible]) - there) ** 2, axis=1)
    nearest = float(fitness[np.argmin(np.where(np.isfinite(fitness), distance, np.inf))])
    return 2 * nearest - float(fitness.max())
