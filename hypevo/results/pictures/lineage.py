"""lineage.png: how the best trial came about, from parent to child, and what changed on the way."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hypevo.results.evolve_csv import Row
from hypevo.results.pictures.canvas import (
    BEST,
    WIDTH,
    counted,
    dot_area,
    draw_marks,
    finite,
    fitness_limits,
    legend_of,
    shortened,
)
from hypevo.results.pictures.marks import Marks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hypevo.problem.space import Space

_PLOT, _HEAD, _FOOT, _LINE = 3.3, 0.72, 0.55, 0.17  # inches: of the plot, above, below, of a line of text
_MOST = 14  # steps that are told in words
_NAMED = 4  # genes of a step that are named


def lineage_figure(rows: Sequence[Row], space: Space | None, marks: Marks) -> Figure:
    """Draw the line of the best: from each trial to the fittest of its parents, back to the start.

    Args:
        rows: Finished individuals.
        space: Their genes.
        marks: With the parents of trials.

    Raises:
        ValueError: There is no such line, and why.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    fit, best = finite(rows, "lineage.png")
    by_number = {row.number: row for row in fit}
    parents = _with_default(by_number, marks)
    line = line_of(best.number, parents, {number: row.fitness for number, row in by_number.items()})
    if len(line) < 2:
        raise ValueError(_why_not(best, marks))
    told = _steps(line, by_number, parents, space)
    height = _HEAD + _PLOT + _FOOT + _LINE * len(told)
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.065, (_FOOT + _LINE * len(told)) / height, 0.915, _PLOT / height))
    numbers, fitness = np.array([row.number for row in fit]), np.array([row.fitness for row in fit])
    limits = fitness_limits([*fitness.tolist()], marks.references)
    lowest = min(by_number[number].fitness for number in line)
    low = min(limits[0], lowest - 0.05 * (limits[1] - lowest))
    axes.set_ylim(low, limits[1])
    last = max(numbers)
    axes.set_xlim(-0.02 * last - 0.6, last * 1.02 + 0.6)
    draw_marks(axes, marks)
    seen = fitness >= low
    axes.scatter(
        numbers[seen], fitness[seen], s=dot_area(len(fit)), c="0.78", linewidths=0, zorder=1.5, label="trials"
    )
    for child in line:
        for parent in parents.get(child, ()):
            if parent in by_number and by_number[parent].fitness >= low:
                axes.plot(
                    [parent, child], [by_number[parent].fitness, by_number[child].fitness], color="#5A9BD0",
                    linewidth=0.7, alpha=0.7, zorder=2, label="other parents",
                )  # fmt: skip
                axes.plot(
                    parent,
                    by_number[parent].fitness,
                    "o",
                    color="#5A9BD0",
                    markersize=4,
                    zorder=2.5,
                    label="parent",
                )
    heights = [by_number[number].fitness for number in line]
    axes.plot(line, heights, "o-", color=BEST, linewidth=1.8, markersize=6, zorder=3, label="line")
    axes.plot(
        best.number, best.fitness, "*", color=BEST, markersize=15, markeredgecolor="black", markeredgewidth=0.6,
        zorder=5, clip_on=False, label="best",
    )  # fmt: skip
    for number, value in _apart(line, heights, 0.018 * last, 0.06 * (limits[1] - low)):
        axes.annotate(
            str(number), (number, value), xytext=(0, 11 if number == best.number else 7), ha="center", fontsize=8,
            textcoords="offset points", zorder=6,
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel(f"{marks.one} (thick: from the fittest parent; thin: from its other parents)", fontsize=9)
    axes.set_ylabel("fitness", fontsize=9)
    axes.tick_params(labelsize=8)
    title = f"{shortened(marks.title, 60)} · " if marks.title else ""
    steps = counted(len(line) - 1, "step")
    start = "the default" if by_number[line[0]].hyp == marks.hyp else f"{marks.one} {line[0]}"
    figure.text(
        0.065, 1 - 0.12 / height, f"{title}the line of the best, {marks.one} {best.number}: {steps} from {start}",
        fontsize=11, fontweight="bold", va="top", parse_math=False,
    )  # fmt: skip
    legend_of(figure, marks, best.fitness, 1 - 0.38 / height, low, left=0.065)
    for index, text in enumerate(reversed(told)):
        figure.text(0.065, (0.1 + _LINE * index) / height, text, fontsize=8, color="0.2", parse_math=False)
    return figure


def line_of(best: int, parents: Mapping[int, Sequence[int]], fitness: Mapping[int, float]) -> list[int]:
    """The trials from the oldest ancestor to the best, by the fittest parent each (of equally fit ones the first)."""
    line = [best]
    while known := [one for one in parents.get(line[-1], ()) if one in fitness and one not in line]:
        line.append(max(known, key=lambda one: (fitness[one], -one)))
    return line[::-1]


def _apart(
    line: Sequence[int], heights: Sequence[float], across: float, up: float
) -> list[tuple[int, float]]:
    """Those of the line, the best first, whose numbers do not cover each other, so far apart across or upwards."""
    chosen: list[tuple[int, float]] = []
    for number, height in list(zip(line, heights, strict=True))[::-1]:
        if all(abs(number - one) > across or abs(height - other) > up for one, other in chosen):
            chosen.append((number, height))
    return chosen


def _with_default(rows: Mapping[int, Row], marks: Marks) -> dict[int, Sequence[int]]:
    """The parents of each trial; of those that descend from no trial, the one of the default."""
    default = next((number for number in sorted(rows) if rows[number].hyp == marks.hyp), None)
    start = () if default is None else (default,)
    return {number: known or start for number, known in marks.parents.items() if number != default}


def _why_not(best: Row, marks: Marks) -> str:
    if not marks.parents:
        return "who descends from whom is not recorded here: a file does not say, nor does every sampler"
    return f"the best, {marks.one} {best.number}, descends from no other {marks.one}"


def _steps(
    line: Sequence[int], rows: Mapping[int, Row], parents: Mapping[int, Sequence[int]], space: Space | None
) -> list[str]:
    """What changed at each step, in a line each, the newest last; the first ones are left out of a long line."""
    told = []
    for parent, child in itertools.pairwise(line):
        before, now = rows[parent], rows[child]
        moved = {
            name: space[name].moved(before.hyp[name], value)
            for name, value in now.hyp.items()
            if space is not None and name in space and before.hyp.get(name, value) != value
        }
        most = sorted(moved, key=lambda name: -moved[name])
        named = ", ".join(
            f"{name} {_shown(before.hyp[name])} → {_shown(now.hyp[name])}" for name in most[:_NAMED]
        )
        more = f" and {len(most) - _NAMED} more" if len(most) > _NAMED else ""
        others = len(parents.get(child, ())) - 1
        beside = f" (and {counted(others, 'other parent')})" if others > 0 else ""
        told.append(f"{parent} → {child}, {now.fitness - before.fitness:+.3g}{beside}:  {named}{more}")
    left_out = len(told) - _MOST
    return [f"{counted(left_out, 'earlier step')} …", *told[-_MOST:]] if left_out > 0 else told


def _shown(value: object) -> str:
    return shortened(f"{value:.3g}" if isinstance(value, float) else str(value).lower(), 12)
