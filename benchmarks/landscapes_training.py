"""A real training that takes a few hundredths of a second: a small network on handwritten digits, 14 hyperparameters.

The fitness of an individual is the mean probability that the trained network gives to the true class of 800 unseen
digits. It depends on the seed, as the fitness of every training does: its expectation is the mean over many seeds.
Task 0 is the one of the other benchmarks; every other task has data and a network of its own (see `Task`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution
from sklearn.datasets import load_digits

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Hyperparameter: distribution, default.
HYPERPARAMETERS: dict[str, tuple[FloatDistribution | IntDistribution, float]] = {
    "lr0": (FloatDistribution(1e-3, 3.0, log=True), 0.05),
    "lrf": (FloatDistribution(0.01, 1.0, log=True), 0.1),
    "momentum": (FloatDistribution(0.0, 0.98), 0.9),
    "weight_decay": (FloatDistribution(0.0, 0.02), 0.0005),
    "warmup_epochs": (FloatDistribution(0.0, 5.0), 1.0),
    "warmup_momentum": (FloatDistribution(0.0, 0.95), 0.8),
    "label_smoothing": (FloatDistribution(0.0, 0.3), 0.0),
    "dropout": (FloatDistribution(0.0, 0.6), 0.0),
    "init_gain": (FloatDistribution(0.2, 3.0), 1.0),
    "shift": (FloatDistribution(0.0, 1.0), 0.0),
    "noise": (FloatDistribution(0.0, 0.5), 0.0),
    "cutout": (FloatDistribution(0.0, 1.0), 0.0),
    "mixup": (FloatDistribution(0.0, 1.0), 0.0),
    "batch": (IntDistribution(8, 128, log=True), 32),
}
_EPOCHS, _CLASSES = 8, 10


@dataclass(frozen=True)
class Task:
    """What is trained on what: images (n, 64) in [0, 1] and classes (n,) to train with and to measure on."""

    x: NDArray[np.float64]
    classes: NDArray[np.int64]
    x_val: NDArray[np.float64]
    classes_val: NDArray[np.int64]
    hidden: int  # units of the network

    @classmethod
    @cache
    def numbered(cls, number: int) -> Task:
        """Return task 0, or one of another draw: 4 to 10 of the digits, 80 to 500 images, 12 to 96 units."""
        images, classes = load_digits(return_X_y=True)
        rng = np.random.default_rng(number)
        n_train, hidden, kept = 250, 32, np.arange(_CLASSES)
        if number > 0:
            n_train, hidden = (int(np.exp(rng.uniform(*np.log(ends)))) for ends in ((80, 500), (12, 96)))
            kept = rng.permutation(_CLASSES)[: rng.integers(4, _CLASSES + 1)]
        order = rng.permutation(np.flatnonzero(np.isin(classes, kept)))
        train_part, val_part = order[:n_train], order[n_train:][:800]
        return cls(
            images[train_part] / 16, classes[train_part], images[val_part] / 16, classes[val_part], hidden
        )


def train(hyp: dict[str, float], seed: int, task: int = 0, epochs: int = _EPOCHS) -> float:
    """Return the fitness of one training; a diverged one has 0."""
    training = Training(hyp, seed, task, epochs)
    for _ in range(epochs):
        training.epoch()
    return training.fitness()


class Training:
    """A training that goes on epoch by epoch, by the schedule of its whole length."""

    def __init__(self, hyp: dict[str, float], seed: int, task: int = 0, epochs: int = _EPOCHS) -> None:
        self._hyp, self._task, self._epochs = hyp, Task.numbered(task), epochs
        self._rng = rng = np.random.default_rng(seed)
        sizes = [(64, self._task.hidden), (self._task.hidden, _CLASSES)]
        self._weights = [
            rng.standard_normal(size) * hyp["init_gain"] * np.sqrt(2 / size[0]) for size in sizes
        ]
        self._biases = [np.zeros(size[1]) for size in sizes]
        self._speed = [np.zeros_like(p) for p in (*self._weights, *self._biases)]
        self._step = 0

    @np.errstate(all="ignore")
    def epoch(self) -> None:
        """Train for an epoch."""
        hyp, rng, weights, biases = self._hyp, self._rng, self._weights, self._biases
        x, classes = self._task.x, self._task.classes
        batch = int(hyp["batch"])
        per_epoch = -(-len(x) // batch)
        warmup = hyp["warmup_epochs"] * per_epoch
        order = rng.permutation(len(x))
        for step in range(self._step, self._step + per_epoch):
            chosen = order[step % per_epoch * batch :][:batch]
            progress = step / (self._epochs * per_epoch)
            warm = min(step / warmup, 1.0) if warmup else 1.0
            rate = hyp["lr0"] * (1 - progress * (1 - hyp["lrf"])) * warm
            momentum = hyp["warmup_momentum"] + warm * (hyp["momentum"] - hyp["warmup_momentum"])
            inputs = _augment(x[chosen], hyp, rng)
            targets = np.eye(_CLASSES)[classes[chosen]]
            if rng.random() < hyp["mixup"]:
                share, other = rng.uniform(0.5, 1.0), rng.permutation(len(chosen))
                inputs = share * inputs + (1 - share) * inputs[other]
                targets = share * targets + (1 - share) * targets[other]
            targets = targets * (1 - hyp["label_smoothing"]) + hyp["label_smoothing"] / _CLASSES
            hidden = np.maximum(inputs @ weights[0] + biases[0], 0.0)
            kept = (rng.random(hidden.shape) >= hyp["dropout"]) / (1 - hyp["dropout"])
            error = (_softmax(hidden * kept @ weights[1] + biases[1]) - targets) / len(chosen)
            back = (error @ weights[1].T) * kept * (hidden > 0)
            gradients = [
                inputs.T @ back + hyp["weight_decay"] * weights[0],
                (hidden * kept).T @ error + hyp["weight_decay"] * weights[1],
                back.sum(axis=0),
                error.sum(axis=0),
            ]
            for parameter, velocity, gradient in zip(
                (*weights, *biases), self._speed, gradients, strict=True
            ):
                velocity *= momentum
                velocity += gradient
                parameter -= rate * velocity
        self._step += per_epoch

    @np.errstate(all="ignore")
    def fitness(self) -> float:
        """Return the fitness as it is now; a diverged training has 0."""
        x, classes = self._task.x_val, self._task.classes_val
        hidden = np.maximum(x @ self._weights[0] + self._biases[0], 0.0)
        probabilities = _softmax(hidden @ self._weights[1] + self._biases[1])
        fitness = float(probabilities[np.arange(len(x)), classes].mean())
        return fitness if np.isfinite(fitness) else 0.0


def _augment(
    images: NDArray[np.float64], hyp: dict[str, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return images (n, 64) shifted by a pixel, noisy and with a hole, each as often or as much as asked."""
    grid = images.reshape(-1, 8, 8)
    if rng.random() < hyp["shift"]:
        grid = np.roll(grid, rng.integers(-1, 2, size=2), axis=(1, 2))
    grid = grid + hyp["noise"] * rng.standard_normal(grid.shape)
    if rng.random() < hyp["cutout"]:
        row, column = rng.integers(0, 6, size=2)
        grid[:, row : row + 3, column : column + 3] = 0.0
    return grid.reshape(-1, 64)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))
