"""A trainer that trains nothing and reports much, to measure the driver: 10 epochs of 10 metrics, 3 artifacts."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypevo.protocol import Report

SPACE = "yolov5"
METRICS = ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95", "box_loss", "obj_loss", "cls_loss")


@dataclass(frozen=True)
class Settings:
    """How long it pretends to train, and how much it tells."""

    epochs: int = 10
    sleep: float = 0.0  # seconds an epoch takes


def train(
    hyp: Mapping[str, float],
    *,
    out: Path,
    seed: int,  # noqa: ARG001 - a trainer's signature
    device: str,  # noqa: ARG001 - the same
    report: Report,
    settings: Settings,
) -> dict[str, float]:
    """Report a smooth function of two genes."""
    quality = math.exp(-((math.log10(hyp["lr0"]) + 1.5) ** 2)) * (1 - abs(hyp["momentum"] - 0.9))
    for epoch in range(settings.epochs):
        time.sleep(settings.sleep)
        grown = quality * (epoch + 1) / settings.epochs
        losses = {"train/box_loss": 1 - grown, "train/obj_loss": 1 - grown, "train/cls_loss": 1 - grown}
        report(dict.fromkeys(METRICS, grown) | losses, step=epoch)
    for number in range(2):  # with the log, three
        (out / f"picture{number}.jpg").write_bytes(bytes(50_000))
    print("trained nothing")
    return dict.fromkeys(METRICS, quality)
