"""Resizing of 8-bit images: bilinear samples, or the exact mean over the area that each new pixel covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fitted(height: int, width: int, img: int) -> tuple[int, int]:
    """Return the (height, width) whose long side is `img`; both are cut to whole pixels, not rounded."""
    ratio = img / max(height, width)
    return max(int(height * ratio), 1), max(int(width * ratio), 1)


def bilinear(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Sample (h, w, 3) at the centres of new pixels, between the four nearest old ones; no antialiasing."""
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()  # uint8 would round after each axis
    resized = F.interpolate(planes, (height, width), mode="bilinear", align_corners=False)
    return np.ascontiguousarray((resized[0] + 0.5).byte().permute(1, 2, 0).numpy())


def area(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Shrink (h, w, 3): each new pixel is the mean of the old ones it covers, weighted by overlap.

    Rounded to the nearest level; at exactly half the size, where a quarter of the means are halves, halves go
    up, otherwise to the even level: so does the area resampling of OpenCV that YOLOv5 validates with.
    """
    rows = _shrink_rows(image.astype(np.float32), height)
    both = _shrink_rows(rows.transpose(1, 0, 2), width).transpose(1, 0, 2)
    halved = image.shape[:2] == (2 * height, 2 * width)
    return np.ascontiguousarray(np.floor(both + 0.5) if halved else np.rint(both)).astype(np.uint8)


def _shrink_rows(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
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
