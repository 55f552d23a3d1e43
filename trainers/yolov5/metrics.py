"""Average precision: which detections are right at which overlap, and what their curves amount to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

if TYPE_CHECKING:
    from numpy.typing import NDArray

IOU_THRESHOLDS = 10  # 0.50, 0.55, … 0.95
_CONFIDENCES = np.linspace(0, 1, 1000)  # grid on which curves of classes are averaged
_RECALLS = np.linspace(0, 1, 101)  # grid on which precision is interpolated
_SMOOTHING = 101  # grid points of the box filter on the mean F1 curve: a tenth of the grid, odd


@dataclass(frozen=True)
class Scores:
    """Detection quality of one dataset; per-class rows are the classes that have labels."""

    precision: float  # mean over classes, at the confidence of the best mean F1
    recall: float
    map50: float
    map50_95: float
    classes: NDArray[np.int64]  # (c,)
    class_precision: NDArray[np.float64]  # (c,)
    class_recall: NDArray[np.float64]  # (c,)
    ap: NDArray[np.float64]  # (c, 10) average precision at each IoU threshold
    curve: NDArray[np.float64]  # (c, 101) precision over recall at IoU 0.5


def match(detections: Tensor, labels: Tensor) -> Tensor:
    """Decide which detections of one image are right.

    A detection keeps the label of its class that it overlaps best; of the detections that keep a label with
    enough overlap, the most confident one is right.

    Args:
        detections: (d, 6) x1, y1, x2, y2, confidence, class; falling confidence.
        labels: (l, 5) class, x1, y1, x2, y2.

    Returns:
        (d, 10) bool, one column per IoU threshold.
    """
    count = len(detections)
    if not count or not len(labels):
        return detections.new_zeros((count, IOU_THRESHOLDS), dtype=torch.bool)
    thresholds = torch.linspace(0.5, 0.95, IOU_THRESHOLDS, device=detections.device)
    same = labels[:, :1] == detections[:, 5]
    iou, label = torch.where(same, box_iou(labels[:, 1:], detections[:, :4]), -1.0).max(0)
    enough = iou[:, None] >= thresholds  # (d, 10)
    rank = torch.arange(count, device=iou.device)[:, None]
    claim = torch.where(enough, rank, count)
    label = label[:, None].expand_as(claim)
    first = claim.new_full((len(labels), IOU_THRESHOLDS), count).scatter_reduce(0, label, claim, "amin")
    return enough & (first.gather(0, label) == rank)


def score(
    right: NDArray[np.bool_],
    confidence: NDArray[np.float32],
    detected: NDArray[np.int64],
    labelled: NDArray[np.int64],
) -> Scores:
    """Score all detections of a dataset.

    Args:
        right: (n, 10) from `match`.
        confidence: (n,).
        detected: (n,) class of each detection.
        labelled: (m,) class of each label.
    """
    order = np.argsort(-confidence, kind="stable")
    right, confidence, detected = right[order], confidence[order], detected[order]
    classes, totals = np.unique(labelled, return_counts=True)
    precision = np.zeros((len(classes), len(_CONFIDENCES)))
    recall = np.zeros((len(classes), len(_CONFIDENCES)))
    ap = np.zeros((len(classes), IOU_THRESHOLDS))
    curve = np.zeros((len(classes), len(_RECALLS)))
    for row, (label, total) in enumerate(zip(classes, totals, strict=True)):
        own = detected == label
        if not own.any():
            continue
        hits = right[own].cumsum(0)  # (k, 10)
        found = hits / total
        exact = hits / np.arange(1, len(hits) + 1)[:, None]
        falling = -confidence[own]
        recall[row] = np.interp(-_CONFIDENCES, falling, found[:, 0], left=0)
        precision[row] = np.interp(-_CONFIDENCES, falling, exact[:, 0], left=1)
        interpolated = [_envelope(found[:, j], exact[:, j]) for j in range(IOU_THRESHOLDS)]
        curve[row] = interpolated[0]
        ap[row] = np.trapezoid(interpolated, _RECALLS, axis=1)
    best = _best_f1(precision, recall)
    return Scores(
        precision=_mean(precision[:, best]),
        recall=_mean(recall[:, best]),
        map50=_mean(ap[:, 0]),
        map50_95=_mean(ap),
        classes=classes,
        class_precision=precision[:, best],
        class_recall=recall[:, best],
        ap=ap,
        curve=curve,
    )


def _envelope(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Best precision at no less than each of the 101 recalls, interpolated."""
    recall = np.concatenate(([0.0], recall, [1.0]))
    precision = np.concatenate(([1.0], precision, [0.0]))
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return np.interp(_RECALLS, recall, best)


def _best_f1(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> int:
    """Index of the confidence with the highest smoothed mean F1."""
    if not len(precision):
        return 0
    f1 = (2 * precision * recall / (precision + recall + 1e-16)).mean(0)
    padded = np.pad(f1, _SMOOTHING // 2, mode="edge")
    return int(np.convolve(padded, np.full(_SMOOTHING, 1 / _SMOOTHING), mode="valid").argmax())


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0
