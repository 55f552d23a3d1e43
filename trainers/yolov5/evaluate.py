"""Validation: a detector's metrics on a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_convert

from .boxes import detect, to_native
from .loss import LossGains, detection_loss
from .metrics import Scores, match, score
from .model import as_input, mixed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Detector
    from .rectangles import ValBatch


@dataclass(frozen=True)
class Evaluation:
    """What one pass over the validation images found."""

    metrics: dict[str, float]
    scores: Scores
    detections: dict[int, Tensor]  # image index: (d, 6) x1, y1, x2, y2 in native pixels, confidence, class


def evaluate(
    model: Detector,
    batches: Iterable[ValBatch],
    *,
    gains: LossGains | None = None,
    precision: torch.dtype = torch.float32,
) -> Evaluation:
    """Measure a detector.

    Args:
        model: Runs on the device of the batches.
        batches: Validation rectangles.
        gains: Hyperparameters of the validation losses; the published ones when left out.
        precision: Of the convolutions.
    """
    fused = model.fused().to(memory_format=torch.channels_last)
    gains = gains or LossGains()
    losses: list[Tensor] = []  # per batch
    indices: list[int] = []
    found: list[Tensor] = []  # per image, in the order of indices, as are the next two
    labelled: list[Tensor] = []
    right: list[Tensor] = []
    for batch in batches:
        levels = _logits(fused, batch.images, precision)
        losses.append(detection_loss(levels, batch.targets, fused.anchors, gains)[1])
        indices += batch.indices
        sizes = zip(batch.native, batch.ratio, batch.pad, strict=True)
        images = zip(detect(levels, fused.anchors), _labels(batch), sizes, strict=True)
        for detections, labels, (native, ratio, pad) in images:
            detections[:, :4] = to_native(detections[:, :4], native, ratio, pad)
            labels[:, 1:] = to_native(labels[:, 1:], native, ratio, pad)
            right.append(match(detections, labels))
            found.append(detections)
            labelled.append(labels)
    rows = torch.cat(found).numpy()
    scores = score(
        torch.cat(right).numpy(),
        confidence=rows[:, 4],
        detected=rows[:, 5].astype(np.int64),
        labelled=torch.cat(labelled)[:, 0].long().numpy(),
    )
    box, obj, cls = torch.stack(losses).mean(0).tolist()
    return Evaluation(
        metrics={
            "precision": scores.precision,
            "recall": scores.recall,
            "mAP_0.5": scores.map50,
            "mAP_0.5:0.95": scores.map50_95,
            "box_loss": box,
            "obj_loss": obj,
            "cls_loss": cls,
        },
        scores=scores,
        detections=dict(zip(indices, found, strict=True)),
    )


@torch.inference_mode()
def _logits(model: Detector, images: Tensor, precision: torch.dtype) -> list[Tensor]:
    with mixed(images.device, precision):
        levels: list[Tensor] = model(as_input(images))
    return levels


def _labels(batch: ValBatch) -> list[Tensor]:
    """Per image (l, 5): class, x1, y1, x2, y2 in pixels of the batch; on the CPU."""
    _, _, height, width = batch.images.shape
    targets = batch.targets.cpu()
    corners = box_convert(targets[:, 2:] * torch.tensor((width, height, width, height)), "cxcywh", "xyxy")
    rows = torch.cat((targets[:, 1:2], corners), 1)
    counts = torch.bincount(targets[:, 0].long(), minlength=len(batch.images)).tolist()
    return list(torch.split(rows, counts))
