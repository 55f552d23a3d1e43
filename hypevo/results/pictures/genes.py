"""evolve.png: a small plot for each gene that was searched, the fitness over the gene's value."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hypevo.problem.gene import Gene
from hypevo.protocol import Value
from hypevo.results.evolve_csv import Row
from hypevo.results.pictures.canvas import (
    BEST,
    START,
    WIDTH,
    ages,
    counted,
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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hypevo.problem.space import Space

COLUMNS = 5
_WIDE = 10.0  # a positive range of this ratio is searched on a logarithmic scale, and so it is drawn
_HEAD, _LINE, _CELL = 0.78, 0.16, 1.72  # inches: above the plots, of a line below them, of a row of plots
_LEFT, _RIGHT = 0.055, 0.985


def evolve_figure(rows: Sequence[Row], space: Space | None = None, marks: Marks | None = None) -> Figure:
    """Draw an evolution: one subplot for each gene that was searched, five a row.

    Args:
        rows: Finished individuals, the oldest first, at least one with a finite fitness.
        space: Tells bounds and frozen genes; without one, a gene with a single value in all rows counts as frozen.
        marks: What they are held against.

    Raises:
        ValueError: No row has a finite fitness.
    """
    from matplotlib.figure import Figure

    marks = marks or Marks()
    fit, best = finite(rows, "evolve.png")
    moving = [name for name in best.hyp if _moves(name, fit, space)]
    limits = fitness_limits([row.fitness for row in fit], marks.references)
    below = _lines_below(fit, best, moving, limits[0], marks)
    lines = math.ceil(len(moving) / COLUMNS)
    height = _HEAD + _CELL * lines + _LINE * len(below) + 0.25
    figure = Figure(figsize=(WIDTH, height))
    if moving:
        figure.subplots_adjust(
            left=_LEFT, right=_RIGHT, wspace=0.12, hspace=0.42,
            top=1 - _HEAD / height, bottom=(0.42 + _LINE * len(below)) / height,
        )  # fmt: skip
    for position, name in enumerate(moving):
        axes = figure.add_subplot(lines, COLUMNS, position + 1)
        axes.set_ylim(limits)
        gene = None if space is None else space.get(name)
        _draw_gene(axes, name, fit, best, gene, marks)
        axes.tick_params(labelsize=7, length=2, pad=2, labelleft=position % COLUMNS == 0)
        if position % COLUMNS == 0:
            axes.set_ylabel("fitness", fontsize=8)
    title = f"{shortened(marks.title, 60)} · " if marks.title else ""
    figure.text(
        _LEFT, 1 - 0.12 / height, title + headline(rows, marks), fontsize=11, fontweight="bold", va="top",
        parse_math=False,
    )  # fmt: skip
    legend_of(figure, marks, best.fitness, 1 - 0.36 / height, limits[0], left=_LEFT)
    if len(fit) > 1:
        _draw_scale(figure, fit, marks, height)
    for index, line in enumerate(reversed(below)):
        figure.text(_LEFT, (0.09 + _LINE * index) / height, line, fontsize=7.5, color="0.3", parse_math=False)
    return figure


def _moves(name: str, rows: Sequence[Row], space: Space | None) -> bool:
    """Whether a gene was searched; of a single row without a space nobody knows, so all of them are drawn."""
    if space is not None and name in space:
        return space[name].movable
    return len(rows) == 1 or len({row.hyp[name] for row in rows if name in row.hyp}) > 1


def _lines_below(
    rows: Sequence[Row], best: Row, moving: Sequence[str], low: float, marks: Marks
) -> list[str]:
    """What is not in the plots, in lines that fit the picture's width."""
    said = []
    collapsed = sum(row.fitness < low for row in rows)
    if collapsed:
        said.append(f"▼ at the lower edge: {counted(collapsed, marks.one)} with a fitness below {low:.3g}.")
    if marks.failed:
        said.append(f"{counted(len(marks.failed), marks.one)} without a fitness: failed, or stopped early.")
    frozen = [f"{name} {_shown(value)}" for name, value in best.hyp.items() if name not in moving]
    lines = [" ".join(said)] if said else []
    if frozen:
        lines += textwrap.wrap("Not searched: " + ", ".join(frozen), 190, max_lines=6, placeholder=" …")
    return lines


def _draw_gene(
    axes: Axes, name: str, rows: Sequence[Row], best: Row, gene: Gene | None, marks: Marks
) -> None:
    shown = [(age, row) for age, row in enumerate(rows) if name in row.hyp]
    words = _words([row.hyp[name] for _, row in shown] + ([marks.hyp[name]] if name in marks.hyp else []))
    if gene is not None and gene.choices is not None and words:
        words = [str(choice) for choice in gene.choices] + [
            w for w in words if w not in map(str, gene.choices)
        ]
    x = np.array([position(row.hyp[name], words) for _, row in shown])  # (n,)
    fitness = np.array([row.fitness for _, row in shown])  # (n,)
    age = np.array([age for age, _ in shown]) / max(len(rows) - 1, 1)  # (n,)
    start = position(marks.hyp[name], words) if name in marks.hyp else None
    _scale(axes, [*x, *([] if start is None else [start])], words, gene)
    if words:  # side by side, not on top of each other
        x = x + ([(row.number * 0.618) % 1 * 0.5 - 0.25 for _, row in shown])
    draw_marks(axes, marks)
    draw_trials(axes, x, fitness, age, dot_area(len(rows)))
    if start is not None and marks.default is not None:
        axes.plot(
            start, max(marks.default, axes.get_ylim()[0]), "D", color=START, markersize=5, markerfacecolor="white",
            zorder=4, clip_on=False, label="default",
        )  # fmt: skip
    axes.plot(
        position(best.hyp[name], words), best.fitness, "*", color=BEST, markersize=12, markeredgecolor="black",
        markeredgewidth=0.5, zorder=5, clip_on=False, label="best",
    )  # fmt: skip
    value = _shown(best.hyp[name])
    before = _shown(marks.hyp[name]) if name in marks.hyp else value
    title = f"{shortened(name, 22)}  {value if before == value else f'{before} → {value}'}"
    axes.set_title(shortened(title, 40), fontsize=8.5, pad=3, loc="left", parse_math=False)


def _scale(axes: Axes, values: Sequence[float], words: Sequence[str], gene: Gene | None) -> None:
    """Set the axis of a gene, its bounds in view: what lies outside of them is shaded."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    if words:
        axes.set_xlim(-0.6, len(words) - 0.4)
        axes.set_xticks(range(len(words)), [shortened(word, max(4, 26 // len(words))) for word in words])
        return
    low, high = min(values), max(values)
    bounds = (low, high) if gene is None else (gene.low, gene.high)
    low, high = min(low, bounds[0]), max(high, bounds[1])
    asked = gene is not None and gene.log
    logarithmic = low > 0 and (asked or (high / low >= _WIDE and (gene is None or gene.type == "float")))
    if logarithmic:
        room = (high / low) ** 0.04
        left, right = low / room, high * room
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(decades(left, right)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        room = 0.04 * (high - low) or max(abs(high) * 0.05, 0.01)
        left, right = low - room, high + room
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlim(left, right)
    if gene is not None:
        for outside in ((left, bounds[0]), (bounds[1], right)):
            axes.axvspan(*outside, color="0.93", linewidth=0, zorder=0)
        for bound in bounds:
            axes.axvline(bound, color="0.6", linewidth=0.7, zorder=0.4, label="bound")


def decades(low: float, high: float) -> list[float]:
    """At most five round numbers between two positive ones, evenly spread on a logarithmic scale."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{step}e{power}") for power in powers for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 5:
            return ticks
    return ticks[:: math.ceil(len(ticks) / 5)]


def _draw_scale(figure: Figure, rows: Sequence[Row], marks: Marks, height: float) -> None:
    """Say what the dots' colours mean."""
    axes = figure.add_axes((0.80, 1 - 0.48 / height, 0.1, 0.10 / height), label="age")
    axes.imshow(np.linspace(0, 1, 64)[None], aspect="auto", cmap=ages())
    axes.set_axis_off()
    y = 1 - 0.43 / height
    first, last = rows[0].number, rows[-1].number
    figure.text(0.797, y, f"{marks.one} {first}", fontsize=8, ha="right", va="center")
    figure.text(0.903, y, f"{marks.one} {last}", fontsize=8, ha="left", va="center")


def _words(values: Iterable[Value]) -> list[str]:
    """The names on the axis of a gene of words or booleans, in order; none for numbers."""
    return sorted({str(value) for value in values if isinstance(value, str | bool)})


def position(value: Value, words: Sequence[str]) -> float:
    """Where a value is drawn: a number at itself, a word or a boolean at its place among the names."""
    return float(words.index(str(value))) if isinstance(value, str | bool) else float(value)


def _shown(value: Value) -> str:
    return shortened(f"{value:.3g}" if isinstance(value, float) else str(value).lower(), 12)
