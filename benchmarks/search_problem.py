"""What `search_quality.py` searches, and what a search leaves: problems, instances of suites, and runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from optuna.distributions import IntDistribution

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from optuna.distributions import FloatDistribution

    Measure = Callable[[NDArray[np.float64]], float]  # a point of the unit cube (d,) -> fitness
    Method = Callable[["Problem", int, int], "Run"]  # problem, number of trials, seed


@dataclass(frozen=True)
class Problem:
    """Something to search.

    Attributes:
        space: Name to distribution.
        start: The default individual in the unit cube (d,).
        measure: Noisy fitness of a point of the cube, higher is better.
        gains: Mutation scales, for the methods that know them.
    """

    space: Mapping[str, FloatDistribution | IntDistribution]
    start: NDArray[np.float64]
    measure: Measure
    gains: Mapping[str, float]

    def params(self, point: NDArray[np.float64]) -> dict[str, float]:
        """Return a point of the cube as parameter values."""
        params = {}
        for (name, d), u in zip(self.space.items(), point.tolist(), strict=True):
            value = d.low * (d.high / d.low) ** u if d.log else d.low + u * (d.high - d.low)
            inside = min(max(value, d.low), d.high)
            params[name] = round(inside) if isinstance(d, IntDistribution) else inside
        return params

    def point(self, params: Mapping[str, float]) -> NDArray[np.float64]:
        """Return parameter values as a point of the cube (d,)."""
        point = []
        for name, d in self.space.items():
            low, high, value = (np.log(v) if d.log else v for v in (d.low, d.high, params[name]))
            point.append((value - low) / (high - low))
        return np.array(point)


@dataclass(frozen=True)
class Instance:
    """One problem, whose measurements depend on a seed and whose score does not."""

    name: str
    problem: Callable[[int], Problem]
    score: Callable[[NDArray[np.float64]], float]  # of a point of the unit cube, lower is better


@dataclass(frozen=True)
class Run:
    """A finished search: points (n, d), fitness (n,), and for our sampler its recommendations by number of trials."""

    points: NDArray[np.float64]
    fitness: NDArray[np.float64]
    recommended: Mapping[int, NDArray[np.float64]]


def local_start(start: NDArray[np.float64], n: int, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Return the default (d,) and ``n`` − 1 points around it, N(0, 0.1) in the unit cube."""
    around = np.clip(start + 0.1 * rng.standard_normal((n - 1, start.size)), 0, 1)
    return [start, *around]
