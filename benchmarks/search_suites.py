"""Problem suites of `search_quality.py`, in parts: to develop with, held out, fresh, and last (looked at once).

An instance is known by its suite, its part and its place there, so that any process can make it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from landscapes import GAINS, MOVABLE, landscape, search_space
from landscapes_training import HYPERPARAMETERS, train
from search_bbob import N_FUNCTIONS, N_NUMBERS, NOISE, bbob
from search_problem import Instance, Problem
from search_slices import small

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PARTS = ("development", "held-out", "fresh", "last")
_N = 12  # landscapes in each part
_N_TRAINING = 10  # blocks of seeds in each part but the last
_SCORE_SEEDS = range(10_000, 10_020)
_MARKS = (25, 50, 100, 300, 1000, 5000)


@dataclass(frozen=True)
class Suite:
    """Problems that are compared together.

    Attributes:
        make: Part and place in it to an instance.
        size: Instances in a part.
        open_ended: The last part has 12 instances, or as many as are asked for.
        geometric: Scores are averaged geometrically.
        marks: Numbers of trials after which a search is judged.
    """

    make: Callable[[str, int], Instance]
    size: int = _N
    open_ended: bool = True
    geometric: bool = False
    marks: tuple[int, ...] = _MARKS

    def places(self, part: str, n: int | None) -> range:
        """Return the places of the first ``n`` instances of a part, or of all; ValueError if it has fewer."""
        endless = self.open_ended and part == "last"
        size = _N if endless else self.size
        if n is not None and n > size and not endless:
            raise ValueError(f"expected at most {size} instances in part {part!r} of this suite, got {n}")
        return range(size if n is None else n)


def landscapes(number: int) -> Instance:
    """Return a synthetic landscape of the 25 movable genes."""
    surface, gains = landscape(number), {name: GAINS[name] for name in MOVABLE}

    def problem(seed: int) -> Problem:
        rng = np.random.default_rng([number, seed])
        return Problem(search_space(), surface.default, lambda point: surface.measure(point, rng), gains)

    return Instance(f"landscape {number}", problem, surface.regret)


def meaningless(number: int) -> Instance:
    """Return a landscape whose start is any point that does not crash; the score is 1 there, 0 at the optimum."""
    surface, gains = landscape(number), {name: GAINS[name] for name in MOVABLE}
    draws = np.random.default_rng([11, number])
    start = draws.random(surface.default.size)
    while surface.crashes(start):
        start = draws.random(surface.default.size)
    span = surface.regret(start)

    def problem(seed: int) -> Problem:
        rng = np.random.default_rng([number, seed])
        return Problem(search_space(), start, lambda point: surface.measure(point, rng), gains)

    return Instance(f"landscape {number}, any start", problem, lambda point: surface.regret(point) / span)


def training(part: str, place: int) -> Instance:
    """Return the small training: a block of seeds of task 0, or in the last part a task of its own.

    The score is the negative gain over the defaults.
    """
    block, task = _N_TRAINING * PARTS.index(part) + place, 0
    if part == "last":
        block, task = 1000 + place, 1 + place
    space = {name: distribution for name, (distribution, _) in HYPERPARAMETERS.items()}
    defaults = {name: default for name, (_, default) in HYPERPARAMETERS.items()}
    plain = Problem(space, np.zeros(len(space)), lambda _: 0.0, {})

    def problem(seed: int) -> Problem:
        rng = np.random.default_rng([block, seed])

        def measure(point: NDArray[np.float64]) -> float:
            return train(plain.params(point), int(rng.integers(2**31)), task)

        return Problem(space, plain.point(defaults), measure, {})

    def score(point: NDArray[np.float64]) -> float:
        values = tuple(plain.params(point).values())
        return _expected(tuple(defaults.values()), task) - _expected(values, task)

    return Instance(f"training {block}" if task == 0 else f"training task {task}", problem, score)


@cache
def _expected(values: tuple[float, ...], task: int) -> float:
    """Return the mean fitness of a training over seeds that no search uses."""
    hyp = dict(zip(HYPERPARAMETERS, values, strict=True))
    return float(np.mean([train(hyp, seed, task) for seed in _SCORE_SEEDS]))


def _numbered(make: Callable[[int], Instance], last: int) -> Callable[[str, int], Instance]:
    """Return a maker by part and place; the last part has the numbers from ``last`` on."""
    return lambda part, place: make(place + (last if part == "last" else _N * PARTS.index(part)))


def _coco(suite: str, noise: float) -> Suite:
    def make(part: str, place: int) -> Instance:
        return bbob(suite, 1 + N_NUMBERS * PARTS.index(part), place, noise)

    return Suite(make, N_FUNCTIONS * N_NUMBERS, open_ended=False, geometric=True)


SUITES: dict[str, Suite] = {
    "landscapes": Suite(_numbered(landscapes, 9000)),
    "bbob": _coco("bbob", 0.0),
    "bbob-noisy": _coco("bbob", NOISE),
    "mixint": _coco("bbob-mixint", 0.0),
    "mixint-noisy": _coco("bbob-mixint", NOISE),
    "training": Suite(training, _N_TRAINING),
    "small": Suite(_numbered(small, 3000), marks=(10, 20, 30, 40, 60)),
    "meaningless": Suite(_numbered(meaningless, 2000)),
}


@cache
def instance(suite: str, part: str, place: int) -> Instance:
    """Return one instance; a process makes it once."""
    return SUITES[suite].make(part, place)


def instances(suite: str, part: str) -> list[Instance]:
    """Return all instances of a part."""
    return [instance(suite, part, place) for place in SUITES[suite].places(part, None)]
