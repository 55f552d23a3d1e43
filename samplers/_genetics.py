"""The classic evolution operator on arrays: who becomes a parent, how an offspring differs from it.

The behaviour is that of YOLOv5 release 7.0: one parent of the few best, drawn in proportion to its fitness,
and a multiplicative Gaussian mutation whose size is shared by all genes of an offspring. Nothing here knows
Optuna. A generator is any object with ``random`` and ``standard_normal``: ``numpy.random.Generator`` or, to
replay a recording, ``numpy.random.RandomState``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HUGE = 1e100  # greatest fitness that is taken as it is
_MIN_WEIGHT = 1e-6  # keeps the worst parent possible, and a lone parent's weight positive
_MAX_REDRAWS = 1000  # an unchanged offspring is redrawn; a mutation this improbable stays unchanged


class RandomSource(Protocol):
    """What the operator needs of a random generator."""

    def random(self, size: Any = None, /) -> Any:
        """Draw uniform numbers in [0, 1)."""

    def standard_normal(self, size: Any = None, /) -> Any:
        """Draw standard normal numbers."""


def divisor(fitness: NDArray[np.float64]) -> float:
    """Return what finite fitness (n,) is to be divided by, so that squares and weighted sums of it stay finite."""
    return max(1.0, float(np.abs(fitness).max()) / _HUGE)


def parent_weights(fitness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights ``f − min(f) + 1e-6`` of parents with fitness ``f`` (n,), higher is better.

    Infinite fitness counts as the best (or worst) finite one, so that weights stay finite.
    """
    finite = fitness[np.isfinite(fitness)]
    bounds = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    clipped = np.clip(fitness, *bounds)
    clipped = clipped / divisor(clipped)
    return np.asarray(clipped - clipped.min() + _MIN_WEIGHT)


def draw_parent(weights: NDArray[np.float64], rng: RandomSource) -> int:
    """Draw one index with probability proportional to ``weights`` (n,), from one uniform number."""
    cumulative = np.cumsum(weights)
    drawn = np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
    return min(int(drawn), len(weights) - 1)


def mean_parent(
    parents: NDArray[np.float64],  # (n, genes)
    weights: NDArray[np.float64],  # (n,)
    categorical: NDArray[np.bool_],  # (genes,)
) -> NDArray[np.float64]:
    """Return the weighted mean of all parents, for categorical genes the choice of the greatest weight."""
    mean = np.asarray(weights @ parents / weights.sum())
    for gene in np.flatnonzero(categorical):
        votes = np.bincount(parents[:, gene].astype(np.int64), weights=weights)
        mean[gene] = np.argmax(votes)
    return mean


def mutation_factors(
    gains: NDArray[np.float64],  # (genes,) 0 = frozen
    rng: RandomSource,
    *,
    mutation_prob: float,
    sigma: float,
    clip: tuple[float, float],
) -> NDArray[np.float64]:
    """Draw the factors ``v = clip(gain · B · N · u · sigma + 1)`` (genes,), until one of them differs from 1.

    ``B`` is a Bernoulli(mutation_prob) and ``N`` a standard normal number per gene; ``u`` is one uniform
    number for the whole vector, so that some offspring stay near their parent and others leave it.
    """
    factors = np.ones_like(gains)
    if not np.any(gains):
        return factors
    for _ in range(_MAX_REDRAWS):
        mutates = rng.random(gains.size) < mutation_prob
        steps = gains * mutates * rng.standard_normal(gains.size) * rng.random() * sigma
        factors = np.clip(steps + 1.0, *clip)
        if np.any(factors != 1.0):
            break
    return factors


def multiply(
    parent: NDArray[np.float64],  # (genes,)
    factors: NDArray[np.float64],  # (genes,)
    low: NDArray[np.float64],  # (genes,)
    high: NDArray[np.float64],  # (genes,)
    *,
    decimals: int | None,
) -> NDArray[np.float64]:
    """Return ``parent · factors``, rounded and then clipped: a value rounded last could leave its bounds."""
    offspring = parent * factors
    if decimals is not None:
        offspring = np.round(offspring, decimals)
    return np.clip(offspring, low, high)


def jump(
    choices: NDArray[np.float64],  # (genes,) index of each gene's choice
    n_choices: NDArray[np.float64],  # (genes,)
    probability: NDArray[np.float64],  # (genes,) of leaving the present choice
    rng: RandomSource,
) -> NDArray[np.float64]:
    """Move genes without a scale, the categorical ones, to any other choice with the same chance."""
    leaves = rng.random(choices.size) < probability
    offset = 1 + np.floor(rng.random(choices.size) * (n_choices - 1))
    return np.asarray(np.where(leaves, (choices + offset) % n_choices, choices))
