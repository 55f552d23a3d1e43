"""Genes: an Optuna search space as arrays, and individuals as vectors of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution

_SAME = 1e-8  # of a step: Optuna allows a value that is as near to one


@dataclass(frozen=True)
class Genes:
    """The genes of one search space, in its order.

    Attributes:
        distributions: Name to distribution.
        low: Lower bounds (genes,); 0 for a categorical gene, whose value is the index of its choice.
        high: Upper bounds (genes,), inclusive.
        step: Distance of allowed values (genes,); 0 where every value is allowed.
        categorical: Which genes are categorical (genes,).
    """

    distributions: Mapping[str, BaseDistribution]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    step: NDArray[np.float64]
    categorical: NDArray[np.bool_]

    @classmethod
    def of(cls, search_space: Mapping[str, BaseDistribution]) -> Genes:
        """Describe a search space of float, int and categorical distributions."""
        low, high, step = np.array([_bounds(d) for d in search_space.values()]).reshape(-1, 3).T
        categorical = [isinstance(d, CategoricalDistribution) for d in search_space.values()]
        return cls(search_space, low, high, step, np.array(categorical, dtype=bool))

    def encode(self, params: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return parameter values as a vector (genes,)."""
        return np.array(
            [d.to_internal_repr(params[name]) for name, d in self.distributions.items()], dtype=float
        )

    def snap(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move a vector (genes,) to the nearest allowed values."""
        inside = np.clip(vector, self.low, self.high)
        step = np.where(self.step > 0, self.step, 1.0)
        grid = self.low + np.round((inside - self.low) / step) * step
        return np.where(self.step > 0, np.minimum(grid, self.high), inside)

    def settle(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Snap a vector (genes,), but leave what is allowed as it is: 0.3 between steps of 0.1 stays 0.3."""
        inside, snapped = np.clip(vector, self.low, self.high), self.snap(vector)
        allowed = np.abs(snapped - inside) <= _SAME * self.step
        return np.where(allowed & (self.step % 1 != 0), inside, snapped)  # whole steps have exact values

    def decode(self, vector: NDArray[np.float64]) -> dict[str, Any]:
        """Return a snapped vector (genes,) as parameter values, in Python types."""
        return {
            name: distribution.to_external_repr(value)
            for (name, distribution), value in zip(self.distributions.items(), vector.tolist(), strict=True)
        }


def _bounds(distribution: BaseDistribution) -> tuple[float, float, float]:
    """Return (low, high, step) of a distribution's values as numbers."""
    if isinstance(distribution, CategoricalDistribution):
        return 0.0, len(distribution.choices) - 1.0, 1.0
    if isinstance(distribution, IntDistribution):
        return distribution.low, distribution.high, distribution.step
    if isinstance(distribution, FloatDistribution):
        return distribution.low, distribution.high, distribution.step or 0.0
    message = f"expected a float, int or categorical distribution, got {distribution!r}"
    raise ValueError(message)
