"""Synthetic training outcomes in the 29-gene space of a detector: what a search would face, with a known optimum.

A landscape maps an individual to its regret: 1 at the published defaults, 0 at the optimum, higher where it is worse.
Three to six genes carry most of the difference, some more carry a little, and most of the rest are best where they are.
Effects are bowls, kinks, plateaus, lopsided valleys or slopes that end at a bound; pairs of genes interact; some
regions crash. A measurement adds Gaussian noise of 5 to 10 % of the default's regret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from optuna.distributions import FloatDistribution

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Shape = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]

# Gene: gain, low, high, default. A gain of 0 freezes the gene.
GENES: dict[str, tuple[float, float, float, float]] = {
    "lr0": (1, 1e-5, 1e-1, 0.01),
    "lrf": (1, 0.01, 1.0, 0.01),
    "momentum": (0.3, 0.6, 0.98, 0.937),
    "weight_decay": (1, 0.0, 0.001, 0.0005),
    "warmup_epochs": (1, 0.0, 5.0, 3.0),
    "warmup_momentum": (1, 0.0, 0.95, 0.8),
    "warmup_bias_lr": (1, 0.0, 0.2, 0.1),
    "box": (1, 0.02, 0.2, 0.05),
    "cls": (1, 0.2, 4.0, 0.5),
    "cls_pw": (1, 0.5, 2.0, 1.0),
    "obj": (1, 0.2, 4.0, 1.0),
    "obj_pw": (1, 0.5, 2.0, 1.0),
    "iou_t": (0, 0.1, 0.7, 0.20),
    "anchor_t": (1, 2.0, 8.0, 4.0),
    "anchors": (2, 2.0, 10.0, 3.0),
    "fl_gamma": (0, 0.0, 2.0, 0.0),
    "hsv_h": (1, 0.0, 0.1, 0.015),
    "hsv_s": (1, 0.0, 0.9, 0.7),
    "hsv_v": (1, 0.0, 0.9, 0.4),
    "degrees": (1, 0.0, 45.0, 0.0),
    "translate": (1, 0.0, 0.9, 0.1),
    "scale": (1, 0.0, 0.9, 0.5),
    "shear": (1, 0.0, 10.0, 0.0),
    "perspective": (0, 0.0, 0.001, 0.0),
    "flipud": (1, 0.0, 1.0, 0.0),
    "fliplr": (0, 0.0, 1.0, 0.5),
    "mosaic": (1, 0.0, 1.0, 1.0),
    "mixup": (1, 0.0, 1.0, 0.0),
    "copy_paste": (1, 0.0, 1.0, 0.0),
}
MOVABLE = tuple(name for name, (gain, *_) in GENES.items() if gain > 0)
DEFAULTS = {name: default for name, (_, _, _, default) in GENES.items()}
GAINS = {name: gain for name, (gain, *_) in GENES.items()}
_WIDE = 10.0  # a range of this ratio is searched on a log scale
_CRASH = 3.0  # regret of a training that diverges


def search_space() -> dict[str, FloatDistribution]:
    """Return the distributions of the movable genes."""
    return {
        name: FloatDistribution(low, high, log=low > 0 and high / low >= _WIDE)
        for name, (gain, low, high, _) in GENES.items()
        if gain > 0
    }


def to_unit(params: dict[str, float]) -> NDArray[np.float64]:
    """Return the movable genes of an individual in [0, 1] (25,)."""
    unit = []
    for name, distribution in search_space().items():
        low, high, value = distribution.low, distribution.high, params[name]
        if distribution.log:
            low, high, value = np.log(low), np.log(high), np.log(value)
        unit.append((value - low) / (high - low))
    return np.array(unit)


def from_unit(unit: NDArray[np.float64]) -> dict[str, float]:
    """Return an individual's movable genes from [0, 1] (25,)."""
    params = {}
    for (name, distribution), u in zip(search_space().items(), unit.tolist(), strict=True):
        low, high = distribution.low, distribution.high
        value = low * (high / low) ** u if distribution.log else low + u * (high - low)
        params[name] = min(max(value, low), high)
    return params


def _bowl(u: NDArray[np.float64], _: NDArray[np.float64]) -> NDArray[np.float64]:
    return u**2


def _kink(u: NDArray[np.float64], _: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sqrt(u**2 + 0.05**2) - 0.05


def _plateau(u: NDArray[np.float64], _: NDArray[np.float64]) -> NDArray[np.float64]:
    return u**2 / (u**2 + 0.25**2)


def _lopsided(u: NDArray[np.float64], side: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(u * side > 0, 4.0, 1.0) * u**2


_SHAPES: tuple[Shape, ...] = (_bowl, _kink, _plateau, _lopsided)


@dataclass(frozen=True)
class Landscape:
    """One instance; see :func:`landscape`.

    Attributes:
        default: The default individual in unit space (25,).
        optimum: The best individual (25,).
        noise: Standard deviation of a measurement, in regret.
    """

    default: NDArray[np.float64]
    optimum: NDArray[np.float64]
    noise: float
    _weights: NDArray[np.float64]
    _shapes: tuple[int, ...]
    _sides: NDArray[np.float64]
    _couplings: NDArray[np.float64]  # (25, 25): how far gene j's error shifts the optimum of gene i
    _cliff: NDArray[np.float64]  # (25,) direction of growing danger
    _edge: float

    def regret(self, unit: NDArray[np.float64]) -> float:
        """Return the noise-free regret of an individual in unit space (25,)."""
        if self.crashes(unit):
            return _CRASH
        return float(self._weights @ self._effects(unit))

    def crashes(self, unit: NDArray[np.float64]) -> bool:
        """Return whether the training of an individual (25,) diverges."""
        return bool(self._cliff @ unit > self._edge)

    def measure(self, unit: NDArray[np.float64], rng: np.random.Generator) -> float:
        """Return a measured fitness, higher is better: the negative regret and noise."""
        return -self.regret(unit) + self.noise * float(rng.standard_normal())

    def shares(self) -> NDArray[np.float64]:
        """Return how much of the default's regret each gene carries (25,); their sum is 1."""
        return self._weights * self._effects(self.default)

    def _effects(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        error = unit - self.optimum
        error = error + self._couplings @ error
        return np.array([_SHAPES[s](error[i], self._sides[i]) for i, s in enumerate(self._shapes)])


def landscape(seed: int) -> Landscape:
    """Return the landscape with this seed."""
    rng = np.random.default_rng([20260, seed])
    default = to_unit(DEFAULTS)
    n = default.size
    order = rng.permutation(n)
    n_strong = int(rng.integers(3, 7))
    strong, weak, inert = order[:n_strong], order[n_strong : n_strong + 8], order[n_strong + 8 :]
    optimum = default.copy()
    for i in (*strong, *weak):
        # Published defaults are decent: the optimum lies some way off, for a few genes at a bound.
        room = np.array([default[i], 1 - default[i]])
        direction = rng.choice([-1, 1], p=room / room.sum())
        reach = room[int(direction > 0)]
        optimum[i] += direction * reach * (1.0 if rng.random() < 1 / 8 else rng.uniform(0.1, 0.6))
    couplings = np.zeros((n, n))
    for _ in range(int(rng.integers(1, 4))):
        i, j = rng.choice(strong, 2, replace=False)
        couplings[i, j] = rng.uniform(-0.8, 0.8)
    shapes = tuple(int(s) for s in rng.integers(len(_SHAPES), size=n))
    sides = rng.choice([-1.0, 1.0], n)
    cliff = np.zeros(n)
    cliff[rng.choice(strong, 2, replace=False)] = rng.uniform(0.5, 1.0, 2) * rng.choice([-1.0, 1.0], 2)
    # The danger starts a little beyond both the default and the optimum.
    edge = float(max(cliff @ default, cliff @ optimum)) + rng.uniform(0.05, 0.25)
    shares = np.zeros(n)
    shares[strong] = 0.85 * rng.dirichlet(np.full(n_strong, 3.0))
    shares[weak] = 0.15 * rng.dirichlet(np.full(weak.size, 1.0))
    draft = Landscape(
        default, optimum, rng.uniform(0.05, 0.1), np.ones(n), shapes, sides, couplings, cliff, edge
    )
    at_default = draft._effects(default)
    weights = np.divide(shares, at_default, out=np.zeros(n), where=at_default > 1e-4)
    # An inert gene costs up to 0.1 when moved across its range; half of them cost nothing.
    weights[inert] = rng.uniform(0.0, 0.1, inert.size) * (rng.random(inert.size) < 0.5)
    total = float(weights @ at_default)
    return Landscape(default, optimum, draft.noise, weights / total, shapes, sides, couplings, cliff, edge)
