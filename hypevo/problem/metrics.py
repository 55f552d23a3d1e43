"""The names of metrics: as a trainer returns them, and as columns of evolve.csv."""

from __future__ import annotations

import re
from collections.abc import Mapping

STANDARD_COLUMNS: Mapping[str, str] = {  # YOLOv5's seven, in its order
    "precision": "metrics/precision",
    "recall": "metrics/recall",
    "mAP_0.5": "metrics/mAP_0.5",
    "mAP_0.5:0.95": "metrics/mAP_0.5:0.95",
    "box_loss": "val/box_loss",
    "obj_loss": "val/obj_loss",
    "cls_loss": "val/cls_loss",
}
METRIC_PREFIXES = ("metrics/", "val/", "train/")

_UNSAFE = re.compile(r"[^\w .:/-]")


def column(metric: str) -> str:
    """The column of a metric: `val/` for validation losses, `metrics/` for the rest; prefixes stay.

    Characters that a csv or MLflow would stumble over become "_".
    """
    metric = _UNSAFE.sub("_", metric)
    if metric.startswith(METRIC_PREFIXES):
        return metric
    return STANDARD_COLUMNS.get(metric, f"metrics/{metric}")
