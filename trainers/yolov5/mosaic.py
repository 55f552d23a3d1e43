"""The canvas of a training sample, twice the output's side: one image in its middle or four about a point."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .images import Images
    from .split import Split

PAD = 114  # grey level where no image is
RIM = 1  # pixels around a canvas, as wide as bilinear sampling reaches

Window = tuple[int, int, int, int]  # top, left, bottom, right on a canvas, pixels


class Placement(NamedTuple):
    """Where an image lies on a canvas; what reaches over the canvas is cut off."""

    image: int  # index in the split
    top: int  # pixels
    left: int
    height: int
    width: int


class CanvasLabels(NamedTuple):
    """Labels in canvas pixels, in step with each other."""

    classes: NDArray[np.float32]  # (n,)
    boxes: NDArray[np.float32]  # (n, 4) left, top, right, bottom
    polygons: list[NDArray[np.float32] | None]  # n times (m, 2) x, y


def mosaic(
    images: Sequence[int], shapes: NDArray[np.int64], centre: tuple[float, float], img: int
) -> list[Placement]:
    """Place four images so that a corner of each touches a common point.

    Args:
        images: Their indices, in the order top left, top right, bottom left, bottom right.
        shapes: (N, 2) height, width of all images, none above `img`.
        centre: x and y of the point, each from 0 to 1 over the middle half of the canvas.
        img: Side of the output; the canvas has twice as much.
    """
    x, y = (int(img / 2 + img * share) for share in centre)
    placements = []
    for image, right, below in zip(images, (0, 1, 0, 1), (0, 0, 1, 1), strict=True):
        height, width = map(int, shapes[image])
        top, left = (y if below else y - height), (x if right else x - width)
        placements.append(Placement(image, top, left, height, width))
    return placements


def single(image: int, shapes: NDArray[np.int64], img: int) -> list[Placement]:
    """Place one image in the middle of the canvas."""
    height, width = map(int, shapes[image])
    top, left = (img // 2 + round((img - side) / 2 - 0.1) for side in (height, width))
    return [Placement(image, top, left, height, width)]


def paint(
    framed: NDArray[np.uint8],  # (3, bottom - top + 2·RIM, right - left + 2·RIM) of the window
    placements: Sequence[Placement],
    images: Images,
    window: Window,
) -> None:
    """Draw the part of a canvas that lies in a window, with a rim: the images, and grey where none is."""
    top_seen, left_seen, bottom_seen, right_seen = window
    framed[:] = PAD
    canvas = framed[:, RIM:-RIM, RIM:-RIM]
    for image, top, left, height, width in placements:
        upper, lower = max(top, top_seen), min(top + height, bottom_seen)
        first, last = max(left, left_seen), min(left + width, right_seen)
        if upper < lower and first < last:
            pixels = images[image][:, upper - top : lower - top, first - left : last - left]
            canvas[:, upper - top_seen : lower - top_seen, first - left_seen : last - left_seen] = pixels


def place_labels(placements: Sequence[Placement], split: Split, side: int) -> CanvasLabels:
    """Move the images' labels onto the canvas and clip them to it."""
    classes, boxes = [], []
    polygons: list[NDArray[np.float32] | None] = []
    for image, top, left, height, width in placements:
        size, corner = np.array([width, height], np.float32), np.array([left, top], np.float32)
        labels = split.boxes[image]
        centre, half = labels[:, 1:3] * size + corner, labels[:, 3:5] * size / 2
        classes.append(labels[:, 0])
        boxes.append(np.concatenate((centre - half, centre + half), axis=1))
        polygons += [
            None if polygon is None else np.clip(polygon * size + corner, 0, side)
            for polygon in split.polygons[image]
        ]
    return CanvasLabels(np.concatenate(classes), np.clip(np.concatenate(boxes), 0, side), polygons)
