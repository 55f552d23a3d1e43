"""COCO's functions in 20 dimensions as instances: bbob, and bbob-mixint with 16 integers; both with Gaussian noise.

A search starts in the middle of the domain, as COCO does. The score is the regret relative to the start's.
"""

from __future__ import annotations

import contextlib
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution
from search_problem import Instance, Problem

if TYPE_CHECKING:
    import cocoex
    from numpy.typing import NDArray

DIMENSION, N_FUNCTIONS = 20, 24
N_NUMBERS = 5  # COCO's numbers of instances in a part: 120 instances
NOISE = 0.05  # standard deviation of a measurement, relative to the start's regret


def bbob(suite: str, first: int, place: int, noise: float) -> Instance:
    """Return the instance at a place of the part that begins at COCO's instance number ``first``.

    The first 24 places are functions 1 to 24, so that a few instances are unlike each other.
    """
    function = _functions(suite, first)[place]
    low, high = np.array(function.lower_bounds), np.array(function.upper_bounds)
    n_integers = int(function.number_of_integer_variables)
    names = [f"x{i:02}" for i in range(DIMENSION)]
    space: dict[str, FloatDistribution | IntDistribution] = {
        name: IntDistribution(int(low[i]), int(high[i])) if i < n_integers else FloatDistribution(0.0, 1.0)
        for i, name in enumerate(names)
    }
    start = (np.array(function.initial_solution) - low) / (high - low)

    def regret(point: NDArray[np.float64]) -> float:
        x = low + (high - low) * np.clip(point, 0, 1)
        x[:n_integers] = np.round(x[:n_integers])
        return float(function(x)) - least

    least = 0.0
    least = regret((_optimum(function) - low) / (high - low))
    span = regret(start)

    def score(point: NDArray[np.float64]) -> float:
        return max(regret(point), 1e-9 * span) / span

    def problem(seed: int) -> Problem:
        rng = np.random.default_rng([int(function.index), seed])

        def measure(point: NDArray[np.float64]) -> float:
            return float(noise * span * rng.standard_normal() - regret(point))

        return Problem(space, start, measure, {})

    return Instance(str(function.id), problem, score)


@cache
def _functions(suite: str, first: int) -> list[cocoex.Problem]:
    """Return a part's functions: 1 to 24 of the first number, then of the next one."""
    import cocoex  # only these suites need the package

    numbers = ",".join(map(str, range(first, first + N_NUMBERS)))
    made = cocoex.Suite(suite, f"instances: {numbers}", f"dimensions: {DIMENSION}")
    functions = [made.get_problem(i) for i in range(len(made))]  # all numbers of function 1 first
    return [functions[f * N_NUMBERS + i] for i in range(N_NUMBERS) for f in range(N_FUNCTIONS)]


def _optimum(function: cocoex.Problem) -> NDArray[np.float64]:
    """Return the best point (d,); COCO tells it in this way only: a file in the working directory."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        function._best_parameter("print")
        return np.loadtxt(Path("._bbob_problem_best_parameter.txt"))
