"""The classic strategy: one offspring from the few best individuals by YOLOv5 release 7.0's operator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._genetics import draw_parent, jump, mean_parent, multiply, mutation_factors, parent_weights
from ._offspring import Offspring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ._genes import Genes
    from ._genetics import RandomSource
    from ._history import History

_PARENTS = ("single", "weighted")
_N_DRAWS = 100  # of offspring, until one is not known


@dataclass(frozen=True)
class ClassicStrategy:
    """Parent choice and mutation of the classic operator, with its settings.

    See :class:`~samplers.WeightedParentSampler` for the meaning of the attributes.
    """

    parent: str = "single"
    n_parents: int = 5
    mutation_prob: float = 0.8
    sigma: float = 0.2
    clip: tuple[float, float] = (0.3, 3.0)
    decimals: int | None = 5

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

    def individual(self, values: NDArray[np.float64], genes: Genes) -> NDArray[np.float64]:
        """Return values (genes,) as an individual: rounded, clipped, on the grid."""
        unchanged = np.ones_like(values)
        return genes.snap(multiply(values, unchanged, genes.low, genes.high, decimals=self.decimals))

    def offspring(
        self,
        history: History,
        genes: Genes,
        gains: NDArray[np.float64],
        number: int,  # noqa: ARG002  running trials do not matter here
        rng: RandomSource,
        *,
        together: bool,  # noqa: ARG002  nor do other genes
    ) -> Iterator[Offspring]:
        """Yield offspring of the best finished trials."""
        best = history.best(self.n_parents, genes.distributions)
        parents = genes.snap(history.encode(genes, (candidate.trial for candidate in best)))
        fitness = np.array([candidate.fitness for candidate in best])
        numbers = [candidate.number for candidate in best]
        return self._draws(parents, fitness, numbers, genes, gains, rng)

    def mutants(
        self, individual: NDArray[np.float64], genes: Genes, gains: NDArray[np.float64], rng: RandomSource
    ) -> Iterator[Offspring]:
        """Yield mutants of one individual (genes,)."""
        return self._draws(individual[np.newaxis], np.zeros(1), [], genes, gains, rng)

    def _draws(
        self,
        parents: NDArray[np.float64],  # (n, genes), best first
        fitness: NDArray[np.float64],  # (n,)
        numbers: list[int],  # of the parents' trials, or none
        genes: Genes,
        gains: NDArray[np.float64],  # (genes,)
        rng: RandomSource,
    ) -> Iterator[Offspring]:
        weights = parent_weights(fitness)
        numeric = np.where(genes.categorical, 0.0, gains)
        # The expected size of a numeric gene's relative step, spent on leaving the choice.
        leaving = np.where(genes.categorical, gains * self.mutation_prob * self.sigma, 0.0)
        for _ in range(_N_DRAWS):
            if self.parent == "single":
                drawn = draw_parent(weights, rng)
                chosen, origin = tuple(numbers[drawn : drawn + 1]), parents[drawn]
            else:
                chosen, origin = tuple(numbers), mean_parent(parents, weights, genes.categorical)
            factors = mutation_factors(
                numeric, rng, mutation_prob=self.mutation_prob, sigma=self.sigma, clip=self.clip
            )
            offspring = multiply(origin, factors, genes.low, genes.high, decimals=self.decimals)
            if genes.categorical.any():
                n_choices = np.where(genes.categorical, genes.high + 1, 1.0)
                offspring = jump(offspring, n_choices, leaving, rng)
            yield Offspring(genes.snap(offspring), chosen, factors=factors)
