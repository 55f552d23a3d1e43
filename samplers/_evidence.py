"""Evidence: what a study knows about its space, as arrays for a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from optuna.trial import TrialState

from ._seeds import groups_of, without_offsets
from ._surrogate import standardise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray
    from optuna.trial import FrozenTrial

    from ._cube import Cube
    from ._history import Candidate, History
    from ._surrogate import Hyperparameters

_N_NEWEST = 150  # finished trials that a model looks at, and
_N_BEST = 50  # of the others, the best ones: its cost stays flat in a long study
_N_UNMEASURED = 100  # newest ones that stopped, and that run
_N_COMPARED = 5  # finished trials with a report of the same step, to tell what one stopped there is worth


@dataclass(frozen=True)
class Evidence:
    """What has been measured; individuals are points of the unit cube where nothing else is said.

    Attributes:
        vectors: Finished individuals (n, genes) as they were measured, oldest first.
        points: The same in the cube (n, genes).
        fitness: Their fitness (n,), higher is better.
        eligible: Indices of those that may be parents, oldest first: the feasible ones, or all where none is.
        failed: Individuals that crashed (m, genes).
        pruned: Individuals stopped early (k, genes).
        expected: What they would have ended with (k,), by their reports: NaN where too little is known, −inf where
            they have diverged.
        running: Individuals being measured (r, genes).
        ancestor: The default individual (genes,), NaN where a gene has no default; all NaN until it is told.
        numbers: Trial numbers of the finished individuals.
        n_total: Number of finished individuals in the study, of which these are the newest and the best.
        groups: Which of the seeds the finished individuals were trained with (n,), −1 where that says nothing.
    """

    vectors: NDArray[np.float64]
    points: NDArray[np.float64]
    fitness: NDArray[np.float64]
    eligible: NDArray[np.int64]
    failed: NDArray[np.float64]
    pruned: NDArray[np.float64]
    expected: NDArray[np.float64]
    running: NDArray[np.float64]
    ancestor: NDArray[np.float64]
    numbers: tuple[int, ...] = ()
    n_total: int = 1
    groups: NDArray[np.int64] = field(default_factory=lambda: np.full(1, -1))

    @classmethod
    def of(cls, history: History, cube: Cube, asking: int) -> Evidence:
        """Collect what trial number ``asking`` may know about the genes of a cube."""
        names = cube.genes.distributions.keys()

        def with_all_genes(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
            return [trial for trial in trials if names <= trial.distributions.keys()]

        def points(trials: Iterable[FrozenTrial]) -> NDArray[np.float64]:
            return cube.scale(history.encode(cube.genes, trials))

        newest = [c for c in history.by_number[-_N_NEWEST:] if names <= c.trial.distributions.keys()]
        oldest = newest[0].number if newest else np.inf
        # Of so many best ones some are among the newest; there are enough others, or all are taken.
        best = [c for c in history.best(_N_NEWEST + _N_BEST, names) if c.number < oldest][:_N_BEST]
        finished = sorted([*best, *newest], key=lambda candidate: candidate.number)
        stopped = with_all_genes(history.failed[-_N_UNMEASURED:])
        pruned = [trial for trial in stopped if trial.state != TrialState.FAIL]
        running = with_all_genes(
            trial for trial in history.running[-_N_UNMEASURED:] if trial.number != asking
        )
        vectors = history.encode(cube.genes, (candidate.trial for candidate in finished))
        feasible = np.array([candidate.violation == 0 for candidate in finished], dtype=bool)
        fitness = _fitness(finished, feasible)
        return cls(
            vectors,
            cube.scale(vectors),
            fitness,
            np.flatnonzero(feasible if feasible.any() else ~feasible),
            points(trial for trial in stopped if trial.state == TrialState.FAIL),
            points(pruned),
            _expected(pruned, finished, fitness, history.as_fitness),
            cube.scale(
                np.array([cube.genes.encode(trial.params) for trial in running]).reshape(-1, len(names))
            ),
            np.full(len(names), np.nan),
            tuple(candidate.number for candidate in finished),
            len(history.candidates),
            groups_of([candidate.trial for candidate in finished]),
        )

    @classmethod
    def lone(cls, individual: NDArray[np.float64], cube: Cube) -> Evidence:
        """Take one unmeasured individual (genes,) for the only one finished."""
        none = np.empty((0, len(individual)))
        unknown = np.full(len(individual), np.nan)
        vectors = individual[np.newaxis]
        first = np.zeros(1, dtype=np.int64)
        return cls(vectors, cube.scale(vectors), np.zeros(1), first, none, none, np.empty(0), none, unknown)

    def features(
        self, cube: Cube, kernel: Hyperparameters
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the measurements for a model with this kernel: features (n + m + k, features), and values.

        What a seed adds to all individuals alike is taken away. A finished crash says nothing of its seed.
        """
        points, y = self.measurements()
        x = cube.features(points)
        groups = np.full(len(y), -1)
        groups[: len(self.groups)] = self.groups
        return x, without_offsets(kernel, x, y, np.where(y > y.min(), groups, -1))

    def measurements(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return individuals (n + m + k, genes) and standardised values for a model, finished ones first.

        A crash counts as the worst finished individual, a pruned one as what it would have ended with, at most as the
        median: their fitness is unknown, that they are no place to be is not.
        """
        y = standardise(self.fitness)
        points = np.concatenate([self.points, self.failed, self.pruned])
        worst, median = np.full(len(self.failed), y.min()), np.median(y)
        order = np.argsort(self.fitness)
        pruned = np.interp(self.expected, self.fitness[order], y[order])
        return points, np.concatenate([y, worst, np.fmin(pruned, median)])


def _expected(
    pruned: list[FrozenTrial],
    finished: list[Candidate],
    fitness: NDArray[np.float64],  # (n,) of the finished ones
    as_fitness: Callable[[float], float],
) -> NDArray[np.float64]:
    """Return what pruned trials would have ended with (k,): as a finished one with their rank at the same step.

    That is the newest step which enough finished trials have reported. One stopped at NaN has diverged: −inf.
    """
    scales: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    expected = np.full(len(pruned), np.nan)
    for i, trial in enumerate(pruned):
        for step in sorted(trial.intermediate_values, reverse=True):
            reported = trial.intermediate_values[step]
            if np.isnan(reported):
                expected[i] = -np.inf
                break
            if step not in scales:
                scales[step] = _scale(step, finished, fitness, as_fitness)
            early, late = scales[step]
            if early.size:
                expected[i] = np.interp(as_fitness(reported), early, late)
                break
    return expected


def _scale(
    step: int, finished: list[Candidate], fitness: NDArray[np.float64], as_fitness: Callable[[float], float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values at a step, ascending, and the final ones of equal rank; empty where too few have reported it."""
    reports = [
        (as_fitness(candidate.trial.intermediate_values[step]), late)
        for candidate, late in zip(finished, fitness.tolist(), strict=True)
        if step in candidate.trial.intermediate_values
    ]
    known = np.array([pair for pair in reports if np.isfinite(pair).all()]).reshape(-1, 2)
    if len(known) < _N_COMPARED:
        return np.empty(0), np.empty(0)
    early, late = np.sort(known, axis=0).T
    distinct, rank = np.unique(early, return_inverse=True)
    return distinct, np.bincount(rank, late) / np.bincount(rank)  # equals share their ranks


def _fitness(candidates: list[Candidate], feasible: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the fitness (n,) of candidates; the infeasible ones equal the worst feasible one, where there is any."""
    fitness = np.array([candidate.fitness for candidate in candidates])
    if feasible.any():
        fitness[~feasible] = fitness[feasible].min()
    return fitness
