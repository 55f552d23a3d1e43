"""The adaptive strategy's operators on individuals in the cube: inheritance, backcrossing, steps, jumps, neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._genetics import jump

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._cube import Cube
    from ._surrogate import Hyperparameters

_DORMANT = 1e-4  # a gene as near to its default as this, in the cube, is dormant
_MUTATION_PROB = 0.8  # of a dormant gene: between 0 and this, one number per mutant
_BACKCROSS = 0.3  # greatest probability that a gene returns to the ancestor's value, in half of the mutants
_N_NEIGHBOURS = 200
_N_STRANGERS = 1000


def rank_weights(n: int) -> NDArray[np.float64]:
    """Return weights (n,) of individuals from best to worst, proportional to ``log(n + 1/2) − log(rank)``."""
    weights = np.log(n + 0.5) - np.log(np.arange(1, n + 1))
    return np.asarray(weights / weights.sum())


def elongation(kernel: Hyperparameters, cube: Cube, movable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return each gene's length scale (genes,) relative to the geometric mean of those that are movable."""
    log_scales = kernel.length_scales[cube.columns()]
    return (
        np.asarray(np.exp(log_scales - log_scales[movable].mean()))
        if movable.any()
        else np.ones(len(movable))
    )


def relief(kernel: Hyperparameters | None, cube: Cube, movable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return each gene's relative step (genes,), greater where the model's length scale is; mean square 1."""
    if kernel is None or not movable.any():
        return np.ones(len(movable))
    steps = np.sqrt(elongation(kernel, cube, movable)).clip(0.2, 4.0)
    return np.asarray(steps / np.sqrt(np.mean(steps[movable] ** 2)))


def dormant(points: NDArray[np.float64], ancestor: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which genes (…, genes) are at the ancestor's value (genes,), NaN where it has none."""
    return np.asarray(np.abs(points - ancestor) < _DORMANT)


def moves(asleep: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw which genes (n, genes) of mutants move; of those asleep many in some mutants and few in others."""
    wakes = rng.uniform(0.0, _MUTATION_PROB, (len(asleep), 1))
    return np.asarray(rng.random(asleep.shape) < np.where(asleep, wakes, _MUTATION_PROB))


def surround(
    centre: NDArray[np.float64],
    reach: NDArray[np.float64],
    asleep: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return neighbours (n, genes) of an individual (genes,): what moves is anywhere within its reach (genes,)."""
    shape = _N_NEIGHBOURS, len(centre)
    low, high = np.clip(centre - reach, 0.0, 1.0), np.clip(centre + reach, 0.0, 1.0)
    points = low + (high - low) * rng.random(shape)
    return np.where(moves(np.broadcast_to(asleep, shape), rng) & (reach > 0), points, centre)


def inherit(
    parents: NDArray[np.float64], ancestor: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the mean individuals (n, genes) of parents (n, parents, genes), gene by gene dormant or not.

    A plain mean wakes a gene as soon as one parent has moved it. Here it is at the ancestor's value with the share of
    the parents where it is, and else at the mean of the others; NaN in the ancestor (genes,) is never dormant.
    """
    asleep = dormant(parents, ancestor)
    share = asleep.mean(axis=1)
    moved = np.where(asleep, 0.0, parents).sum(axis=1) / np.maximum((~asleep).sum(axis=1), 1)
    return np.where(rng.random(share.shape) < share, ancestor, moved)


def backcross(
    base: NDArray[np.float64], ancestor: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return some genes of half of the individuals (n, genes) to the ancestor's values (genes,), unless NaN.

    Genes that the fitness does not feel drift away from their defaults, which were chosen for a reason. What drifted
    returns this way; what moved to advantage is kept by the model's choice.
    """
    n = len(base)
    share = _BACKCROSS * rng.random((n, 1)) * (rng.random((n, 1)) < 0.5)
    returns = (rng.random(base.shape) < share) & ~np.isnan(ancestor)
    return np.where(returns, ancestor, base)


def strangers(
    vector: NDArray[np.float64], cube: Cube, frozen: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return random individuals (n, genes), those first that are nearest to one (genes,); frozen genes are its."""
    shape = _N_STRANGERS, len(vector)
    choices = np.where(cube.genes.categorical, cube.genes.high + 1, 1.0)
    points = rng.random(shape) * choices
    points = np.where(cube.genes.categorical, np.floor(points), points)
    vectors = np.where(frozen, vector, cube.unscale(points, rng.random(shape)))
    apart = cube.features(cube.scale(vectors)) - cube.features(cube.scale(vector)[np.newaxis])
    return vectors[np.argsort(np.sum(apart**2, axis=1), kind="stable")]


def jump_some(
    offspring: NDArray[np.float64], cube: Cube, probability: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Move categorical genes of some offspring (n, genes) to another choice."""
    genes = cube.genes
    for gene in np.flatnonzero(genes.categorical):
        n = len(offspring)
        n_choices = np.full(n, genes.high[gene] + 1)
        offspring[:, gene] = jump(offspring[:, gene], n_choices, np.full(n, probability[gene]), rng)
    return offspring
