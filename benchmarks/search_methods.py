"""Searches without a model of their own: ours and other Optuna samplers, evolution strategies, genetic algorithms.

Every method starts at the same individual and works on the same scaled space; CMA-type peers are ask-and-tell loops of
the ``cmaes`` package, the others are Optuna samplers or short operators written here.
"""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import cmaes
import numpy as np
import optuna
from optuna.distributions import IntDistribution

from samplers import WeightedParentSampler, recommend

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from optuna.distributions import FloatDistribution
    from optuna.samplers import BaseSampler

    Measure = Callable[[NDArray[np.float64]], float]  # a point of the unit cube (d,) -> fitness
    Method = Callable[["Problem", int, int], "Run"]  # problem, number of trials, seed
    # parents (9, d) best first, their weights, the number of trials so far, rng -> offspring (d,)
    MakeOffspring = Callable[
        [NDArray[np.float64], NDArray[np.float64], int, np.random.Generator], NDArray[np.float64]
    ]

_EDGE = 1e-9  # the CMA peers want their start inside the bounds


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
class Run:
    """A finished search: points (n, d), fitness (n,), and for our sampler its recommendations by number of trials."""

    points: NDArray[np.float64]
    fitness: NDArray[np.float64]
    recommended: Mapping[int, NDArray[np.float64]]


def optuna_method(
    sampler: Callable[[Problem, int], BaseSampler], *, slots: int = 1, recommend_at: tuple[int, ...] = ()
) -> Method:
    """Return a method that runs an Optuna sampler, with ``slots`` trials in flight."""

    def run(problem: Problem, n: int, seed: int) -> Run:
        study = optuna.create_study(direction="maximize", sampler=sampler(problem, seed))
        if not isinstance(study.sampler, WeightedParentSampler):
            study.enqueue_trial(problem.params(problem.start))
        running: deque[optuna.Trial] = deque()
        points, fitness, recommended = [], [], {}
        while len(points) < n:
            running.append(study.ask(dict(problem.space)))
            if len(running) < slots:
                continue
            trial = running.popleft()
            points.append(problem.point(trial.params))
            fitness.append(problem.measure(points[-1]))
            study.tell(trial, fitness[-1])
            if len(points) in recommend_at:
                recommended[len(points)] = problem.point(recommend(study))
        return Run(np.array(points), np.array(fitness), recommended)

    return run


def ours(mode: str, *, slots: int = 1, recommend_at: tuple[int, ...] = ()) -> Method:
    """Return a method that runs our sampler."""
    return optuna_method(partial(our_sampler, mode), slots=slots, recommend_at=recommend_at)


def our_sampler(mode: str, problem: Problem, seed: int) -> BaseSampler:
    """Return our sampler as a user would set it up for the problem."""
    return WeightedParentSampler(
        mode=mode,  # type: ignore[arg-type]
        seed=seed,
        defaults=problem.params(problem.start),
        gains=problem.gains,
    )


def evolution_strategy(kind: str, sigma: float) -> Method:
    """Return CMA-ES ("cma"), sep-CMA ("sep-cma") or XNES ("xnes") from the default with a step of ``sigma``."""
    optimizer = {"cma": cmaes.CMA, "sep-cma": cmaes.SepCMA, "xnes": cmaes.XNES}[kind]

    def run(problem: Problem, n: int, seed: int) -> Run:
        start = np.clip(problem.start, _EDGE, 1 - _EDGE)
        bounds = np.tile([0.0, 1.0], (len(start), 1))
        points, fitness = [problem.start], [problem.measure(problem.start)]
        while len(points) < n:
            # The seed 0 would count as none; XNES diverges on some functions and then starts again.
            strategy = optimizer(mean=start, sigma=sigma, bounds=bounds, seed=seed + len(points))
            with contextlib.suppress(AssertionError, np.linalg.LinAlgError), np.errstate(all="ignore"):
                while len(points) < n:
                    _generation(strategy, problem, points, fitness, n)
        return Run(np.array(points), np.array(fitness), {})

    return run


def _generation(
    strategy: cmaes.CMA, problem: Problem, points: list[NDArray[np.float64]], fitness: list[float], n: int
) -> None:
    """Add a generation to points and fitness, up to ``n`` of them; AssertionError or LinAlgError on divergence."""
    told = []
    for _ in range(min(strategy.population_size, n - len(points))):
        point = strategy.ask()
        if not np.all(np.isfinite(point)):
            raise AssertionError("a diverged strategy asks for a point that is no number")
        points.append(point)
        fitness.append(problem.measure(point))
        told.append((point, -fitness[-1]))
    if len(told) == strategy.population_size:
        strategy.tell(told)


def genetic(make_offspring: MakeOffspring) -> Method:
    """Return a GA without generations: each offspring comes from the best 9 individuals so far, weighted by fitness."""

    def run(problem: Problem, n: int, seed: int) -> Run:
        rng = np.random.default_rng(seed)
        points, fitness = [problem.start], [problem.measure(problem.start)]
        while len(points) < n:
            best = np.argsort(-np.array(fitness))[:9]
            lead = np.array(fitness)[best] - np.array(fitness)[best].min() + 1e-6
            offspring = make_offspring(np.array(points)[best], lead / lead.sum(), len(points), rng)
            points.append(np.clip(offspring, 0.0, 1.0))
            fitness.append(problem.measure(points[-1]))
        return Run(np.array(points), np.array(fitness), {})

    return run


def blend(
    parents: NDArray[np.float64], weights: NDArray[np.float64], _: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Cross two parents by BLX-α with α = 0.5 (Eshelman & Schaffer, 1993) and mutate half of the genes."""
    a, b = parents[rng.choice(len(parents), 2, p=weights)]
    offspring = a + (b - a) * rng.uniform(-0.5, 1.5, a.size)
    return offspring + (rng.random(a.size) < 0.5) * 0.1 * rng.standard_normal(a.size)


def elite_gaussian(sigma: float) -> MakeOffspring:
    """Mutate one parent by a Gaussian step of ``sigma``, from trial 30 on shaped by the covariance of the elite.

    Written from a description of the tuner in Ultralytics' releases of 2026.
    """

    def make_offspring(
        parents: NDArray[np.float64], weights: NDArray[np.float64], n: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        parent = parents[rng.choice(len(parents), p=weights)]
        step = sigma * rng.standard_normal(parent.size)
        if n >= 30:
            covariance = np.cov(parents.T) + (0.3 * sigma) ** 2 * np.eye(parent.size)
            step = np.linalg.cholesky(covariance) @ rng.standard_normal(parent.size)
        return parent + step

    return make_offspring
