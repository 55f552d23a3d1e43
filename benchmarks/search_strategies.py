"""Peers without a model: evolution strategies of the package `cmaes`, and genetic algorithms without generations.

With several trials in flight a strategy is asked at any time, so that no slot waits for the end of a generation;
whatever has finished fills the generation that it is told, also what was asked of the one before. Only XNES is not told
those: it diverges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cmaes
import numpy as np
from optuna.distributions import IntDistribution

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from search_methods import Asked
    from search_problem import Problem

    # parents (≤ 9, d) best first, their weights, the number of trials so far, rng -> offspring (d,)
    MakeOffspring = Callable[
        [NDArray[np.float64], NDArray[np.float64], int, np.random.Generator], NDArray[np.float64]
    ]

_EDGE = 1e-9  # strategies want their start inside the bounds


class Strategy:
    """CMA-ES ("cma"), sep-CMA ("sep-cma"), XNES ("xnes") or CMA with margin ("cma-margin"), from the start.

    It begins anew, with another seed, where it diverges, as XNES does on some functions.
    """

    def __init__(self, kind: str, sigma: float, problem: Problem, seed: int) -> None:
        self._kind, self._sigma, self._problem, self._seed = kind, sigma, problem, seed
        self._n_asked = 0
        self._told: list[tuple[NDArray[np.float64], float]] = []
        self._strategy = self._new()

    def _new(self) -> Any:
        start = np.clip(self._problem.start, _EDGE, 1 - _EDGE)
        common = {
            "mean": start,
            "sigma": self._sigma,
            "bounds": np.tile([0.0, 1.0], (start.size, 1)),
            "seed": self._seed + max(self._n_asked, 1),  # the seed 0 would count as none
        }
        self._told = []
        if self._kind == "cma-margin":
            return cmaes.CMAwM(steps=_steps(self._problem), **common)
        return {"cma": cmaes.CMA, "sep-cma": cmaes.SepCMA, "xnes": cmaes.XNES}[self._kind](**common)

    def ask(self) -> Asked:
        """Return the next point and what it is told by."""
        self._n_asked += 1
        if self._n_asked == 1:
            return self._problem.start, None
        with np.errstate(all="ignore"):
            asked = self._strategy.ask()
        point, to_tell = asked if self._kind == "cma-margin" else (asked, asked)
        if not np.all(np.isfinite(point)):
            self._strategy = self._new()
            self._n_asked -= 1
            return self.ask()
        return point, (self._strategy, self._strategy.generation, to_tell)

    def tell(self, point: NDArray[np.float64], mark: Any, fitness: float) -> None:  # noqa: ARG002
        """Learn a fitness."""
        if mark is None or mark[0] is not self._strategy:  # the start, or asked before it began anew
            return
        if self._kind == "xnes" and mark[1] != self._strategy.generation:
            return
        self._told.append((mark[2], -fitness))
        if len(self._told) < self._strategy.population_size:
            return
        try:
            with np.errstate(all="ignore"):
                self._strategy.tell(self._told)
            self._told = []
        except (AssertionError, ArithmeticError, np.linalg.LinAlgError):
            self._strategy = self._new()


def _steps(problem: Problem) -> NDArray[np.float64]:
    """Return the distance of neighbouring values in the cube (d,); 0 for floats, and for integers on a log scale."""
    return np.array(
        [
            1 / (d.high - d.low) if isinstance(d, IntDistribution) and not d.log else 0.0
            for d in problem.space.values()
        ]
    )


class Categorical:
    """CatCMAwM, with floats and integers; an integer's first step reaches its neighbours."""

    def __init__(self, sigma: float, problem: Problem, seed: int) -> None:
        steps = _steps(problem)
        self._start, self._integer = problem.start, steps > 0
        spaces: dict[str, Any] = {}
        if not self._integer.all():
            spaces["x_space"] = np.tile([0.0, 1.0], (int((~self._integer).sum()), 1))
        if self._integer.any():
            spaces["z_space"] = [np.linspace(0, 1, round(1 / s) + 1) for s in steps[self._integer]]
        start = np.clip(problem.start, 1e-6, 1 - 1e-6)
        first = np.maximum(sigma, 0.6 * steps)
        order = np.concatenate([np.flatnonzero(~self._integer), np.flatnonzero(self._integer)])
        self._strategy = cmaes.CatCMAwM(
            sigma=sigma,
            mean=start[order],
            cov=np.diag((first[order] / sigma) ** 2),
            seed=seed + 1,
            **spaces,
        )
        self._asked = False
        self._told: list[tuple[Any, float]] = []

    def ask(self) -> Asked:
        """Return the next point and what it is told by."""
        if not self._asked:
            self._asked = True
            return self._start, None
        solution = self._strategy.ask()
        point = np.empty_like(self._start)
        if solution.x is not None:
            point[~self._integer] = solution.x
        if solution.z is not None:
            point[self._integer] = solution.z
        return point, solution

    def tell(self, point: NDArray[np.float64], mark: Any, fitness: float) -> None:  # noqa: ARG002
        """Learn a fitness."""
        if mark is None:
            return
        self._told.append((mark, -fitness))
        if len(self._told) == self._strategy.population_size:
            self._strategy.tell(self._told)
            self._told = []


class Genetic:
    """A GA without generations: each offspring comes from the best 9 individuals so far, weighted by fitness."""

    def __init__(self, make_offspring: MakeOffspring, problem: Problem, seed: int) -> None:
        self._make_offspring, self._start = make_offspring, problem.start
        self._rng = np.random.default_rng(seed)
        self._points: list[NDArray[np.float64]] = []
        self._fitness: list[float] = []
        self._asked = False

    def ask(self) -> Asked:
        """Return the next point and what it is told by."""
        if not self._asked:
            self._asked = True
            return self._start, None
        points, fitness = np.array(self._points or [self._start]), np.array(self._fitness or [0.0])
        best = np.argsort(-fitness)[:9]
        lead = fitness[best] - fitness[best].min() + 1e-6
        offspring = self._make_offspring(points[best], lead / lead.sum(), len(points), self._rng)
        return np.clip(offspring, 0.0, 1.0), None

    def tell(self, point: NDArray[np.float64], mark: Any, fitness: float) -> None:  # noqa: ARG002
        """Learn a fitness."""
        self._points.append(point)
        self._fitness.append(fitness)


def blend(
    parents: NDArray[np.float64], weights: NDArray[np.float64], _: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Cross two parents by BLX-α with α = 0.5 (Eshelman & Schaffer, 1993) and mutate half of the genes."""
    a, b = parents[rng.choice(len(parents), 2, p=weights)]
    offspring = a + (b - a) * rng.uniform(-0.5, 1.5, a.size)
    return np.asarray(offspring + (rng.random(a.size) < 0.5) * 0.1 * rng.standard_normal(a.size))


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
        return np.asarray(parent + step)

    return make_offspring
