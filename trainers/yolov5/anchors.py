"""Anchors that fit the labels: k-means over label sizes, refined by small mutations."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans

from .layers import STRIDES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

ENOUGH_RECALL = 0.98  # at a best possible recall above this the anchors stay
MUTATIONS = 1000
MAX_LABELS = 30_000  # a sample of so many labels stands for larger datasets
MIN_SIDE = 2.0  # pixels; smaller labels are left out, smaller anchors never made

Sizes: TypeAlias = NDArray[np.float64]  # (n, 2) width and height in pixels


def label_sizes(
    boxes: Sequence[NDArray[np.float32]], native: NDArray[np.int64], img: int, rng: np.random.Generator
) -> Sizes:
    """Sizes of labels as the training will see them.

    Args:
        boxes: Per image (n, 5) class, centre x, y, width, height as fractions.
        native: (images, 2) height and width.
        img: Longest side of a training image.
        rng: Scales each image by 0.9 to 1.1.

    Returns:
        (n, 2) width and height in pixels.
    """
    shown = native[:, ::-1] * (img / native.max(1, keepdims=True))  # (images, 2) width, height
    shown = shown * rng.uniform(0.9, 1.1, (len(native), 1))
    sizes = [image[:, 3:5] * size for image, size in zip(boxes, shown, strict=True)]
    return np.concatenate(sizes).astype(np.float64) if sizes else np.zeros((0, 2))


def best_possible_recall(sizes: Sizes, anchors: Sizes, threshold: float) -> float:
    """Share of labels that some anchor may answer for; `threshold` is the hyperparameter anchor_t."""
    return float((_fit(sizes, anchors) > 1 / threshold).mean()) if len(sizes) else 1.0


def fit_anchors(
    anchors: Tensor, sizes: Sizes, *, threshold: float, rng: np.random.Generator, fresh: bool = False
) -> Tensor:
    """Replace anchors that fit the labels badly.

    Args:
        anchors: (levels, anchors per level, 2) in cells.
        sizes: Label sizes in pixels.
        threshold: The hyperparameter anchor_t.
        rng: Of the k-means and the mutations.
        fresh: The anchors are placeholders: replace them in any case.

    Returns:
        The anchors to use, of the same shape: the given ones, or new ones from small to large.
    """
    stride = np.array(STRIDES)[:, None, None]
    pixels = anchors.cpu().double().numpy() * stride
    recall = best_possible_recall(sizes, pixels.reshape(-1, 2), threshold)
    if not fresh and recall > ENOUGH_RECALL:
        return anchors
    made = make_anchors(sizes, pixels[..., 0].size, threshold=threshold, rng=rng)
    if not fresh and best_possible_recall(sizes, made, threshold) <= recall:
        return anchors
    return torch.from_numpy(made.reshape(pixels.shape) / stride).to(anchors)


def make_anchors(sizes: Sizes, count: int, *, threshold: float, rng: np.random.Generator) -> Sizes:
    """Return `count` anchors for the label sizes, by rising area."""
    sizes = sizes[(sizes >= MIN_SIDE).any(1)]
    if len(sizes) > MAX_LABELS:
        sizes = rng.choice(sizes, MAX_LABELS, replace=False)
    anchors = _cluster(sizes, count, rng)
    best = _fitness(sizes, anchors, threshold)
    for _ in range(MUTATIONS):
        child = np.maximum(anchors * _factors(anchors.shape, rng), MIN_SIDE)
        fitness = _fitness(sizes, child, threshold)
        if fitness > best:
            anchors, best = child, fitness
    rising: Sizes = anchors[anchors.prod(1).argsort(kind="stable")]
    return rising


def _cluster(sizes: Sizes, count: int, rng: np.random.Generator) -> Sizes:
    """Centres of `count` clusters; where the labels don't hold so many, sizes spread between their extremes."""
    if len(np.unique(sizes, axis=0)) >= count:
        spread = np.maximum(sizes.std(0), 1e-9)
        centres = kmeans(sizes / spread, count, iter=30, rng=rng)[0] * spread
        if len(centres) == count:
            return np.asarray(centres)
    low, high = (sizes.min(0), sizes.max(0)) if len(sizes) else (np.full(2, 8.0), np.full(2, 512.0))
    return np.geomspace(low / 1.5, high * 1.5, count)


def _factors(shape: tuple[int, ...], rng: np.random.Generator) -> Sizes:
    """Mutation factors near 1, at least one of them not 1."""
    while True:
        moved = (rng.random(shape) < 0.9) * rng.standard_normal(shape) * rng.random() * 0.1
        if moved.any():
            return np.clip(1 + moved, 0.3, 3.0)


def _fitness(sizes: Sizes, anchors: Sizes, threshold: float) -> float:
    """Mean fit of the labels that an anchor may answer for, 0 for the others."""
    fit = _fit(sizes, anchors)
    return float((fit * (fit > 1 / threshold)).mean()) if len(fit) else 0.0


def _fit(sizes: Sizes, anchors: Sizes) -> NDArray[np.float64]:
    """(n,) how well each label's best anchor fits, 0 to 1: the worse side's ratio, smaller over larger."""
    ratio = np.log(np.maximum(sizes, 1e-9))[:, None] - np.log(anchors)
    fit: NDArray[np.float64] = np.exp(-np.abs(ratio).max(2).min(1))
    return fit
