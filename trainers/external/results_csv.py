"""A csv file that a training program appends a line to after each epoch, read as it grows."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .. import Report

FITNESS = {"mAP_0.5": 0.1, "mAP_0.5:0.95": 0.9}  # by which YOLOv5 and Ultralytics call an epoch the best


class ResultsCsv:
    """Reports each new line of a file, and says which metrics the training returns."""

    def __init__(self, path: Path, name: Callable[[str], str], report: Report) -> None:
        """Read from the file's beginning.

        Args:
            path: The file; what an earlier training left there is removed.
            name: The metric that a column holds; an empty name leaves it out.
            report: Told of each epoch, counted from 0, whatever the file counts from.
        """
        path.unlink(missing_ok=True)
        self._path = path
        self._name = name
        self._report = report
        self._epochs: list[dict[str, float]] = []

    def look(self) -> None:
        """Report the lines that have been added since the last look; one still being written waits."""
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        whole = text[: text.rfind("\n") + 1].splitlines()
        for cells in list(csv.DictReader(whole, skipinitialspace=True))[len(self._epochs) :]:
            metrics = {
                name: _number(cell) for key, cell in cells.items() if key and (name := self._name(key))
            }
            self._report(metrics, step=len(self._epochs))
            self._epochs.append(metrics)

    def result(self, take: str, goal: Mapping[str, float] = FITNESS) -> dict[str, float]:
        """The metrics of the last epoch, or of the best by the weighted sum of `goal`.

        Raises:
            RuntimeError: There is no epoch.
        """
        if not self._epochs:
            raise RuntimeError(f"the training ended without a line in {self._path}")
        if take == "last":
            return self._epochs[-1]
        return max(self._epochs, key=lambda metrics: _sum(metrics, goal))


def _number(cell: str | None) -> float:
    try:
        return float(cell or "nan")
    except ValueError:
        return math.nan


def _sum(metrics: Mapping[str, float], goal: Mapping[str, float]) -> float:
    """The weighted sum; lowest where it is no number."""
    total = sum(weight * metrics.get(name, math.nan) for name, weight in goal.items())
    return total if math.isfinite(total) else -math.inf
