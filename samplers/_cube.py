"""The unit cube: individuals with every numeric gene scaled to [0, 1], and as features of a distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._genes import Genes

_WIDE = 10.0  # a positive float range of this ratio is scaled logarithmically without being asked
_DIGITS = 5  # significant digits of a float: what a person reads and a csv keeps


@dataclass(frozen=True)
class Cube:
    """Scaling of the genes; a categorical gene keeps the index of its choice.

    Attributes:
        genes: The genes scaled.
        log: Which genes are scaled logarithmically (genes,).
        low: Lower bounds (genes,), logarithmic where ``log``.
        span: Upper minus lower bounds (genes,), 1 for categorical genes and single values.
    """

    genes: Genes
    log: NDArray[np.bool_]
    low: NDArray[np.float64]
    span: NDArray[np.float64]

    @classmethod
    def of(cls, genes: Genes) -> Cube:
        """Scale genes by their bounds."""
        log = np.array([_is_log(distribution) for distribution in genes.distributions.values()], dtype=bool)
        low = np.where(genes.categorical, 0.0, _log_where(log, genes.low))
        span = np.where(genes.categorical, 1.0, _log_where(log, genes.high) - low)
        return cls(genes, log, low, np.where(span > 0, span, 1.0))

    def scale(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return individuals (n, genes) in the cube; values outside their bounds count as the bounds."""
        inside = np.clip(vectors, self.genes.low, self.genes.high)
        return np.asarray((_log_where(self.log, inside) - self.low) / self.span)

    def unscale(self, points: NDArray[np.float64], fraction: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points (n, genes) of the cube as allowed individuals.

        Args:
            points: In the cube.
            fraction: Part of a step, in [0, 1) (n, genes), that is added before a stepped gene is rounded down: 0.5
                rounds to the nearest step, a uniform number rounds up as often as the value is near the upper step.
        """
        genes = self.genes
        values = points * self.span + self.low
        values = np.where(self.log, np.exp(np.where(self.log, values, 0.0)), values)
        # Of the value, or of the range where that is narrower.
        resolved = np.minimum(np.abs(values), np.where(self.log, np.abs(values) * self.span, self.span))
        digits = _DIGITS - 1 - np.floor(np.log10(np.maximum(resolved, 1e-300)))
        rounded = np.round(values * 10.0**digits) / 10.0**digits
        step = np.where(genes.step > 0, genes.step, 1.0)
        steps = np.floor((values - genes.low) / step + fraction)
        return genes.snap(np.where(genes.step > 0, genes.low + steps * step, rounded))

    def features(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points (n, genes) as columns for a distance: one per numeric gene, one per choice of the others."""
        if not self.genes.categorical.any():
            return points
        columns = [
            (points[:, [gene]] == np.arange(self.genes.high[gene] + 1)).astype(float)
            if categorical
            else points[:, [gene]]
            for gene, categorical in enumerate(self.genes.categorical)
        ]
        return np.concatenate(columns, axis=1)

    @property
    def n_features(self) -> int:
        """Number of feature columns."""
        return int(np.where(self.genes.categorical, self.genes.high + 1, 1).sum())

    def columns(self) -> NDArray[np.int64]:
        """Return the first feature column (genes,) of each gene."""
        widths = np.where(self.genes.categorical, self.genes.high + 1, 1).astype(np.int64)
        return np.asarray(np.cumsum(widths) - widths)


def _is_log(distribution: object) -> bool:
    if isinstance(distribution, IntDistribution):
        return distribution.log
    if isinstance(distribution, FloatDistribution):
        wide = distribution.low > 0 and distribution.high >= _WIDE * distribution.low
        return distribution.log or (wide and distribution.step is None)
    return False


def _log_where(log: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(log, np.log(np.where(log, values, 1.0)), values)
