"""Pictures to look at: images of a batch side by side, with their labels or with what a detector found."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch.nn import functional as F
from torchvision.utils import draw_bounding_boxes, make_grid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from .rectangles import ValBatch

MOST_IMAGES = 16
MOST_WIDTH = 1920  # pixels of a picture
CONFIDENT = 0.25  # confidence from which a detection is drawn


def labelled_mosaic(images: Tensor, targets: Tensor, names: Sequence[str]) -> Tensor:
    """Return a picture (3, H, W) uint8 of a batch with its labels.

    Args:
        images: (B, 3, h, w) uint8 RGB.
        targets: (n, 6) image in batch, class, x, y, w, h normalised.
        names: Of the classes.
    """
    images, targets = images[:MOST_IMAGES].cpu(), targets.cpu()
    size = torch.tensor([images.shape[3], images.shape[2]])
    drawn = []
    for number, image in enumerate(images):
        rows = targets[targets[:, 0] == number]
        centre, half = rows[:, 2:4] * size, rows[:, 4:6] * size / 2
        classes = rows[:, 1].int().tolist()
        captions = [names[label] for label in classes]
        drawn.append(_draw(image, torch.cat((centre - half, centre + half), 1), classes, captions))
    return _grid(drawn)


def predicted_mosaic(batch: ValBatch, detections: Mapping[int, Tensor], names: Sequence[str]) -> Tensor:
    """Return a picture (3, H, W) uint8 of a batch with the confident detections.

    Args:
        batch: Validation images.
        detections: Per image of the split (d, 6) x1, y1, x2, y2 in native pixels, confidence, class.
        names: Of the classes.
    """
    drawn = []
    places = zip(batch.images[:MOST_IMAGES].cpu(), batch.indices, batch.ratio, batch.pad, strict=False)
    for image, index, ratio, pad in places:
        found = detections[index]
        found = found[found[:, 4] >= CONFIDENT]
        classes = found[:, 5].int().tolist()
        captions = [
            f"{names[label]} {confidence:.2f}"
            for label, confidence in zip(classes, found[:, 4].tolist(), strict=True)
        ]
        drawn.append(_draw(image, found[:, :4] * ratio + torch.tensor([*pad, *pad]), classes, captions))
    return _grid(drawn)


def save_picture(path: Path, picture: Tensor) -> None:
    """Write a (3, H, W) uint8 picture as JPEG; its folder is created when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.permute(1, 2, 0).numpy()).save(path, quality=85)


def _draw(image: Tensor, boxes: Tensor, classes: Iterable[int], captions: list[str]) -> Tensor:
    if not len(boxes):
        return image
    ordered = torch.cat((boxes[:, :2], torch.maximum(boxes[:, :2], boxes[:, 2:])), 1)
    drawn: Tensor = draw_bounding_boxes(
        image, ordered, captions, colors=[_colour(c) for c in classes], width=2
    )
    return drawn


def _colour(label: int) -> tuple[int, int, int]:
    """Return a bright colour; the golden ratio keeps those of neighbouring classes apart."""
    red, green, blue = colorsys.hsv_to_rgb(label * 0.618034 % 1, 0.9, 1)
    return round(255 * red), round(255 * green), round(255 * blue)


def _grid(images: Sequence[Tensor]) -> Tensor:
    columns = -(-len(images) // max(int(len(images) ** 0.5), 1))  # as square as it goes, rather wide
    grid: Tensor = make_grid(torch.stack(list(images)), nrow=columns, pad_value=255)
    if grid.shape[2] > MOST_WIDTH:
        size = (grid.shape[1] * MOST_WIDTH // grid.shape[2], MOST_WIDTH)
        grid = F.interpolate(grid[None], size, mode="bilinear", antialias=True)[0]
    return grid
