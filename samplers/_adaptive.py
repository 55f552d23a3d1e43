"""The adaptive strategy: mutants of the best individuals, screened by a Gaussian process.

As soon as a few trials have finished, a Gaussian process in the unit cube says what is expected of an individual. The
strategy makes mutants and proposes the one that is best in one joint draw from the process's posterior (Thompson
sampling): likely improvements win often, and doubtful ones sometimes, so the search stays diverse. A lucky measurement
does not fool it for long, since individuals are ranked by the posterior mean.

A mutant starts from the mean of nine parents, drawn by rank from the best of the recent trials, and its genes take
Gaussian steps, which shrink as trials accumulate and grow along genes that the fitness does not feel. A gene still at
its default is dormant: it stays so in an offspring as often as in the parents, and few dormant genes wake at a time, so
that those without merit do not drift.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ._cube import Cube
from ._evidence import Evidence
from ._mutation import backcross, dormant, inherit, jump_some, moves, rank_weights, relief, strangers
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
        if not together or len(evidence.numbers) < _N_BEFORE_MODEL:
            return mutants(evidence, cube, gains, None, rng)
        kernel, fitted = last_kernel(history, cube), None
        late = int(evidence.n_total >= _FIT_LATER)
        # By the trial's number: of trials in flight, each of which knows no other's fit, only some fit.
        if kernel is None or number % _FIT_EVERY[late] == 0:
            kernel = fit_kernel(kernel, evidence, cube, steps=_FIT_STEPS[late])
            fitted = (evidence.n_total, kernel.to_array().tolist())
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
    process = None if kernel is None else posterior(evidence, cube, kernel)
    merit = evidence.fitness if process is None else process.fitted[: len(evidence.points)]
    frozen = gains == 0
    whole = cube.genes.categorical | frozen  # genes that have no mean or must not move
    sigma = _SIGMA / (1 + evidence.n_total / _SIGMA_TRIALS) ** _SIGMA_POWER
    scale = np.where(frozen, 0.0, sigma * np.sqrt(gains))  # a range already tells big steps from small ones
    ancestor = np.where(frozen, np.nan, evidence.ancestor)
    recent = evidence.eligible[-_N_RECENT:]
    elite = recent[np.argsort(-merit[recent], kind="stable")][: min(_N_ELITE, (len(recent) + 1) // 2)]
    picks = elite[rng.choice(len(elite), (_N_MUTANTS, _N_PICKS), p=rank_weights(len(elite)))]
    mean = inherit(evidence.points[picks], ancestor, rng)
    base = backcross(np.where(whole, evidence.points[picks[:, 0]], mean), ancestor, rng)
    steps = scale * relief(kernel, cube, ~whole) * rng.uniform(0.5, 1.0, (_N_MUTANTS, 1))
    steps = steps * moves(dormant(base, ancestor), rng) * rng.standard_normal(base.shape)
    moved = np.clip(base + np.where(whole, 0.0, steps), 0.0, np.where(cube.genes.categorical, np.inf, 1.0))
    moved = jump_some(moved, cube, np.minimum(scale, 1.0), rng)
    vectors = cube.unscale(moved, np.where(whole, 0.5, rng.random(base.shape)))
    inherited = cube.genes.snap(evidence.vectors[picks[:, 0]])
    vectors = np.where(frozen, inherited, vectors)  # no digit of a frozen gene is rounded
    order = np.arange(len(vectors))
    if process is not None:
        promise = process.draw(cube.features(cube.scale(vectors)), rng.standard_normal(len(vectors)))
        order = np.argsort(-promise, kind="stable")

    def made(i: int, vector: NDArray[np.float64], point: NDArray[np.float64]) -> Offspring:
        parents = tuple(evidence.numbers[parent] for parent in np.unique(picks[i]) if evidence.numbers)
        return Offspring(vector, parents, steps=np.where(whole, 0.0, point - base[i]))

    for i in order.tolist():
        yield made(i, vectors[i], moved[i])
    first = int(order[0])
    for stranger in strangers(vectors[first], cube, frozen, rng):
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
