"""What a training leaves as tables: results.csv, a line per epoch, and the precision-recall curves."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .metrics import Scores

COLUMNS = {  # column: the metric it holds
    "train/box_loss": "train/box_loss",
    "train/obj_loss": "train/obj_loss",
    "train/cls_loss": "train/cls_loss",
    "metrics/precision": "precision",
    "metrics/recall": "recall",
    "metrics/mAP_0.5": "mAP_0.5",
    "metrics/mAP_0.5:0.95": "mAP_0.5:0.95",
    "val/box_loss": "box_loss",
    "val/obj_loss": "obj_loss",
    "val/cls_loss": "cls_loss",
    "x/lr0": "lr",
}


class ResultsTable:
    """results.csv, its columns named and aligned like YOLOv5's; an epoch without validation has nan there."""

    def __init__(self, path: Path):
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(",".join(f"{name:>20}" for name in ("epoch", *COLUMNS)) + "\n", encoding="utf-8")

    def append(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Add the line of the 0-based epoch."""
        values = [metrics.get(name, math.nan) for name in COLUMNS.values()]
        with self._path.open("a", encoding="utf-8") as file:
            file.write(",".join([f"{epoch:>20}", *(f"{value:20.5g}" for value in values)]) + "\n")


def write_curves(path: Path, scores: Scores, names: Sequence[str]) -> None:
    """Write precision over recall at IoU 0.5: a column per class that has labels, and their mean."""
    classes = [names[label] for label in scores.classes]
    recall = np.linspace(0, 1, scores.curve.shape[1])
    mean = scores.curve.mean(0) if len(classes) else np.zeros_like(recall)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["recall", "mean", *classes])
        writer.writerows(np.column_stack((recall, mean, scores.curve.T)).round(5).tolist())
