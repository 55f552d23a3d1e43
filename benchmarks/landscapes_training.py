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


def train(hyp: dict[str, float], seed: int, task: int = 0) -> float:
    """Return the fitness of one training; a diverged one has 0."""
    with np.errstate(all="ignore"):
        fitness = _train(hyp, np.random.default_rng(seed), Task.numbered(task))
    return fitness if np.isfinite(fitness) else 0.0


def _train(hyp: dict[str, float], rng: np.random.Generator, task: Task) -> float:
    x, classes, x_val, classes_val = task.x, task.classes, task.x_val, task.classes_val
    batch = int(hyp["batch"])
    sizes = [(64, task.hidden), (task.hidden, _CLASSES)]
    weights = [rng.standard_normal(size) * hyp["init_gain"] * np.sqrt(2 / size[0]) for size in sizes]
    biases = [np.zeros(size[1]) for size in sizes]
    speed = [np.zeros_like(p) for p in (*weights, *biases)]
    per_epoch = -(-len(x) // batch)
    warmup = hyp["warmup_epochs"] * per_epoch
    for step in range(_EPOCHS * per_epoch):
        if step % per_epoch == 0:
            order = rng.permutation(len(x))
        chosen = order[step % per_epoch * batch :][:batch]
        progress = step / (_EPOCHS * per_epoch)
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
        for parameter, velocity, gradient in zip((*weights, *biases), speed, gradients, strict=True):
            velocity *= momentum
            velocity += gradient
            parameter -= rate * velocity
    hidden = np.maximum(x_val @ weights[0] + biases[0], 0.0)
    probabilities = _softmax(hidden @ weights[1] + biases[1])
    return float(probabilities[np.arange(len(x_val)), classes_val].mean())


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
