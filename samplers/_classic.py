"""The classic strategy: one child from the few best individuals by YOLOv5 release 7.0's operator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._genetics import draw_parent, jump, mean_parent, multiply, mutation_factors, parent_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._genes import Genes
    from ._genetics import RandomSource

_PARENTS = ("single", "weighted")


class Child(NamedTuple):
    """A new individual and how it was made."""

    vector: NDArray[np.float64]  # (genes,) snapped to allowed values
    parents: list[int]  # indices of the parents used
    factors: NDArray[np.float64]  # (genes,) 1 = not mutated


@dataclass(frozen=True)
class ClassicStrategy:
    """Parent choice and mutation of the classic operator, with its settings.

    See :class:`~samplers.WeightedParentSampler` for the meaning of the attributes.
    """

    parent: str
    n_parents: int
    mutation_prob: float
    sigma: float
    clip: tuple[float, float]
    decimals: int | None

    def __post_init__(self) -> None:
        """Check every setting."""
        if self.parent not in _PARENTS:
            raise ValueError(f"`parent` must be one of {_PARENTS}, got {self.parent!r}.")
        if self.n_parents < 1:
            raise ValueError(f"`n_parents` must be at least 1, got {self.n_parents}.")
        if not 0 < self.mutation_prob <= 1:
            raise ValueError(f"`mutation_prob` must be above 0 and at most 1, got {self.mutation_prob}.")
        if not 0 < self.sigma < math.inf:
            raise ValueError(f"`sigma` must be positive and finite, got {self.sigma}.")
        low, high = self.clip
        if not (0 <= low <= 1 <= high < math.inf and low < high):
            raise ValueError(f"`clip` must be two factors around 1, such as (0.3, 3.0), got {self.clip}.")
        if self.decimals is not None and self.decimals < 0:
            raise ValueError(f"`decimals` must be None or at least 0, got {self.decimals}.")

    def child(
        self,
        parents: NDArray[np.float64],  # (n, genes)
        fitness: NDArray[np.float64],  # (n,) higher is better
        genes: Genes,
        gains: NDArray[np.float64],  # (genes,)
        rng: RandomSource,
    ) -> Child:
        """Return a child of the given parents, best first."""
        weights = parent_weights(fitness)
        if self.parent == "single":
            chosen = [draw_parent(weights, rng)]
            origin = parents[chosen[0]]
        else:
            chosen = list(range(len(parents)))
            origin = mean_parent(parents, weights, genes.categorical)
        numeric = np.where(genes.categorical, 0.0, gains)
        factors = mutation_factors(
            numeric, rng, mutation_prob=self.mutation_prob, sigma=self.sigma, clip=self.clip
        )
        child = multiply(origin, factors, genes.low, genes.high, decimals=self.decimals)
        if genes.categorical.any():
            # The expected size of a numeric gene's relative step, spent on leaving the choice.
            leaving = np.where(genes.categorical, gains * self.mutation_prob * self.sigma, 0.0)
            child = jump(child, genes.high + 1, leaving, rng)
        return Child(genes.snap(child), chosen, factors)

    def individual(self, values: NDArray[np.float64], genes: Genes) -> NDArray[np.float64]:
        """Return values (genes,) as an individual: rounded, clipped, on the grid."""
        return genes.snap(
            multiply(values, np.ones_like(values), genes.low, genes.high, decimals=self.decimals)
        )
