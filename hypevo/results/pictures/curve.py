"""The precision-recall curve of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hypevo.results.pictures.canvas import save

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_LEGIBLE = 20  # classes that a legend can name


def plot_pr_curve(table: Path, picture: Path) -> None:
    """Draw precision against recall from a csv with the columns recall, mean, and one per class.

    Raises:
        ValueError: The table is not such a csv.
        OSError: The table cannot be read or the picture cannot be written.
    """
    with table.open(encoding="utf-8") as file:
        header = file.readline().strip().split(",")
        values = np.loadtxt(file, delimiter=",", ndmin=2)  # (recalls, columns)
    if header[:2] != ["recall", "mean"] or values.shape[1] != len(header):
        raise ValueError(
            f"{table}: expected the columns recall, mean and classes; got {', '.join(header[:5])}"
        )
    save(picture, lambda: pr_figure(header[2:], values))


def pr_figure(classes: Sequence[str], values: NDArray[np.float64]) -> Figure:
    """Draw a line per class, thin, and the mean over classes, thick; the legend names classes while there are few."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for index, name in enumerate(classes):
        few = len(classes) <= _LEGIBLE
        axes.plot(values[:, 0], values[:, index + 2], linewidth=0.8, label=name if few else None)
    axes.plot(values[:, 0], values[:, 1], linewidth=2.5, color="black", label="all classes")
    axes.set(
        xlabel="recall",
        ylabel="precision",
        xlim=(0, 1),
        ylim=(0, 1.02),
        title="Precision and recall at IoU 0.5",
    )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure
