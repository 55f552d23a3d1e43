"""Learning rates, momentum and gradient accumulation of every iteration, as a function of its number."""

from __future__ import annotations

import math
from dataclasses import dataclass

NOMINAL_BATCH = 64  # images per optimizer step that the published hyperparameters mean


@dataclass(frozen=True)
class Rates:
    """What the optimizer uses in one iteration."""

    lr: float  # weights
    bias_lr: float
    momentum: float
    accumulate: int  # iterations per optimizer step


def warmup_iterations(epochs: float, batches: int, floor: int) -> int:
    """Iterations of a warm-up of `epochs` epochs of `batches` iterations, `floor` at least."""
    return max(round(epochs * batches), floor)


@dataclass(frozen=True)
class Schedule:
    """Warm-up per iteration, then a learning rate that falls per epoch."""

    epochs: int  # that it is made for; a training may end before
    batches: int  # iterations of an epoch
    batch: int  # images of an iteration
    lr0: float = 0.01
    lrf: float = 0.01  # final learning rate as a fraction of lr0
    momentum: float = 0.937
    warmup_epochs: float = 3.0
    warmup_momentum: float = 0.8
    warmup_bias_lr: float = 0.1
    warmup_floor: int = 100  # shortest warm-up in iterations
    cosine: bool = False

    @property
    def warmup(self) -> int:
        """Iterations of warm-up."""
        return warmup_iterations(self.warmup_epochs, self.batches, self.warmup_floor)

    def factor(self, epoch: int) -> float:
        """Learning rate of the 0-based epoch as a fraction of lr0."""
        progress = epoch / self.epochs
        if self.cosine:
            progress = (1 - math.cos(progress * math.pi)) / 2
        return 1 - progress * (1 - self.lrf)

    def at(self, iteration: int) -> Rates:
        """Rates of the 0-based iteration, counted over all epochs."""
        done = min(iteration / self.warmup, 1.0) if self.warmup else 1.0
        lr = self.lr0 * self.factor(iteration // self.batches)
        return Rates(
            lr=_ramp(0.0, lr, done),
            bias_lr=_ramp(self.warmup_bias_lr, lr, done),
            momentum=_ramp(self.warmup_momentum, self.momentum, done),
            accumulate=max(round(_ramp(1.0, NOMINAL_BATCH / self.batch, done)), 1),
        )


def scaled_decay(weight_decay: float, batch: int) -> float:
    """Weight decay for the images that one optimizer step really sees."""
    accumulate = max(round(NOMINAL_BATCH / batch), 1)
    return weight_decay * batch * accumulate / NOMINAL_BATCH


def average_decay(updates: int) -> float:
    """Decay of the weights' moving average at its 1-based update: a memory that grows to 10,000 steps."""
    return 0.9999 * (1 - math.exp(-updates / 2000))


def _ramp(start: float, end: float, done: float) -> float:
    return start * (1 - done) + end * done
