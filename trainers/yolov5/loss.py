"""The detection loss: complete IoU of boxes, binary cross-entropy of objectness and classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .assign import Assignment, assign
from .boxes import decode_wh, decode_xy, paired_ciou

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEVEL_BALANCE = (4.0, 1.0, 0.4)  # weight of each level's objectness, strides 8, 16, 32
FOCAL_ALPHA = 0.25


@dataclass(frozen=True)
class LossGains:
    """What the loss takes from the hyperparameters; the gains are those of 80 classes at 640 pixels."""

    box: float = 0.05
    obj: float = 1.0
    cls: float = 0.5
    obj_pw: float = 1.0  # weight of positive objectness
    cls_pw: float = 1.0  # weight of positive classes
    anchor_t: float = 4.0
    fl_gamma: float = 0.0  # focal exponent, 0: plain cross-entropy
    label_smoothing: float = 0.0

    @classmethod
    def scaled(cls, hyp: Mapping[str, float], *, classes: int, img: int, label_smoothing: float) -> LossGains:
        """Scale the hyperparameters' gains to the number of classes and the image size."""
        return cls(
            box=hyp["box"],
            obj=hyp["obj"] * (img / 640) ** 2,
            cls=hyp["cls"] * classes / 80,
            obj_pw=hyp["obj_pw"],
            cls_pw=hyp["cls_pw"],
            anchor_t=hyp["anchor_t"],
            fl_gamma=hyp["fl_gamma"],
            label_smoothing=label_smoothing,
        )


def detection_loss(
    levels: Sequence[Tensor], targets: Tensor, anchors: Tensor, gains: LossGains
) -> tuple[Tensor, Tensor]:
    """Compare logits with targets. Nothing waits for the GPU.

    Args:
        levels: (B, anchors, ny, nx, 5 + classes) logits of each level.
        targets: (t, 6) image, class, centre x, y, width, height; boxes as fractions of the input; t may be 0.
        anchors: (levels, anchors, 2) in cells.
        gains: The scaled hyperparameters.

    Returns:
        The total times the batch size, to differentiate; and (3,) its box, objectness, class parts, detached.
    """
    grids = [(level.shape[2], level.shape[3]) for level in levels]
    box = obj = cls = levels[0].new_zeros((), dtype=torch.float32)
    for level, assignment, balance in zip(
        levels, assign(targets, grids, anchors, gains.anchor_t), LEVEL_BALANCE, strict=True
    ):
        if not targets.is_cuda:  # counting is free here, and most candidates answer for nothing
            assignment = assignment.compact()
        at = (assignment.image, assignment.anchor, assignment.row, assignment.column)
        logits = level[at].float()  # (n, 5 + classes)
        xy, wh = decode_xy(logits[:, :2]), decode_wh(logits[:, 2:4], assignment.shape)
        iou = paired_ciou(torch.cat((xy, wh), 1), assignment.box)
        box = box + _mean(1 - iou, assignment.valid)
        aim = objectness_targets(iou.detach().clamp(0), assignment, level.shape[:4])
        obj = obj + _cross_entropy(level[..., 4].float(), aim, gains.obj_pw, gains.fl_gamma).mean() * balance
        if logits.shape[1] > 6:  # a single class is objectness again
            smooth = gains.label_smoothing / 2
            wanted = F.one_hot(assignment.label, logits.shape[1] - 5) * (1 - 2 * smooth) + smooth
            loss = _cross_entropy(logits[:, 5:], wanted, gains.cls_pw, gains.fl_gamma)
            cls = cls + _mean(loss.mean(1), assignment.valid)
    parts = torch.stack((box * gains.box, obj * gains.obj, cls * gains.cls))
    return parts.sum() * len(levels[0]), parts.detach()


def objectness_targets(iou: Tensor, assignment: Assignment, shape: Sequence[int]) -> Tensor:
    """Spread the assigned predictions' IoU over a level; where several meet, the last one stays.

    An indexed write would leave the winner to chance on a GPU; the largest position is well defined.

    Args:
        iou: (n,) of the assigned predictions.
        assignment: Where they are.
        shape: (B, anchors, ny, nx).

    Returns:
        `shape`, 0 where nothing is assigned.
    """
    _, anchors, rows, columns = shape
    cell = ((assignment.image * anchors + assignment.anchor) * rows + assignment.row) * columns
    cell = cell + assignment.column
    position = torch.arange(1, len(iou) + 1, device=iou.device) * assignment.valid
    last = torch.zeros(tuple(shape), dtype=torch.long, device=iou.device)
    last.view(-1).scatter_reduce_(0, cell, position, "amax")
    return torch.cat((iou.new_zeros(1), iou))[last]


def _cross_entropy(logits: Tensor, wanted: Tensor, positive_weight: float, gamma: float) -> Tensor:
    """Binary cross-entropy per element, focal (Lin et al. 2017, arXiv:1708.02002) when gamma > 0."""
    weight = logits.new_full((), positive_weight)
    loss = F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weight, reduction="none")
    if gamma <= 0:
        return loss
    p = logits.sigmoid()
    right = wanted * p + (1 - wanted) * (1 - p)
    alpha = wanted * FOCAL_ALPHA + (1 - wanted) * (1 - FOCAL_ALPHA)
    return loss * alpha * (1 - right) ** gamma


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid rows, 0 where there is none."""
    return torch.where(valid, values, 0).sum() / valid.sum().clamp(1)
