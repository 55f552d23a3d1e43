"""A Gaussian process over the unit cube: what the trials so far say about individuals not yet tried.

The covariance is a Matérn 5/2 kernel with one length scale per gene (Rasmussen & Williams, *Gaussian Processes for
Machine Learning*, 2006, eq. 4.17 and section 5.1), plus independent measurement noise. Length scales, signal and noise
are maximum a posteriori estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._genetics import divisor

if TYPE_CHECKING:
    from numpy.typing import NDArray

_JITTER = 1e-6  # added to variances, in units of the standardised values
_LARGEST_BLOCK = 40  # rows that NumPy inverts directly
_CRASH_DEPTH = 3.0  # values count as no worse than this many times the best's lead below the median


@dataclass(frozen=True)
class Hyperparameters:
    """Logarithms of the kernel's parameters.

    Attributes:
        length_scales: Per gene (genes,), in units of its range.
        signal: Variance of the modelled function, in units of the values' variance.
        noise: Variance of a measurement.
    """

    length_scales: NDArray[np.float64]
    signal: float
    noise: float

    @classmethod
    def prior(cls, n_genes: int) -> Hyperparameters:
        """Return the prior's mode: the more genes, the less each one matters."""
        return cls(np.full(n_genes, np.log(0.35 * np.sqrt(n_genes))), 0.0, np.log(0.1))

    def to_array(self) -> NDArray[np.float64]:
        """Return all parameters as one vector (genes + 2,)."""
        return np.array([*self.length_scales, self.signal, self.noise])

    def rounded(self) -> Hyperparameters:
        """Return the parameters as a record keeps them: four decimals."""
        return Hyperparameters.from_array(np.round(self.to_array(), 4))

    @classmethod
    def from_array(cls, vector: NDArray[np.float64]) -> Hyperparameters:
        """Undo :meth:`to_array`."""
        return cls(vector[:-2], float(vector[-2]), float(vector[-1]))


def standardise(fitness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return fitness (n,) with mean 0 and standard deviation 1, crashes drawn near.

    Values far below the median (and −inf) say no more than "not there": they count as
    ``median − 3 · (best − median)``, so that one crash does not flatten all other differences.
    """
    finite = fitness[np.isfinite(fitness)]
    if finite.size == 0:
        return np.zeros_like(fitness)
    scale = divisor(finite)
    finite, fitness = finite / scale, fitness / scale
    best, median = finite.max(), np.median(finite)
    values = np.clip(fitness, median - _CRASH_DEPTH * (best - median), best)
    if np.ptp(values) == 0:
        return np.zeros_like(values)
    return np.asarray((values - values.mean()) / values.std())


def fit(
    start: Hyperparameters,
    x: NDArray[np.float64],  # (n, genes)
    y: NDArray[np.float64],  # (n,) standardised
    *,
    steps: int,
    rate: float = 0.15,
) -> Hyperparameters:
    """Climb towards the most probable hyperparameters by ``steps`` steps of Adam; return the best seen."""
    mode = Hyperparameters.prior(x.shape[1]).to_array()
    spread = np.array([1.0] * x.shape[1] + [1.0, 1.5])  # standard deviation of the log-normal priors
    theta = start.to_array()
    momentum, scale = np.zeros_like(theta), np.zeros_like(theta)
    best = (-np.inf, theta)
    for step in range(1, steps + 2):
        likelihood, gradient = _log_likelihood(Hyperparameters.from_array(theta), x, y)
        offset = (theta - mode) / spread
        best = max(best, (likelihood - 0.5 * float(offset @ offset), theta), key=lambda entry: entry[0])
        gradient = gradient - offset / spread
        momentum = 0.8 * momentum + 0.2 * gradient
        scale = 0.9 * scale + 0.1 * gradient**2
        move = momentum / (1 - 0.8**step) / (np.sqrt(scale / (1 - 0.9**step)) + 1e-8)
        theta = np.clip(theta + rate * move, mode - 4 * spread, mode + 4 * spread)
    return Hyperparameters.from_array(best[1])


class GaussianProcess:
    """The posterior of the function given measurements.

    Args:
        hyperparameters: Of the kernel.
        x: Individuals (n, genes) in the unit cube.
        y: Their standardised values (n,).

    Attributes:
        fitted: Posterior mean (n,) at the individuals themselves: their values without the noise.
    """

    def __init__(
        self, hyperparameters: Hyperparameters, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> None:
        self._inverse_scales = np.exp(-hyperparameters.length_scales)
        self._signal = np.exp(hyperparameters.signal)
        self._x = x * self._inverse_scales
        noise = np.exp(hyperparameters.noise) + _JITTER
        covariance = self._signal * _matern(_squared_distances(self._x, self._x))
        covariance[np.diag_indices(len(x))] += noise
        self._whiten = _invert_lower(np.linalg.cholesky(covariance))  # Wᵀ W = K⁻¹
        self._weights = self._whiten.T @ (self._whiten @ y)
        self.fitted = y - noise * self._weights

    def mean(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the posterior mean (m,) at ``points`` (m, genes)."""
        return np.asarray(self._cross(points * self._inverse_scales) @ self._weights)

    def posterior(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the joint posterior at ``points`` (m, genes): mean (m,) and covariance (m, m)."""
        scaled = points * self._inverse_scales
        cross = self._cross(scaled)
        explained = self._whiten @ cross.T  # (n, m)
        prior = self._signal * _matern(_squared_distances(scaled, scaled))
        return cross @ self._weights, prior - explained.T @ explained

    def whitened(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``columns`` (n, k) as W · columns, where Wᵀ W is the inverse covariance of the measurements."""
        return np.asarray(self._whiten @ columns)

    def draw(self, points: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return one joint sample (m,) of the posterior at ``points`` (m, genes), from normal numbers (m,)."""
        mean, covariance = self.posterior(points)
        covariance[np.diag_indices(len(points))] += _JITTER
        return np.asarray(mean + np.linalg.cholesky(covariance) @ normal)

    def _cross(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._signal * _matern(_squared_distances(scaled, self._x)))


def _log_likelihood(
    hyperparameters: Hyperparameters, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return log p(y | x) up to a constant and its gradient (genes + 2,) (Rasmussen & Williams, eq. 5.8 and 5.9)."""
    z = x * np.exp(-hyperparameters.length_scales)
    signal, noise = np.exp(hyperparameters.signal), np.exp(hyperparameters.noise)
    squared = _squared_distances(z, z)
    correlation, slope = _matern(squared), _matern_slope(squared)
    covariance = signal * correlation
    covariance[np.diag_indices(len(x))] += noise + _JITTER
    lower = np.linalg.cholesky(covariance)
    whiten = _invert_lower(lower)
    inverse = whiten.T @ whiten
    weights = inverse @ y
    sensitivity = np.outer(weights, weights) - inverse
    by_distance = sensitivity * (
        signal * slope
    )  # dK / d(squared distance), d distance / d log scale = −2 (z − z')²
    scales = 2 * (np.einsum("ij,ij->j", z, by_distance @ z) - by_distance.sum(axis=1) @ z**2)
    by_signal = 0.5 * signal * np.sum(sensitivity * correlation)
    by_noise = 0.5 * noise * np.trace(sensitivity)
    likelihood = -0.5 * float(y @ weights) - float(np.log(np.diag(lower)).sum())
    return likelihood, np.array([*scales, by_signal, by_noise])


def _squared_distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return squared Euclidean distances (n, m) of the rows of ``a`` (n, d) and ``b`` (m, d)."""
    squared = a @ (-2 * b.T)
    squared += np.sum(a**2, axis=1)[:, None]
    squared += np.sum(b**2, axis=1)
    return np.asarray(np.maximum(squared, 0.0, out=squared))


def _matern(squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Matérn 5/2 correlation at squared scaled distances."""
    root = np.sqrt(5 * squared)
    correlation = 5 / 3 * squared
    correlation += root
    correlation += 1
    correlation *= np.exp(np.negative(root, out=root), out=root)
    return np.asarray(correlation)


def _matern_slope(squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the derivative of the correlation by the squared distance."""
    root = np.sqrt(5 * squared)
    return np.asarray(-5 / 6 * (1 + root) * np.exp(-root))


def _invert_lower(lower: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of a lower triangular matrix (n, n), by halves: NumPy has no triangular solver."""
    n = len(lower)
    if n <= _LARGEST_BLOCK:
        return np.asarray(np.linalg.inv(lower))
    half = n // 2
    inverse = np.zeros_like(lower)
    inverse[:half, :half] = _invert_lower(lower[:half, :half])
    inverse[half:, half:] = _invert_lower(lower[half:, half:])
    inverse[half:, :half] = -inverse[half:, half:] @ (lower[half:, :half] @ inverse[:half, :half])
    return inverse
