"""Two peers with a Gaussian process, started locally: TuRBO-1, and log-EI with the dimension-scaled prior.

Both measure the default and eleven points around it, N(0, 0.1) in the unit cube, and then follow a Matérn 5/2 process
whose hyperparameters are maximum a posteriori estimates by L-BFGS. TuRBO-1 (Eriksson et al., arXiv:1910.01739) takes
the best of a joint Thompson draw in a trust region around the best posterior mean. The other one maximises the expected
improvement over that mean, in logarithms (Ament et al., arXiv:2310.20708), under a prior for length scales that grow
with the dimension (Hvarfner et al., arXiv:2402.02229). Trials in flight count at their posterior mean. The process's
arithmetic is the sampler's own; what it is fitted by and used for is not.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr
from search_problem import Problem, Run, local_start

from samplers._surrogate import GaussianProcess, Hyperparameters, _log_likelihood, standardise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from search_problem import Method

_N_START, _SPREAD = 12, 0.1
_BOUNDS = (-4.0, 6.0), (-4.0, 4.0), (-9.0, 1.0)  # logarithms: length scales, signal, noise
_MOVED = 20  # genes of a candidate that differ from the best point, in the mean
_SLOPE = 1e-6  # difference quotient of the acquisition


@dataclass(frozen=True)
class Prior:
    """Normal priors of the logarithms: mean and standard deviation."""

    length: tuple[float, float]
    noise: tuple[float, float]


def turbo_prior(d: int) -> Prior:
    """Return the prior of TuRBO-1's process in ``d`` dimensions."""
    return Prior((math.log(0.35 * math.sqrt(d)), 1.0), (math.log(0.1), 1.5))


def scaled_prior(d: int) -> Prior:
    """Return the dimension-scaled prior (Hvarfner et al., section 5), noise scaled to standardised values."""
    return Prior((math.sqrt(2) + 0.5 * math.log(d) - 3, math.sqrt(3)), (-5.0, 1.0))


def fit(
    prior: Prior, last: Hyperparameters | None, x: NDArray[np.float64], y: NDArray[np.float64]
) -> Hyperparameters:
    """Return the most probable hyperparameters given x (n, d) and y (n,), from the prior and from the last ones."""
    d = x.shape[1]
    mean = np.array([*[prior.length[0]] * d, 0.0, prior.noise[0]])
    spread = np.array([*[prior.length[1]] * d, 1.0, prior.noise[1]])

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        try:
            likelihood, slope = _log_likelihood(Hyperparameters.from_array(theta), x, y)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(theta)
        offset = (theta - mean) / spread
        return 0.5 * float(offset @ offset) - likelihood, offset / spread - slope

    starts = [np.array([*[prior.length[0]] * d, 0.0, math.log(0.1)])]
    starts += [] if last is None else [last.to_array()]
    bounds = [_BOUNDS[0]] * d + [_BOUNDS[1], _BOUNDS[2]]
    iterations = 40 if last is None else 20
    ends = [minimize(loss, s, jac=True, bounds=bounds, options={"maxiter": iterations}) for s in starts]
    return Hyperparameters.from_array(min(ends, key=lambda end: float(end.fun)).x)


class Choose(Protocol):
    """A rule for the next point."""

    def __call__(
        self,
        process: GaussianProcess,
        scales: NDArray[np.float64],
        points: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Return a point (d,) given measured points (n, d) and the process's length scales (d,)."""

    def tell(self, fitness: list[float], d: int) -> None:
        """Learn from all fitness measured so far, after the start."""


class TrustRegion:
    """TuRBO-1's rule: 400 candidates in a box that grows with successes and shrinks with failures."""

    def __init__(self) -> None:
        self._side, self._successes, self._failures = 0.4, 0, 0

    def __call__(
        self,
        process: GaussianProcess,
        scales: NDArray[np.float64],
        points: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Return the candidate that is best in one joint draw."""
        centre = points[int(np.argmax(process.fitted))]
        half = 0.5 * self._side * scales / np.exp(np.log(scales).mean())
        low, high = np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
        candidates = low + (high - low) * rng.random((400, centre.size))
        candidates = np.where(_moved(rng, candidates.shape, np.ones((400, 1))), candidates, centre)
        return np.asarray(candidates[int(np.argmax(process.draw(candidates, rng.standard_normal(400))))])

    def tell(self, fitness: list[float], d: int) -> None:
        """Double the box after three successes in a row, halve it after d / 2 failures."""
        best = max(fitness[:-1])
        success = fitness[-1] > best + 1e-3 * abs(best)
        self._successes, self._failures = (self._successes + 1, 0) if success else (0, self._failures + 1)
        if self._successes >= 3:
            self._side, self._successes = min(2 * self._side, 1.6), 0
        if self._failures >= max(4, d // 2):
            self._side, self._failures = self._side / 2, 0
        if self._side < 0.5**6:
            self._side = 0.4


class LogImprovement:
    """The greatest log expected improvement: L-BFGS from the best 4 of 550 candidates, mostly near the best points."""

    def __call__(
        self,
        process: GaussianProcess,
        scales: NDArray[np.float64],  # noqa: ARG002  only a trust region needs them
        points: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Return the point with the greatest log expected improvement that was found."""
        d, best = points.shape[1], float(process.fitted.max())
        top = points[np.argsort(-process.fitted)[:3]]
        near = top[rng.integers(len(top), size=400)]
        step = rng.choice([0.02, 0.1, 0.3], (400, 1)) * rng.standard_normal((400, d))
        near = np.clip(near + step * _moved(rng, near.shape, rng.random((400, 1))), 0, 1)
        candidates = np.concatenate([near, rng.random((150, d)), top])

        def value(x: NDArray[np.float64]) -> NDArray[np.float64]:
            mean, covariance = process.posterior(x)
            return log_improvement(mean, np.maximum(np.diag(covariance), 1e-10), best)

        def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            inward = np.where(x > 0.5, -_SLOPE, _SLOPE)
            values = value(np.concatenate([x[None], x + np.diag(inward)]))
            return -float(values[0]), (values[0] - values[1:]) / inward

        starts = candidates[np.argsort(-value(candidates))[:4]]
        ends = [minimize(loss, s, jac=True, bounds=[(0, 1)] * d, options={"maxiter": 30}) for s in starts]
        return np.asarray(np.clip(min(ends, key=lambda end: float(end.fun)).x, 0, 1))

    def tell(self, fitness: list[float], d: int) -> None:
        """Learn nothing: the rule has no state."""


def log_improvement(
    mean: NDArray[np.float64], variance: NDArray[np.float64], best: float
) -> NDArray[np.float64]:
    """Return the logarithm of the expected improvement over ``best``, stable far below it."""
    deviation = np.sqrt(variance)
    z = (mean - best) / deviation
    log_density = -0.5 * z * z - 0.5 * math.log(2 * math.pi)
    with np.errstate(all="ignore"):
        far = log_density - 2 * np.log(np.maximum(np.abs(z), 1e-9))
        near = np.log(np.maximum(np.exp(log_density) + z * np.exp(log_ndtr(z)), 1e-300))
    return np.asarray(np.log(deviation) + np.where(z < -25, far, near))


def model_search(choose: Callable[[], Choose], prior: Callable[[int], Prior], *, slots: int = 1) -> Method:
    """Return a method that starts locally and then follows a process, with ``slots`` trials in flight."""

    def run(problem: Problem, n: int, seed: int) -> Run:
        rng, rule = np.random.default_rng(seed), choose()
        d = problem.start.size
        start = local_start(problem.start, _N_START, rng)
        running: deque[NDArray[np.float64]] = deque()
        points: list[NDArray[np.float64]] = []
        fitness: list[float] = []
        kernel: Hyperparameters | None = None

        def propose() -> NDArray[np.float64]:
            nonlocal kernel
            if len(points) + len(running) < _N_START:
                return start[len(points) + len(running)]
            if len(points) < 4:
                return np.clip(problem.start + _SPREAD * rng.standard_normal(d), 0, 1)
            x, y = np.array(points), standardise(np.array(fitness))
            if kernel is None or len(points) < 30 or len(points) % 2 == 0:
                kernel = fit(prior(d), kernel, x, y)
            process = GaussianProcess(kernel, x, y)
            if running:
                x = np.concatenate([x, np.array(running)])
                process = GaussianProcess(kernel, x, np.concatenate([y, process.mean(np.array(running))]))
            return rule(process, np.exp(kernel.length_scales), x, rng)

        while len(points) < n:
            running.append(problem.point(problem.params(propose())))
            if len(running) < slots:
                continue
            points.append(running.popleft())
            fitness.append(problem.measure(points[-1]))
            if len(points) > _N_START:
                rule.tell(fitness, d)
        return Run(np.array(points), np.array(fitness), {})

    return run


def _moved(rng: np.random.Generator, shape: tuple[int, ...], share: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which genes (n, d) of candidates move: about 20 of them times a share (n, 1), at least one."""
    n, d = shape
    moved = rng.random(shape) < min(_MOVED / d, 1) * share
    moved[np.arange(n), rng.integers(d, size=n)] |= ~moved.any(axis=1)
    return np.asarray(moved)
