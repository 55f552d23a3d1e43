"""Boxes: from logits to pixels, overlap of pairs, suppression of duplicates, back to the native image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_convert, nms

from .layers import STRIDES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MIN_OBJECTNESS = 0.001
MIN_SCORE = 0.001
MAX_CANDIDATES = 30_000  # an image
MAX_DETECTIONS = 300  # an image
NMS_IOU = 0.6
_AT_ONCE = 10_000  # boxes: suppression on a GPU holds a bit per pair


def decode_xy(logits: Tensor) -> Tensor:
    """Centre logits to the offset from the own cell's corner, -0.5 to 1.5 cells."""
    return logits.sigmoid() * 2 - 0.5


def decode_wh(logits: Tensor, anchors: Tensor) -> Tensor:
    """Size logits to 0 to 4 anchors, in the unit of the anchors."""
    return (logits.sigmoid() * 2) ** 2 * anchors


def decode(level: Tensor, anchors: Tensor, stride: int, at: tuple[Tensor, ...]) -> Tensor:
    """Decode the chosen predictions of one level.

    Args:
        level: (B, anchors, ny, nx, 5 + classes) logits.
        anchors: (anchors, 2) in cells.
        stride: Pixels per cell.
        at: Image, anchor, row and column of each of n predictions.

    Returns:
        (n, 5 + classes) centre x, y, width, height in pixels, objectness, class probabilities.
    """
    _, anchor, row, column = at
    logits = level[at].float()
    corner = torch.stack((column, row), 1)
    xy = (decode_xy(logits[:, :2]) + corner) * stride
    wh = decode_wh(logits[:, 2:4], anchors[anchor]) * stride
    return torch.cat((xy, wh, logits[:, 4:].sigmoid()), 1)


def paired_ciou(a: Tensor, b: Tensor, eps: float = 1e-7) -> Tensor:
    """Complete IoU of box pairs (Zheng et al. 2020, arXiv:1911.08287).

    torchvision's `complete_box_iou_loss` selects by mask, which makes CUDA wait; this one does not.

    Args:
        a: (n, 4) centre x, y, width, height.
        b: (n, 4) the same; the aspect term's weight takes no gradient.
        eps: Keeps empty boxes from dividing by zero.

    Returns:
        (n,) IoU less centre distance and aspect terms, -1.5 to 1.
    """
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = _corners(a), _corners(b)
    overlap_w = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp(0)
    overlap_h = (torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp(0)
    overlap = overlap_w * overlap_h
    iou = overlap / (a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - overlap + eps)
    hull_w = torch.maximum(ax2, bx2) - torch.minimum(ax1, bx1)
    hull_h = torch.maximum(ay2, by2) - torch.minimum(ay1, by1)
    distance = ((a[:, :2] - b[:, :2]) ** 2).sum(1) / (hull_w**2 + hull_h**2 + eps)
    angle = torch.atan(b[:, 2] / (b[:, 3] + eps)) - torch.atan(a[:, 2] / (a[:, 3] + eps))
    aspect = 4 / math.pi**2 * angle**2
    weight = (aspect / (1 - iou + aspect + eps)).detach()
    return iou - distance - weight * aspect


def _corners(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x, y, w, h = boxes.unbind(1)
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def detect(levels: Sequence[Tensor], anchors: Tensor) -> list[Tensor]:
    """Turn a batch's logits into detections, several classes per box allowed.

    Args:
        levels: (B, anchors, ny, nx, 5 + classes) logits of each level.
        anchors: (levels, anchors, 2) in cells.

    Returns:
        Per image (k, 6): x1, y1, x2, y2 in pixels of the batch, score, class; falling score, k at most 300. They are
        on the CPU: a GPU hands over a batch in one go.
    """
    image, rows = _candidates(levels, anchors)
    if rows.is_cuda:
        return detect_together(image, rows, len(levels[0]))
    counts = torch.bincount(image, minlength=len(levels[0])).tolist()
    return [_detections(part) for part in torch.split(rows, counts)]


def _candidates(levels: Sequence[Tensor], anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the images (n,), growing, and the decoded rows (n, 5 + classes) of the likely objects."""
    images, rows = [], []
    for level, level_anchors, stride in zip(levels, anchors, STRIDES, strict=True):
        at = torch.nonzero(level[..., 4].sigmoid() > MIN_OBJECTNESS, as_tuple=True)
        images.append(at[0])
        rows.append(decode(level, level_anchors, stride, at))
    image, order = torch.cat(images).sort(stable=True)
    return image, torch.cat(rows)[order]


def detect_together(image: Tensor, rows: Tensor, count: int) -> list[Tensor]:
    """Find the detections of all images with a few waits for the GPU, where one image after the other has several each.

    Args:
        image: (n,) growing.
        rows: (n, 5 + classes) decoded.
        count: Images of the batch.

    Returns:
        As `detect`. Boxes are suppressed in double precision, far apart for each image and class.
    """
    classes = rows.shape[1] - 5
    scores = rows[:, 5:] * rows[:, 4:5]
    row, label = torch.nonzero(scores > MIN_SCORE, as_tuple=True)
    order = scores[row, label].argsort(descending=True, stable=True)
    order = order[image[row[order]].argsort(stable=True)]
    row, label = row[order], label[order]
    image, score = image[row], scores[row, label]
    boxes = box_convert(rows[row, :4], "cxcywh", "xyxy")
    apart = boxes.double()
    if len(boxes):
        apart += (image * classes + label)[:, None] * (apart.max() - apart.min() + 1)
    sizes = torch.bincount(image, minlength=count).tolist()
    starts = [sum(sizes[:i]) for i in range(count)]
    kept: dict[int, Tensor] = {}
    waiting, prefix = list(range(count)), 4 * MAX_DETECTIONS  # as in `_suppress`
    while waiting:
        lengths = {i: min(prefix, sizes[i], MAX_CANDIDATES) for i in waiting}
        waiting = []
        for group in _groups(lengths):
            spans = [(starts[i], starts[i] + lengths[i]) for i in group]
            index = torch.cat([torch.arange(*span, device=image.device) for span in spans])
            keep = index[nms(apart[index], score[index].double(), NMS_IOU)]
            keep = keep[image[keep].argsort(stable=True)]
            found = torch.bincount(image[keep], minlength=count).tolist()
            for i, own in zip(group, torch.split(keep, [found[i] for i in group]), strict=True):
                kept[i] = own[:MAX_DETECTIONS]
                if len(own) < MAX_DETECTIONS and lengths[i] == prefix < min(sizes[i], MAX_CANDIDATES):
                    waiting.append(i)
        prefix *= 4
    keep = torch.cat([kept[i] for i in range(count)])
    detections = torch.cat((boxes[keep], score[keep, None], label[keep, None].float()), 1).cpu()
    return list(torch.split(detections, [len(kept[i]) for i in range(count)]))


def _groups(lengths: Mapping[int, int]) -> Iterator[list[int]]:
    """Gather images whose boxes are suppressed at once."""
    group: list[int] = []
    for i, length in lengths.items():
        if group and sum(lengths[other] for other in group) + length > _AT_ONCE:
            yield group
            group = []
        group.append(i)
    yield group


def _detections(rows: Tensor) -> Tensor:
    """(n, 5 + classes) predictions of one image to its (k, 6) detections."""
    scores = rows[:, 5:] * rows[:, 4:5]
    row, label = torch.nonzero(scores > MIN_SCORE, as_tuple=True)
    score, order = scores[row, label].sort(descending=True, stable=True)
    order = order[:MAX_CANDIDATES]
    row, label, score = row[order], label[order], score[: len(order)]
    boxes = box_convert(rows[row, :4], "cxcywh", "xyxy")
    keep = _suppress(boxes, score, label)
    return torch.cat((boxes[keep], score[keep, None], label[keep, None].float()), 1)


def _suppress(boxes: Tensor, score: Tensor, label: Tensor) -> Tensor:
    """Indices kept by class-aware suppression, at most 300; the boxes come by falling score.

    Suppression is greedy from the top, so what it keeps of a prefix it keeps of the whole: growing the prefix
    until 300 are kept gives the same detections without looking at thousands of faint candidates.
    """
    prefix = 4 * MAX_DETECTIONS
    while True:
        keep: Tensor = batched_nms(boxes[:prefix], score[:prefix], label[:prefix], NMS_IOU)
        if len(keep) >= MAX_DETECTIONS or prefix >= len(boxes):
            return keep[:MAX_DETECTIONS]
        prefix *= 4


def to_native(xyxy: Tensor, native: tuple[int, int], ratio: float, pad: tuple[float, float]) -> Tensor:
    """Undo resize and padding, clip to the image.

    Args:
        xyxy: (n, 4) in pixels of the padded image.
        native: Height and width of the image before the resize.
        ratio: Resized over native size.
        pad: Padding left and above, in pixels.

    Returns:
        (n, 4) in pixels of the native image.
    """
    height, width = native
    shift = xyxy.new_tensor((*pad, *pad))
    limit = xyxy.new_tensor((width, height, width, height))
    return torch.minimum(((xyxy - shift) / ratio).clamp(0), limit)
