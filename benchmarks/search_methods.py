"""How a search is run, with any number of trials in flight: Optuna's samplers, ours among them, and ask-and-tell peers.

Every method starts at the same individual and works on the same scaled space. Trials finish in the order in which they
began; a proposal knows those that have finished.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import optuna
from search_problem import Run, local_start

from samplers import WeightedParentSampler, recommend

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from optuna.samplers import BaseSampler
    from search_problem import Method, Problem

    Asked = tuple[NDArray[np.float64], Any]  # a point of the cube (d,), and what the peer knows it by


class Peer(Protocol):
    """A search that proposes and learns; its first proposal is the problem's start."""

    def ask(self) -> Asked:
        """Return the next point (d,) and its mark; may be called while earlier ones are in flight."""

    def tell(self, point: NDArray[np.float64], mark: Any, fitness: float) -> None:
        """Learn the fitness of a point, higher is better."""


def optuna_method(
    sampler: Callable[[Problem, int], BaseSampler],
    *,
    slots: int = 1,
    n_start: int = 1,
    recommend_at: tuple[int, ...] = (),
) -> Method:
    """Return a method that runs an Optuna sampler.

    Args:
        sampler: Makes it, for a problem and a seed.
        slots: Trials in flight.
        n_start: Enqueued trials: the start, and points around it. 0 for a sampler that knows its start.
        recommend_at: Numbers of trials after which our sampler is asked what it recommends.
    """

    def run(problem: Problem, n: int, seed: int) -> Run:
        study = optuna.create_study(direction="maximize", sampler=sampler(problem, seed))
        if n_start:
            for point in local_start(problem.start, n_start, np.random.default_rng(seed)):
                study.enqueue_trial(problem.params(point))
        running: deque[optuna.Trial] = deque()
        points: list[NDArray[np.float64]] = []
        fitness: list[float] = []
        recommended = {}
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


def ours(mode: str, *, enqueued: bool = False, slots: int = 1, recommend_at: tuple[int, ...] = ()) -> Method:
    """Return a method that runs our sampler; the start is its `defaults`, or a trial that somebody enqueued."""
    return optuna_method(
        partial(our_sampler, mode, knows_start=not enqueued),
        slots=slots,
        n_start=int(enqueued),
        recommend_at=recommend_at,
    )


def our_sampler(mode: str, problem: Problem, seed: int, *, knows_start: bool = True) -> BaseSampler:
    """Return our sampler as a user would set it up for the problem."""
    return WeightedParentSampler(
        mode=mode,  # type: ignore[arg-type]
        seed=seed,
        defaults=problem.params(problem.start) if knows_start else None,
        gains=problem.gains,
    )


def asked_and_told(make: Callable[[Problem, int], Peer], *, slots: int = 1) -> Method:
    """Return a method that runs a peer, made for a problem and a seed, with ``slots`` trials in flight."""

    def run(problem: Problem, n: int, seed: int) -> Run:
        peer = make(problem, seed)
        running: deque[Asked] = deque()
        points: list[NDArray[np.float64]] = []
        fitness: list[float] = []
        while len(points) < n:
            running.append(peer.ask())
            if len(running) < slots:
                continue
            point, mark = running.popleft()
            points.append(point)
            fitness.append(problem.measure(point))
            peer.tell(point, mark, fitness[-1])
        return Run(np.array(points), np.array(fitness), {})

    return run
