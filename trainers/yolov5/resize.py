"""Resizing of 8-bit images, level for level as OpenCV does it: bilinear, or the mean over each pixel's area."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shrink = Literal["bilinear", "area"]

_ONE = 2048  # a bilinear weight of 1: OpenCV's are whole multiples of 1/2048


def fitted(height: int, width: int, img: int) -> tuple[int, int]:
    """Return the (height, width) whose long side is `img`; both are cut to whole pixels, not rounded."""
    ratio = img / max(height, width)
    return max(int(height * ratio), 1), max(int(width * ratio), 1)


def resized(image: NDArray[np.uint8], height: int, width: int, shrink: Shrink) -> NDArray[np.uint8]:
    """Return (h, w, 3) in another size; `shrink` says how it gets smaller, larger it gets bilinearly."""
    if image.shape[:2] == (height, width):
        return image
    smaller = height < image.shape[0] or width < image.shape[1]
    return (area if smaller and shrink == "area" else bilinear)(image, height, width)


def bilinear(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Sample (h, w, 3) at the centres of new pixels, between the four nearest old ones; no antialiasing."""
    left, right, to_right = _neighbours(image.shape[1], width)
    above, below, to_below = _neighbours(len(image), height)
    to_right, to_below = to_right[:, None], to_below[:, None, None]
    needed, place = np.unique(np.concatenate((above, below)), return_inverse=True)
    image = image[needed]  # of a large photograph a small part
    rows = image[:, left] * (_ONE - to_right) + image[:, right] * to_right
    rows >>= 4  # so that the products below fit into 32 bits
    levels = (rows[place[:height]] * (_ONE - to_below) >> 16) + (rows[place[height:]] * to_below >> 16)
    return (levels + 2 >> 2).astype(np.uint8)


def area(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Shrink (h, w, 3): each new pixel is the mean of the old ones it covers, weighted by overlap.

    Means are rounded to the nearest level. At exactly half the size a quarter of them lie half-way, and go up;
    otherwise half-way goes to the even level.
    """
    rows = _shrink_rows(image, height)
    both = _shrink_rows(rows.transpose(1, 0, 2), width).transpose(1, 0, 2)
    halved = image.shape[:2] == (2 * height, 2 * width)
    return np.ascontiguousarray(np.floor(both + 0.5) if halved else np.rint(both)).astype(np.uint8)


def _neighbours(length: int, size: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return for each of `size` samples the old pixels on both sides, and the weight of the second."""
    place = ((np.arange(size) + 0.5) * (length / size) - 0.5).clip(0, length - 1)
    first = np.floor(place).astype(np.int32)
    weight = np.rint((place - first) * _ONE).astype(np.int32)
    return first, np.minimum(first + 1, length - 1), weight


def _shrink_rows(image: NDArray[np.uint8] | NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Shrink axis 0 to `size` rows, each the overlap-weighted mean of the old rows it covers."""
    length = len(image)
    edges = np.arange(size + 1) * (length / size)  # of the new rows, in old ones
    first = np.floor(edges[:-1]).astype(np.int64)
    shrunk = np.zeros((size, *image.shape[1:]), np.float32)
    for step in range(int(np.ceil(length / size)) + 1):  # the most old rows that a new one can touch
        row = first + step
        overlap = np.minimum(row + 1, edges[1:]) - np.maximum(row, edges[:-1])
        weight = np.clip(overlap, 0, None) * (size / length)
        shrunk += weight[:, None, None].astype(np.float32) * image[np.minimum(row, length - 1)]
    return shrunk
