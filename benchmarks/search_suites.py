"""Problem suites of `search_quality.py`: parts to develop with, held out, and fresh: kept for one look at the end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from landscapes import GAINS, MOVABLE, landscape, search_space
from landscapes_training import HYPERPARAMETERS, train
from optuna.distributions import FloatDistribution
from search_methods import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PARTS = ("development", "held-out", "fresh")
_N = 12  # landscapes in each part
_BBOB = {
    "development": range(1, 6),
    "held-out": range(6, 11),
    "fresh": range(11, 16),
}  # COCO's instance numbers
_DIMENSION = 20
_NOISE = 0.05  # standard deviation of the noisy bbob suite, relative to the start's regret
_N_TRAINING = 10  # blocks of seeds in each part: there is one training only
_SCORE_SEEDS = range(10_000, 10_020)


@dataclass(frozen=True)
class Instance:
    """One problem, whose measurements depend on a seed and whose score does not."""

    name: str
    problem: Callable[[int], Problem]
    score: Callable[[NDArray[np.float64]], float]  # of a point of the unit cube, lower is better


def landscapes(part: str) -> list[Instance]:
    """Return synthetic landscapes of the 25 movable genes."""
    gains = {name: GAINS[name] for name in MOVABLE}

    def instance(number: int) -> Instance:
        surface = landscape(number)

        def problem(seed: int) -> Problem:
            rng = np.random.default_rng([number, seed])
            return Problem(search_space(), surface.default, lambda point: surface.measure(point, rng), gains)

        return Instance(f"landscape {number}", problem, surface.regret)

    first = _N * PARTS.index(part)
    return [instance(number) for number in range(first, first + _N)]


def bbob(part: str, noise: float = 0.0) -> list[Instance]:
    """Return COCO's functions in 20 dimensions, from the middle of their domain [−5, 5], with Gaussian noise."""
    import cocoex  # only this suite needs the package

    def instance(function: cocoex.Problem) -> Instance:
        function._best_parameter(
            "print"
        )  # COCO tells the optimum in this way only: a file in the working directory
        printed = Path("._bbob_problem_best_parameter.txt")
        least = function(np.loadtxt(printed))
        printed.unlink()
        start = np.full(_DIMENSION, 0.5)
        span = function(10 * start - 5) - least

        def score(point: NDArray[np.float64]) -> float:
            return max(function(10 * point - 5) - least, 1e-9 * span) / span

        space = {f"x{i:02}": FloatDistribution(0.0, 1.0) for i in range(_DIMENSION)}

        def problem(seed: int) -> Problem:
            rng = np.random.default_rng([function.index, seed])

            def measure(point: NDArray[np.float64]) -> float:
                return float(noise * span * rng.standard_normal() - function(10 * point - 5))

            return Problem(space, start, measure, {})

        return Instance(function.id, problem, score)

    numbers = ",".join(map(str, _BBOB[part]))
    suite = cocoex.Suite("bbob", f"instances: {numbers}", f"dimensions: {_DIMENSION}")
    return [instance(suite.get_problem(i)) for i in range(len(suite))]


def training(part: str) -> list[Instance]:
    """Return the small training in blocks of seeds; its score is the negative gain over the defaults."""
    space = {name: distribution for name, (distribution, _) in HYPERPARAMETERS.items()}
    defaults = {name: default for name, (_, default) in HYPERPARAMETERS.items()}
    plain = Problem(space, np.zeros(len(space)), lambda _: 0.0, {})

    @cache
    def expected(params: tuple[float, ...]) -> float:
        return float(np.mean([train(dict(zip(space, params, strict=True)), seed) for seed in _SCORE_SEEDS]))

    at_defaults = expected(tuple(defaults.values()))

    def instance(block: int) -> Instance:
        def problem(seed: int) -> Problem:
            rng = np.random.default_rng([block, seed])

            def measure(point: NDArray[np.float64]) -> float:
                return train(plain.params(point), int(rng.integers(2**31)))

            return Problem(space, plain.point(defaults), measure, {})

        def score(point: NDArray[np.float64]) -> float:
            return at_defaults - expected(tuple(plain.params(point).values()))

        return Instance(f"training {block}", problem, score)

    first = _N_TRAINING * PARTS.index(part)
    return [instance(block) for block in range(first, first + _N_TRAINING)]


SUITES: dict[str, Callable[[str], list[Instance]]] = {
    "landscapes": landscapes,
    "bbob": bbob,
    "bbob-noisy": lambda part: bbob(part, _NOISE),
    "training": training,
}
