"""PriorBand (Mallik et al., NeurIPS 2023, arXiv:2306.12370): Hyperband that samples around a prior and the best so far.

Written from the paper, in numpy, for machines without a network: the authors' package NePS needs an environment of its
own (`peers/neps_priorband.py`, method `neps` of `device_hours.py`). The brackets are as large as there. A promoted
training goes on where it had stopped, so that only its further epochs cost. The default is the prior's centre, and is
measured first, in full.

In the paper the prior is a Gaussian with a standard deviation of 0.25 of each range, and half of the incumbent's genes
move by the same; the other peers start with 0.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import truncnorm

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    # Trains a point (d,), by the key of its training, from where it is to this number of epochs: its fitness there.
    Train = Callable[[int, NDArray[np.float64], int], float]
    Measured = tuple[int, float, NDArray[np.float64]]  # rung, fitness, point

_ETA = 3
_MOVES = 0.5  # probability that a gene of the incumbent moves


@dataclass
class PriorBand:
    """The state of a search."""

    prior: NDArray[np.float64]  # (d,) the default in the unit cube
    epochs: int  # of a training in full
    width: float  # standard deviation of the prior, and of the incumbent's steps
    rng: np.random.Generator
    measured: list[Measured] = field(default_factory=list)
    spent: int = 0  # epochs so far

    def __post_init__(self) -> None:
        self.last = int(math.log(self.epochs) / math.log(_ETA) + 1e-9)  # rung of trainings in full

    def length(self, rung: int) -> int:
        """Return the epochs of a rung."""
        return max(1, int(self.epochs / _ETA ** (self.last - rung) + 0.5))

    def search(self, train: Train, drop: Callable[[int], None], slots: int) -> None:
        """Measure the default in full, then one bracket after the other, until ``train`` raises; drop what is out."""
        self._measure(train, 0, self.prior, self.last, 0)
        drop(0)
        key = 1
        while True:
            for first in range(self.last + 1):
                n = (self.last + 1) // (self.last - first + 1) * _ETA ** (self.last - first)
                alive: list[tuple[float, int, NDArray[np.float64]]] = []
                while len(alive) < n:
                    for point in [self.sample(first) for _ in range(min(slots, n - len(alive)))]:
                        alive.append((self._measure(train, key, point, first, 0), key, point))
                        key += 1
                for rung in range(first + 1, self.last + 1):
                    alive.sort(key=lambda one: (-one[0], one[1]))
                    for _, k, _ in alive[(left := max(1, len(alive) // _ETA)) :]:
                        drop(k)
                    alive = [
                        (self._measure(train, k, point, rung, self.length(rung - 1)), k, point)
                        for _, k, point in alive[:left]
                    ]
                for _, k, _ in alive:
                    drop(k)

    def sample(self, rung: int) -> NDArray[np.float64]:
        """Draw from the prior, around the incumbent, or anywhere: the ensemble sampling policy (section 5)."""
        anywhere = 1 / (1 + _ETA**rung)
        share = self._share_of_incumbent()
        choice = self.rng.choice(3, p=[anywhere, (1 - anywhere) * (1 - share), (1 - anywhere) * share])
        if choice == 0:
            return self.rng.random(self.prior.size)
        if choice == 1:
            return self._around(self.prior)
        best = max(self.measured, key=lambda one: one[1])[2]
        return np.where(self.rng.random(best.size) < _MOVES, self._around(best), best)

    def _share_of_incumbent(self) -> float:
        """Return how much of the prior's share is the incumbent's: as likely as it makes the best of the top rung.

        None before a bracket's worth of epochs, a training in full and a rung of three that are measured.
        """
        counts = np.bincount([rung for rung, *_ in self.measured], minlength=self.last + 1)
        enough = np.flatnonzero(counts >= _ETA)
        bracket = self.length(0) * _ETA**self.last + sum(
            (self.length(k) - self.length(k - 1)) * _ETA ** (self.last - k) for k in range(1, self.last + 1)
        )
        if not len(enough) or not counts[self.last] or self.spent < bracket:
            return 0.0
        top = sorted((one for one in self.measured if one[0] == enough[-1]), key=lambda one: -one[1])
        top = top[: len(top) // _ETA]
        points = np.array([point for *_, point in top])
        best = max(self.measured, key=lambda one: one[1])[2]
        ranks = np.log(np.arange(len(top), 0, -1))
        prior, incumbent = (
            np.logaddexp.reduce(ranks + self._density(points, centre)) for centre in (self.prior, best)
        )
        return float(1 / (1 + np.exp(np.clip(prior - incumbent, -500, 500))))

    def _around(self, centre: NDArray[np.float64]) -> NDArray[np.float64]:
        low, high = -centre / self.width, (1 - centre) / self.width
        return np.asarray(
            truncnorm.rvs(low, high, centre, self.width, random_state=self.rng, size=centre.shape)
        )

    def _density(self, points: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
        low, high = -centre / self.width, (1 - centre) / self.width
        return np.asarray(truncnorm.logpdf(points, low, high, centre, self.width).sum(axis=1))

    def _measure(self, train: Train, key: int, point: NDArray[np.float64], rung: int, already: int) -> float:
        fitness = train(key, point, self.length(rung))
        self.spent += self.length(rung) - already
        self.measured.append((rung, fitness, point))
        return fitness
