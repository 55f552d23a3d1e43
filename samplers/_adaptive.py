"""The adaptive strategy: offspring of averaged parents, screened by a Gaussian process.

An offspring starts from the mean of nine parents, drawn by rank from the best of the recent trials, and its genes take
Gaussian steps in the unit cube. A gene still at its default is dormant: it stays so in an offspring as often as in the
parents, and few dormant genes wake at a time, so that those without merit do not drift. Steps shrink as trials
accumulate and grow along genes that the fitness does not feel. Of many such mutants the strategy proposes the one that
is best in one joint draw from the posterior of a Gaussian process (Thompson sampling): likely improvements win often,
and doubtful ones sometimes, so the search stays diverse. Parents are ranked by the posterior mean, which a lucky
measurement cannot fool for long.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ._cube import Cube
from ._evidence import Evidence
from ._genetics import jump
from ._offspring import Offspring
from ._surrogate import GaussianProcess, Hyperparameters, fit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from ._genes import Genes
    from ._history import History

_N_RECENT = 45  # parents come from this many newest trials: no result reigns for ever
_N_ELITE = 15  # of them the best may be parents
_N_PICKS = 9  # parents averaged in one offspring
_N_MUTANTS = 50  # screened for one offspring
_N_STRANGERS = 1000  # drawn from the whole space when all mutants are known: the nearest new one is proposed
N_BEFORE_MODEL = 12  # trials before the model speaks
_BACKCROSS = 0.3  # greatest probability that a gene returns to the ancestor's value, in half of the mutants
_MUTATION_PROB = 0.8  # of a dormant gene: between 0 and this, one number per offspring
_DORMANT = 1e-4  # a gene as near to its default as this, in the cube, is dormant
_SIGMA, _SIGMA_TRIALS, _SIGMA_POWER = 0.17, 100.0, 0.7  # σ(n) = σ / (1 + n / trials)^power
_RELIEF = 0.5  # power of a gene's length scale in its step
_FIT_STEPS = 5
_FIT_EVERY = (10, 20)  # new trials between two fits: in the first and in the later ones
_FIT_LATER = 150


class AdaptiveStrategy:
    """The adaptive strategy behind the sampler.

    Args:
        defaults: The individual that mutants may return to, gene by gene.
    """

    n_parents = _N_PICKS

    def __init__(self, defaults: Mapping[str, Any]) -> None:
        self._defaults = defaults

    def individual(self, values: NDArray[np.float64], genes: Genes) -> NDArray[np.float64]:
        """Return values (genes,) as an individual: clipped, on the grid."""
        return genes.snap(values)

    def offspring(
        self,
        history: History,
        genes: Genes,
        gains: NDArray[np.float64],
        number: int,
        rng: np.random.Generator,
        *,
        together: bool,
    ) -> Iterator[Offspring]:
        """Yield offspring of the finished trials, the most promising first; a gene alone is mutated without a model."""
        cube = Cube.of(genes)
        evidence = Evidence.of(history, cube, number)
        if together:  # a gene alone has nothing else to change
            evidence = replace(evidence, ancestor=self._ancestor(cube))
        n = len(history.candidates)
        if not together or len(evidence.numbers) < N_BEFORE_MODEL:
            return mutants(evidence, cube, gains, None, rng)
        kernel, fitted = last_kernel(history, cube), None
        n_seen = history.fitted.n_finished if history.fitted else 0
        # A record of more trials than there are came with a trial of another study.
        if kernel is None or n < n_seen or n >= n_seen + _FIT_EVERY[int(n >= _FIT_LATER)]:
            kernel = fit_kernel(kernel, evidence, cube, steps=_FIT_STEPS)
            fitted = (n, kernel.to_array().tolist())
        return (one._replace(fitted=fitted) for one in mutants(evidence, cube, gains, kernel, rng))

    def mutants(
        self,
        individual: NDArray[np.float64],
        genes: Genes,
        gains: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> Iterator[Offspring]:
        """Yield mutants of one individual (genes,)."""
        cube = Cube.of(genes)
        evidence = replace(Evidence.lone(individual, cube), ancestor=self._ancestor(cube))
        return mutants(evidence, cube, gains, None, rng)

    def _ancestor(self, cube: Cube) -> NDArray[np.float64]:
        """Return the defaults (genes,) in the cube and on the grid, NaN for genes without one."""
        genes = cube.genes
        known = np.array([name in self._defaults for name in genes.distributions])
        values = [
            distribution.to_internal_repr(self._defaults[name]) if name in self._defaults else low
            for (name, distribution), low in zip(genes.distributions.items(), genes.low, strict=True)
        ]
        return np.where(known, cube.scale(genes.snap(np.array(values, dtype=float))), np.nan)


def mutants(
    evidence: Evidence,
    cube: Cube,
    gains: NDArray[np.float64],
    kernel: Hyperparameters | None,
    rng: np.random.Generator,
) -> Iterator[Offspring]:
    """Yield offspring of the finished individuals, the most promising first.

    Args:
        evidence: At least one finished individual.
        cube: The space.
        gains: Scale of each gene's steps (genes,); 0 freezes it.
        kernel: Of the model, or None while there are too few trials for one.
        rng: Source of all randomness.
    """
    points, n = evidence.points, len(evidence.points)
    process = None if kernel is None else posterior(evidence, cube, kernel)
    merit = evidence.fitness if process is None else process.fitted[:n]
    recent = evidence.eligible[-_N_RECENT:]
    elite = recent[np.argsort(-merit[recent], kind="stable")][: min(_N_ELITE, (len(recent) + 1) // 2)]
    picks = elite[rng.choice(len(elite), (_N_MUTANTS, _N_PICKS), p=rank_weights(len(elite)))]
    frozen = gains == 0
    sigma = _SIGMA / (1 + evidence.n_total / _SIGMA_TRIALS) ** _SIGMA_POWER
    whole = cube.genes.categorical | frozen  # genes that have no mean or must not move
    ancestor = np.where(frozen, np.nan, evidence.ancestor)
    base = np.where(whole, points[picks[:, 0]], _inherit(points[picks], ancestor, rng))
    base = _backcross(base, ancestor, rng)
    dormant = np.abs(base - ancestor) < _DORMANT
    mutates = np.where(dormant, rng.uniform(0.0, _MUTATION_PROB, (_N_MUTANTS, 1)), _MUTATION_PROB)
    scale = sigma * np.sqrt(gains)  # a range already tells big steps from small ones
    steps = scale * _relief(kernel, cube, ~whole) * _shared_normal(mutates, rng)
    moved = np.clip(base + np.where(whole, 0.0, steps), 0.0, np.where(cube.genes.categorical, np.inf, 1.0))
    moved = _jump(moved, cube, np.minimum(scale, 1.0), rng)
    vectors = cube.unscale(moved, np.where(whole, 0.5, rng.random(base.shape)))
    inherited = cube.genes.snap(evidence.vectors[picks[:, 0]])
    vectors = np.where(frozen, inherited, vectors)  # no digit of a frozen gene is rounded
    order = np.arange(_N_MUTANTS)
    if process is not None:
        promise = process.draw(cube.features(cube.scale(vectors)), rng.standard_normal(_N_MUTANTS))
        order = np.argsort(-promise, kind="stable")

    def made(i: int, vector: NDArray[np.float64], point: NDArray[np.float64]) -> Offspring:
        parents = tuple(evidence.numbers[parent] for parent in np.unique(picks[i]) if evidence.numbers)
        return Offspring(vector, parents, steps=np.where(whole, 0.0, point - base[i]))

    for i in order.tolist():
        yield made(i, vectors[i], moved[i])
    first = int(order[0])
    for stranger in _strangers(vectors[first], cube, frozen, rng):
        yield made(first, stranger, cube.scale(stranger))


def last_kernel(history: History, cube: Cube) -> Hyperparameters | None:
    """Return the hyperparameters that the newest trial with a fit recorded, if they suit the space."""
    parameters = history.fitted.parameters if history.fitted else []
    kernel = Hyperparameters.from_array(np.array(parameters)) if parameters else None
    return kernel if kernel and len(kernel.length_scales) == cube.n_features else None


def fit_kernel(
    start: Hyperparameters | None, evidence: Evidence, cube: Cube, *, steps: int
) -> Hyperparameters:
    """Return hyperparameters improved from a start (None: the prior) on all evidence, as a trial records them."""
    points, y = evidence.measurements()
    return fit(
        start or Hyperparameters.prior(cube.n_features), cube.features(points), y, steps=steps
    ).rounded()


def rank_weights(n: int) -> NDArray[np.float64]:
    """Return weights (n,) of individuals from best to worst, proportional to ``log(n + 1/2) − log(rank)``."""
    weights = np.log(n + 0.5) - np.log(np.arange(1, n + 1))
    return np.asarray(weights / weights.sum())


def posterior(evidence: Evidence, cube: Cube, kernel: Hyperparameters) -> GaussianProcess:
    """Return the posterior given all measurements, and the running individuals at what is expected of them."""
    points, y = evidence.measurements()
    features = cube.features(points)
    process = GaussianProcess(kernel, features, y)
    if len(evidence.running) == 0:
        return process
    running = cube.features(evidence.running)
    return GaussianProcess(
        kernel, np.concatenate([features, running]), np.concatenate([y, process.mean(running)])
    )


def _relief(kernel: Hyperparameters | None, cube: Cube, movable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return each gene's relative step (genes,), greater where the model's length scale is; mean square 1."""
    if kernel is None or not movable.any():
        return np.ones(len(movable))
    log_scales = kernel.length_scales[cube.columns()]
    relief = np.exp(_RELIEF * (log_scales - log_scales[movable].mean())).clip(0.2, 4.0)
    return np.asarray(relief / np.sqrt(np.mean(relief[movable] ** 2)))


def _inherit(
    parents: NDArray[np.float64], ancestor: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the mean individuals (n, genes) of parents (n, parents, genes), gene by gene dormant or not.

    A plain mean wakes a gene as soon as one parent has moved it. Here it is at the ancestor's value with the share of
    the parents where it is, and else at the mean of the others; NaN in the ancestor (genes,) is never dormant.
    """
    dormant = np.abs(parents - ancestor) < _DORMANT
    share = dormant.mean(axis=1)
    moved = np.where(dormant, 0.0, parents).sum(axis=1) / np.maximum((~dormant).sum(axis=1), 1)
    return np.where(rng.random(share.shape) < share, ancestor, moved)


def _backcross(
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


def _shared_normal(probability: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return normal numbers (offspring, genes), each kept with its probability, scaled by one each in [1/2, 1]."""
    mutates = rng.random(probability.shape) < probability
    shared = rng.uniform(0.5, 1.0, (len(probability), 1))
    return np.asarray(mutates * rng.standard_normal(probability.shape) * shared)


def _strangers(
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


def _jump(
    offspring: NDArray[np.float64], cube: Cube, probability: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Move categorical genes of some offspring (n, genes) to another choice."""
    genes = cube.genes
    for gene in np.flatnonzero(genes.categorical):
        n = len(offspring)
        n_choices = np.full(n, genes.high[gene] + 1)
        offspring[:, gene] = jump(offspring[:, gene], n_choices, np.full(n, probability[gene]), rng)
    return offspring
