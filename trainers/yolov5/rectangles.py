"""Validation batches: images of like shape together, padded to the smallest rectangle that fits them all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from .feed import Feed
from .mosaic import PAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from .feed import Map
    from .images import Images
    from .split import Split


@dataclass(frozen=True)
class ValBatch:
    """Images of one rectangle, and what maps boxes in it back to native pixels: (x - pad) / ratio."""

    images: Tensor  # (B, 3, h, w) uint8 RGB
    targets: Tensor  # (n, 6) float32: image in batch, class, x, y, w, h normalised to the rectangle
    indices: list[int]  # of the images in the split
    native: list[tuple[int, int]]  # height, width before resizing
    ratio: list[float]  # resized / native height
    pad: list[tuple[float, float]]  # x, y; may end in .5, where the pixels start half a pixel earlier


class ValBatches:
    """The batches of a split in falling width to height, the same in every pass.

    Args:
        split: Whose images and labels.
        images: Its resized images.
        img: Their long side in pixels.
        batch: Images in a batch; the last may hold fewer.
        device: Where the tensors are wanted.
        stride: The sides of the rectangles are multiples of it.
        threads: That fill the next batch while one is in use, see `Feed`.
    """

    def __init__(
        self,
        split: Split,
        images: Images,
        *,
        img: int,
        batch: int,
        device: torch.device | str,
        stride: int = 32,
        threads: int | None = None,
    ) -> None:
        self.split = split
        self.images = images
        self._threads = threads
        self.device = torch.device(device)
        aspect = split.sizes[:, 0] / split.sizes[:, 1]
        # Not stable: YOLOv5 leaves equal shapes in the order that NumPy's quicksort gives, and who shares a
        # rectangle with whom moves mAP by up to .01 on COCO128.
        order = np.argsort(aspect)
        self.batches = [order[start : start + batch].tolist() for start in range(0, len(order), batch)]
        self.rectangles = [rectangle(aspect[members], img, stride) for members in self.batches]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[ValBatch]:
        feed = Feed(self.device, self._threads)
        for make in feed.ahead(partial(self._batch, feed), range(len(self))):
            yield make()

    def _batch(self, feed: Feed, number: int, share: Map) -> Callable[[], ValBatch]:
        """Fill and send a batch; return what receives it."""
        members, (height, width) = self.batches[number], self.rectangles[number]
        sizes, native = self.images.shapes[members], self.split.sizes[members]
        pads = (np.array([height, width]) - sizes) / 2
        block = feed.buffer(3 * len(members) * height * width).view(len(members), 3, height, width)

        def fill(place: int) -> None:
            top, left = (round(pad - 0.1) for pad in pads[place].tolist())
            picture = self.images[members[place]]
            frame = block[place].numpy()
            frame[:] = PAD
            frame[:, top : top + picture.shape[1], left : left + picture.shape[2]] = picture

        list(share(fill, range(len(members))))
        targets = [
            np.column_stack((np.full(len(boxes), place), padded(boxes, size, pad, height, width)))
            for place, (boxes, size, pad) in enumerate(
                zip((self.split.boxes[index] for index in members), sizes, pads, strict=True)
            )
        ]
        rows = np.concatenate(targets).astype(np.float32)
        floats = feed.buffer(rows.nbytes)
        floats.numpy()[:] = rows.reshape(-1).view(np.uint8)
        images, labels = feed.send(block), feed.send(floats)
        return lambda: ValBatch(
            images=images.received(),
            targets=labels.received().view(torch.float32).view(-1, 6),
            indices=members,
            native=[(int(h), int(w)) for h, w in native],
            ratio=(sizes[:, 0] / native[:, 0]).tolist(),
            pad=[(float(x), float(y)) for y, x in pads],
        )


def rectangle(aspect: NDArray[np.float64], img: int, stride: int) -> tuple[int, int]:
    """Return the (height, width) for images of these height/width ratios, half a stride or more to spare."""
    low, high = aspect.min(), aspect.max()
    shape = (high, 1.0) if high < 1 else (1.0, 1 / low) if low > 1 else (1.0, 1.0)
    height, width = (int(np.ceil(side * img / stride + 0.5)) * stride for side in shape)
    return height, width


def padded(
    boxes: NDArray[np.float32],  # (n, 5) class, x, y, w, h normalised to the image
    size: NDArray[np.int64],  # height, width of the image
    pad: NDArray[np.float64],  # top, left
    height: int,
    width: int,
) -> NDArray[np.float64]:
    """Return the boxes normalised to a padded rectangle and clipped to it, shape (n, 5)."""
    scale = size[::-1]
    centre, half = boxes[:, 1:3] * scale + pad[::-1], boxes[:, 3:5] * scale / 2
    frame = np.array([width, height])
    low, high = (np.clip(corner, 0, frame - 1e-3) for corner in (centre - half, centre + half))
    return np.column_stack((boxes[:, 0], (low + high) / 2 / frame, (high - low) / frame))
