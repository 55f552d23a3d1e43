"""Copy-paste of outlined objects: mirrored left to right, onto places where little is covered.

Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation", CVPR 2021.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .mosaic import CanvasLabels

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_COVERED = 0.30  # share of any existing box that a pasted object may hide


def copy_paste(
    canvas: NDArray[np.uint8],  # (3, side, side), changed in place
    labels: CanvasLabels,
    share: float,
    rng: np.random.Generator,
) -> CanvasLabels:
    """Paste a random `round(share · n)` of the n outlined objects; return the labels, theirs appended."""
    side = canvas.shape[-1]
    outlined = [i for i, polygon in enumerate(labels.polygons) if polygon is not None]
    chosen = rng.permutation(outlined)[: round(share * len(outlined))].tolist()
    boxes, pasted = labels.boxes, []
    for i in chosen:
        left, top, right, bottom = labels.boxes[i]
        mirrored = np.array([side - right, top, side - left, bottom], np.float32)
        if (covered(mirrored, boxes) < MOST_COVERED).all():
            boxes = np.concatenate((boxes, mirrored[None]))
            pasted.append(i)
    outlines = [polygon for i in pasted if (polygon := labels.polygons[i]) is not None]
    _paste(canvas, outlines)
    return CanvasLabels(
        np.concatenate((labels.classes, labels.classes[pasted])),
        boxes,
        labels.polygons + [np.stack((side - polygon[:, 0], polygon[:, 1]), axis=1) for polygon in outlines],
    )


def covered(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of each of the (n, 4) boxes' areas that lies under one (4,) box."""
    overlap = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    shares: NDArray[np.float32] = overlap.clip(0).prod(axis=1) / (area + 1e-7)
    return shares


def fill(polygon: NDArray[np.float32], height: int, width: int) -> NDArray[np.bool_]:
    """Return the (height, width) mask of the pixels whose centres lie inside, by the even-odd rule."""
    here, there = polygon, np.roll(polygon, -1, axis=0)
    rows = np.arange(height)[:, None] + 0.5
    crosses = (here[:, 1] <= rows) != (there[:, 1] <= rows)  # (height, edges)
    row, edge = np.nonzero(crosses)
    (x, y), (dx, dy) = here[edge].T, (there - here)[edge].T
    column = np.ceil(x + (row + 0.5 - y) * dx / dy - 0.5).clip(0, width).astype(np.int64)
    crossings = np.zeros((height, width + 1), np.int64)  # first pixel right of each crossing
    np.add.at(crossings, (row, column), 1)
    inside: NDArray[np.bool_] = crossings.cumsum(axis=1)[:, :width] % 2 == 1
    return inside


def _paste(canvas: NDArray[np.uint8], outlines: list[NDArray[np.float32]]) -> None:
    side = canvas.shape[-1]
    patches = []  # taken before any is pasted, so that no object shows what was pasted over it
    for polygon in outlines:
        (left, top), (right, bottom) = np.floor(polygon.min(axis=0)), np.ceil(polygon.max(axis=0))
        left, top, right, bottom = int(left), int(top), int(right), int(bottom)
        mask = fill(polygon - np.array([left, top], np.float32), bottom - top, right - left)
        patches.append((canvas[:, top:bottom, left:right].copy(), mask, top, side - right))
    for source, mask, top, left in patches:
        target = canvas[:, top : top + source.shape[1], left : left + source.shape[2]]
        np.copyto(target, source[..., ::-1], where=mask[:, ::-1])
