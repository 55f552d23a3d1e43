"""The adaptive strategy: offspring of the best individuals, screened by a Gaussian process.

As soon as a few trials have finished, a Gaussian process in the unit cube says what is expected of an individual. The
strategy makes many offspring and proposes the one that is best in one joint draw from the process's posterior (Thompson
sampling): likely improvements win often, and doubtful ones sometimes, so the search stays diverse. A lucky measurement
does not fool it for long, since individuals are ranked by the posterior mean.

Trials with an even number take mutants, those with an odd one neighbours. A mutant starts from the mean of nine
parents, drawn by rank from the best of the recent trials, and its genes take Gaussian steps, which shrink as trials
accumulate and grow along genes that the fitness does not feel. A neighbour lies in a box around the best individual,
whose sides are proportional to the process's length scales (as in TuRBO, Eriksson et al., arXiv:1910.01739). A gene
still at its default is dormant: it stays so in an offspring as often as in the parents, and few dormant genes wake at a
time, so that those without merit do not drift.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._cube import Cube
from ._evidence import Evidence
from ._mutation import (
    backcross,
    dormant,
    elongation,
    inherit,
    jump_some,
    moves,
    rank_weights,
    relief,
    strangers,
    surround,
)
from ._offspring import Offspring
from ._surrogate import GaussianProcess, Hyperparameters, fit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from ._genes import Genes
    from ._history import History

_N_BEFORE_MODEL = 6  # finished trials before the model speaks
_FIT_STEPS = 15, 5  # of Adam: in young studies, and in later ones
_FIT_EVERY = 4, 20  # trials between two fits, likewise
_FIT_LATER = 100  # finished trials
_N_RECENT = 45  # parents come from this many newest trials: an old lucky result must go
_N_ELITE = 15  # of them the best may be parents
_N_PICKS = 9  # parents averaged in one mutant
_N_MUTANTS = 50
_REACH = 0.2  # of a neighbour, along a gene whose length scale is the geometric mean of all
_SIGMA, _SIGMA_TRIALS, _SIGMA_POWER = 0.17, 100.0, 0.7  # σ(n) = σ / (1 + n / trials)^power


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
        return genes.settle(values)

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
        cube, default = Cube.of(genes), self._default(genes)
        evidence = Evidence.of(history, cube, number)
        if together:  # a gene alone has nothing else to change
            evidence = replace(evidence, ancestor=cube.scale(default))
        if not together or len(evidence.numbers) < _N_BEFORE_MODEL:
            return offspring_of(evidence, cube, gains, None, rng, default=default)
        kernel, fitted = last_kernel(history, cube), None
        late = int(evidence.n_total >= _FIT_LATER)
        # By the trial's number: of trials in flight, each of which knows no other's fit, only some fit.
        if kernel is None or number % _FIT_EVERY[late] == 0:
            kernel = fit_kernel(kernel, evidence, cube, steps=_FIT_STEPS[late])
            fitted = (evidence.n_total, kernel.to_array().tolist())
        brood = offspring_of(evidence, cube, gains, kernel, rng, default=default, near=number % 2 == 1)
        return (one._replace(fitted=fitted) for one in brood)

    def mutants(
        self,
        individual: NDArray[np.float64],
        genes: Genes,
        gains: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> Iterator[Offspring]:
        """Yield mutants of one individual (genes,)."""
        cube, default = Cube.of(genes), self._default(genes)
        evidence = replace(Evidence.lone(individual, cube), ancestor=cube.scale(default))
        return offspring_of(evidence, cube, gains, None, rng, default=default)

    def _default(self, genes: Genes) -> NDArray[np.float64]:
        """Return the defaults (genes,) as an individual, NaN for genes without one."""
        known = np.array([name in self._defaults for name in genes.distributions])
        values = [
            distribution.to_internal_repr(self._defaults[name]) if name in self._defaults else low
            for (name, distribution), low in zip(genes.distributions.items(), genes.low, strict=True)
        ]
        return np.where(known, self.individual(np.array(values, dtype=float), genes), np.nan)


def offspring_of(
    evidence: Evidence,
    cube: Cube,
    gains: NDArray[np.float64],
    kernel: Hyperparameters | None,
    rng: np.random.Generator,
    *,
    default: NDArray[np.float64] | None = None,
    near: bool = False,
) -> Iterator[Offspring]:
    """Yield offspring of the finished individuals, the most promising first.

    Args:
        evidence: At least one finished individual.
        cube: The space.
        gains: Scale of each gene's steps (genes,); 0 freezes it.
        kernel: Of the model, or None while there are too few trials for one.
        rng: Source of all randomness.
        default: The individual (genes,) whose point in the cube is the evidence's ancestor: its digits.
        near: Neighbours of the best individual, where there is a model, instead of mutants.
    """
    process = None if kernel is None else posterior(evidence, cube, kernel)
    merit = evidence.fitness if process is None else process.fitted[: len(evidence.points)]
    frozen = gains == 0
    whole = cube.genes.categorical | frozen  # genes that have no mean or must not move
    ancestor = np.where(frozen, np.nan, evidence.ancestor)
    sigma = _SIGMA / (1 + evidence.n_total / _SIGMA_TRIALS) ** _SIGMA_POWER
    scale = np.where(frozen, 0.0, sigma * np.sqrt(gains))  # a range already tells big steps from small ones
    if near and kernel is not None:
        reach = np.where(whole, 0.0, _REACH * np.sqrt(gains) * elongation(kernel, cube, ~whole))
        picks, base, moved = _neighbours(evidence, merit, reach, ancestor, rng)
    else:
        reach = np.where(whole, 0.0, scale * relief(kernel, cube, ~whole))
        picks, base, moved = _mutants(evidence, merit, reach, whole, ancestor, rng)
    moved = jump_some(moved, cube, np.minimum(scale, 1.0), rng)
    vectors = cube.unscale(moved, np.where(whole, 0.5, rng.random(moved.shape)))
    inherited = cube.genes.settle(evidence.vectors[picks[:, 0]])
    vectors = np.where(frozen, inherited, vectors)  # no digit of a frozen gene is rounded
    order = np.arange(len(vectors))
    if process is not None:
        promise = process.draw(cube.features(cube.scale(vectors)), rng.standard_normal(len(vectors)))
        order = np.argsort(-promise, kind="stable")

    def made(i: int, vector: NDArray[np.float64], point: NDArray[np.float64]) -> Offspring:
        parents = tuple(evidence.numbers[parent] for parent in np.unique(picks[i]) if evidence.numbers)
        if default is not None:  # nor one of a gene at its default
            step = cube.genes.step
            beside = (step > 0) & (np.abs(vector - default) >= step / 2)  # another value of a fine grid
            vector = np.where(dormant(cube.scale(vector), ancestor) & ~beside, default, vector)
        return Offspring(vector, parents, steps=np.where(whole, 0.0, point - base[i]))

    for i in order.tolist():
        yield made(i, vectors[i], moved[i])
    first = int(order[0])
    for stranger in strangers(vectors[first], cube, frozen, rng):
        yield made(first, stranger, cube.scale(stranger))


class _Brood(NamedTuple):
    picks: NDArray[np.int64]  # (n, parents) of each offspring, in the evidence
    base: NDArray[np.float64]  # (n, genes) in the cube, before it moved
    moved: NDArray[np.float64]  # (n, genes)


def _mutants(
    evidence: Evidence,
    merit: NDArray[np.float64],  # (n,) of the finished individuals
    step: NDArray[np.float64],  # (genes,) greatest standard deviation, 0 where a gene does not move
    whole: NDArray[np.bool_],
    ancestor: NDArray[np.float64],
    rng: np.random.Generator,
) -> _Brood:
    recent = evidence.eligible[-_N_RECENT:]
    elite = recent[np.argsort(-merit[recent], kind="stable")][: min(_N_ELITE, (len(recent) + 1) // 2)]
    picks = elite[rng.choice(len(elite), (_N_MUTANTS, _N_PICKS), p=rank_weights(len(elite)))]
    mean = inherit(evidence.points[picks], ancestor, rng)
    base = backcross(np.where(whole, evidence.points[picks[:, 0]], mean), ancestor, rng)
    steps = step * rng.uniform(0.5, 1.0, (_N_MUTANTS, 1))
    steps = steps * moves(dormant(base, ancestor), rng) * rng.standard_normal(base.shape)
    return _Brood(picks, base, np.where(whole, base, np.clip(base + steps, 0.0, 1.0)))


def _neighbours(
    evidence: Evidence,
    merit: NDArray[np.float64],  # (n,) of the finished individuals
    reach: NDArray[np.float64],  # (genes,) 0 where a gene does not move
    ancestor: NDArray[np.float64],
    rng: np.random.Generator,
) -> _Brood:
    best = evidence.eligible[np.argmax(merit[evidence.eligible])]
    centre = evidence.points[best]
    moved = surround(centre, reach, dormant(centre, ancestor), rng)
    return _Brood(np.full((len(moved), 1), best), np.broadcast_to(centre, moved.shape), moved)


def last_kernel(history: History, cube: Cube) -> Hyperparameters | None:
    """Return the hyperparameters that the newest trial with a fit recorded, if they suit the space."""
    parameters = history.fitted.parameters if history.fitted else []
    kernel = Hyperparameters.from_array(np.array(parameters)) if parameters else None
    return kernel if kernel and len(kernel.length_scales) == cube.n_features else None


def fit_kernel(
    start: Hyperparameters | None, evidence: Evidence, cube: Cube, *, steps: int
) -> Hyperparameters:
    """Return hyperparameters improved from a start (None: the prior) on all evidence, as a trial records them."""
    start = start or Hyperparameters.prior(cube.n_features)
    return fit(start, *evidence.features(cube, start), steps=steps).rounded()


def posterior(evidence: Evidence, cube: Cube, kernel: Hyperparameters) -> GaussianProcess:
    """Return the posterior given all measurements, and the running individuals at what is expected of them."""
    features, y = evidence.features(cube, kernel)
    process = GaussianProcess(kernel, features, y)
    if len(evidence.running) == 0:
        return process
    running = cube.features(evidence.running)
    return GaussianProcess(
        kernel, np.concatenate([features, running]), np.concatenate([y, process.mean(running)])
    )
