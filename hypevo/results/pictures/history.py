"""history.png: every trial in its order, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hypevo.results.evolve_csv import Row
from hypevo.results.pictures.canvas import (
    BEST,
    WIDTH,
    dot_area,
    draw_marks,
    draw_trials,
    finite,
    fitness_limits,
    legend_of,
    shortened,
)
from hypevo.results.pictures.marks import Marks, headline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEIGHT = 4.2  # inches


def history_figure(rows: Sequence[Row], marks: Marks | None = None) -> Figure:
    """Draw the fitness of each trial over its number; trials without one are crosses at the lower edge.

    Args:
        rows: Finished individuals, at least one with a finite fitness.
        marks: What they are held against.

    Raises:
        ValueError: No row has a finite fitness.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    marks = marks or Marks()
    fit, best = finite(rows, "history.png")
    fit.sort(key=lambda row: row.number)
    numbers = np.array([row.number for row in fit], dtype=float)  # (n,)
    fitness = np.array([row.fitness for row in fit])  # (n,)
    figure = Figure(figsize=(WIDTH, _HEIGHT))
    axes = figure.add_axes((0.065, 0.13, 0.915, 0.70))
    low, high = fitness_limits(fitness.tolist(), marks.references)
    axes.set_ylim(low, high)
    last = max([numbers.max(), *marks.failed])
    axes.set_xlim(-0.02 * last - 0.6, last * 1.02 + 0.6)
    draw_marks(axes, marks)
    below = draw_trials(axes, numbers, fitness, np.linspace(0, 1, len(fit)), dot_area(len(fit)) * 1.5)
    running = np.maximum.accumulate(fitness)
    axes.plot(
        [*numbers, last], [*running, running[-1]], drawstyle="steps-post", color=BEST, linewidth=1.6, zorder=2,
        label="best so far",
    )  # fmt: skip
    if marks.failed:
        at = np.full(len(marks.failed), low + 0.03 * (high - low))
        axes.scatter(marks.failed, at, marker="x", s=22, color="0.25", linewidths=1, zorder=3, label="failed")
    axes.plot(
        best.number, best.fitness, "*", color=BEST, markersize=15, markeredgecolor="black", markeredgewidth=0.6,
        zorder=5, clip_on=False, label="best",
    )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    said = [f"{below} ▼ below the axis"] if below else []
    said += [f"{len(marks.failed)} ✕ without a fitness: failed, or stopped early"] if marks.failed else []
    unit = f"{marks.one} ({', '.join(said)})" if said else marks.one
    axes.set_xlabel(unit, fontsize=9)
    axes.set_ylabel("fitness", fontsize=9)
    axes.tick_params(labelsize=8)
    title = f"{shortened(marks.title, 60)} · " if marks.title else ""
    figure.text(
        0.065, 0.97, title + headline(rows, marks), fontsize=11, fontweight="bold", va="top", parse_math=False
    )
    legend_of(figure, marks, best.fitness, 0.905, low, left=0.065)
    return figure
