"""Small searches: 2 to 8 genes of a landscape or of the small training, all others at their default.

A slice has a strong gene at least, so that there is something to find. Its regret is 1 at the default and 0 at the
slice's own best point, which each process looks for without noise before it searches: about a second for a landscape,
10 to 40 for a training. A search may find a better one: its regret is then a little below 0.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, cached_property
from itertools import count
from typing import TYPE_CHECKING

import cmaes
import numpy as np
from landscapes import GAINS, MOVABLE, landscape, search_space
from landscapes_training import HYPERPARAMETERS, train
from scipy.optimize import differential_evolution
from search_problem import Instance, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZES = (2, 3, 4, 5, 6, 7, 8)  # genes, in turn
_STRONG_HYPERPARAMETERS = ("lr0", "lrf", "momentum", "batch")  # alone, each gains .2 or more on task 0
_LEAST_GAIN = 0.1, 0.05  # of a slice: landscape (regret), training (fitness); less would drown in the noise
_ROOM = 0.85  # tasks whose default is better than that have nothing to find
_SCORE_SEEDS = range(10_000, 10_020)
_SEARCH_SEEDS = range(20_000, 20_006)


def small(number: int) -> Instance:
    """Return a slice: of a landscape where the number is even, of a training where it is odd."""
    return _training_slice(number) if number % 2 else _landscape_slice(number)


def _landscape_slice(number: int) -> Instance:
    surface = landscape(number)
    strong = np.argsort(-surface.shares())[:3]  # these carry most of the default's regret
    rng = np.random.default_rng([7, number])
    while True:
        genes = _draw(rng, number, len(MOVABLE), strong)

        def regret(point: NDArray[np.float64], genes: NDArray[np.int64] = genes) -> float:
            whole = surface.default.copy()
            whole[genes] = point
            return surface.regret(whole)

        found = differential_evolution(regret, [(0, 1)] * len(genes), rng=0, maxiter=300, tol=1e-8)
        gain = 1.0 - float(found.fun)
        if gain >= _LEAST_GAIN[0]:
            break
    names = [MOVABLE[i] for i in genes]
    space = {name: search_space()[name] for name in names}

    def problem(seed: int) -> Problem:
        noise = np.random.default_rng([number, seed])

        def measure(point: NDArray[np.float64]) -> float:
            return -regret(point) + surface.noise * float(noise.standard_normal())

        return Problem(space, surface.default[genes], measure, {name: GAINS[name] for name in names})

    return Instance(
        f"slice {number} of a landscape, {len(names)} genes",
        problem,
        lambda point: 1 - (1 - regret(point)) / gain,
    )


def _training_slice(number: int) -> Instance:
    def problem(seed: int) -> Problem:
        seeds, found = np.random.default_rng([number, seed]), _found(number)
        return replace(found.problem, measure=lambda point: found.train(point, int(seeds.integers(2**31))))

    def score(point: NDArray[np.float64]) -> float:
        found = _found(number)
        return 1 - (found.fitness(point) - found.at_start) / found.gain

    return Instance(f"slice {number} of a training, {_size(number)} genes", problem, score)


@cache
def _found(number: int) -> _TrainingSlice:
    """Return the first slice with something to find; made when it is searched, since it takes a while."""
    names = list(HYPERPARAMETERS)
    strong = np.array([names.index(name) for name in _STRONG_HYPERPARAMETERS])
    rng = np.random.default_rng([7, number])
    slices = (
        _TrainingSlice(1000 + 100 * number + attempt, _draw(rng, number, len(names), strong))
        for attempt in count()
    )
    return next(one for one in slices if one.at_start < _ROOM and one.gain >= _LEAST_GAIN[1])


class _TrainingSlice:
    """Some genes of one task: their problem without a measurement, the default's fitness and the best one's gain."""

    def __init__(self, task: int, genes: NDArray[np.int64]) -> None:
        self._task = task
        names = list(HYPERPARAMETERS)
        self._defaults = {name: default for name, (_, default) in HYPERPARAMETERS.items()}
        space = {names[i]: HYPERPARAMETERS[names[i]][0] for i in genes}
        plain = Problem(space, np.zeros(len(space)), lambda _: 0.0, {})
        self.problem = replace(plain, start=plain.point(self._defaults))
        self._known: dict[tuple[float, ...], float] = {}
        self.at_start = self.fitness(self.problem.start)

    def train(self, point: NDArray[np.float64], seed: int) -> float:
        """Return the fitness of one training."""
        return train({**self._defaults, **self.problem.params(point)}, seed, self._task)

    def fitness(self, point: NDArray[np.float64]) -> float:
        """Return the mean fitness over seeds that no search uses."""
        values = tuple(self.problem.params(point).values())
        if values not in self._known:
            self._known[values] = float(np.mean([self.train(point, seed) for seed in _SCORE_SEEDS]))
        return self._known[values]

    @cached_property
    def gain(self) -> float:
        """How much better than the default the best point is of those that a search without noise finds."""
        start = self.problem.start
        strategy = cmaes.CMA(
            mean=np.clip(start, 1e-9, 1 - 1e-9),
            sigma=0.25,
            bounds=np.tile([0.0, 1.0], (start.size, 1)),
            seed=1,
        )
        seen: list[tuple[float, NDArray[np.float64]]] = []
        while len(seen) < 100:
            points = [strategy.ask() for _ in range(strategy.population_size)]
            told = [(p, -float(np.mean([self.train(p, seed) for seed in _SEARCH_SEEDS]))) for p in points]
            strategy.tell(told)
            seen += [(loss, point) for point, loss in told]
        best = sorted(seen, key=lambda pair: pair[0])[:5]
        return max(self.fitness(point) for _, point in best) - self.at_start


def _draw(rng: np.random.Generator, number: int, n: int, strong: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which of ``n`` genes are searched: one of the strong ones and others, in their own order."""
    first = int(rng.choice(strong))
    others = rng.permutation([i for i in range(n) if i != first])
    return np.sort([first, *others[: _size(number) - 1]])


def _size(number: int) -> int:
    return SIZES[number // 2 % len(SIZES)]
