"""importance.png: how much each gene tells the best trials from the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from hypevo.results.evolve_csv import Row
from hypevo.results.pictures.canvas import FAINT, WIDTH, ages, finite, shortened
from hypevo.results.pictures.marks import Marks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEAD, _BAR, _FOOT = 0.75, 0.22, 0.55  # inches: above the bars, of a bar, below them
_MOST = 30  # genes that are drawn


def importance_figure(
    rows: Sequence[Row], weigh: Callable[[], Mapping[str, float]], marks: Marks | None = None
) -> Figure:
    """Draw a bar for each gene, the most important on top.

    Args:
        rows: Finished individuals.
        weigh: Tells each gene's importance, the greatest first; in sum 1.
        marks: Whose picture it is.

    Raises:
        ValueError: There is nothing to draw.
    """
    from matplotlib.figure import Figure

    marks = marks or Marks()
    fit, _ = finite(rows, "importance.png")
    weights = weigh()
    shown = dict(list(weights.items())[:_MOST])
    height = _HEAD + _BAR * len(shown) + _FOOT
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.15, _FOOT / height, 0.80, _BAR * len(shown) / height))
    greatest = max(shown.values())
    axes.barh(
        range(len(shown)), list(shown.values()), height=0.72, label="importance",
        color=[ages()(0.25 + 0.6 * weight / greatest) for weight in shown.values()],
    )  # fmt: skip
    for place, weight in enumerate(shown.values()):
        said = f"{weight:.0%}" if weight >= 0.005 or weight == 0 else "<1%"
        axes.text(weight + 0.006 * greatest, place, said, va="center", fontsize=8)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(0, greatest * 1.06)
    axes.set_yticks(
        range(len(shown)), [shortened(name, 22) for name in shown], fontsize=8.5, parse_math=False
    )
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    more = f"; {len(weights) - len(shown)} less important genes are left out" if len(weights) > _MOST else ""
    axes.set_xlabel(f"importance by PED-ANOVA, in sum 100%{more}", fontsize=9)
    title = f"{shortened(marks.title, 60)} · " if marks.title else ""
    said = f"in which genes the best tenth of {len(fit)} {marks.one}s differs from all of them"
    figure.text(
        0.02, 1 - 0.13 / height, title + said, fontsize=11, fontweight="bold", va="top", parse_math=False
    )
    few = " Few trials: the order may be luck." if len(fit) < 100 else ""
    said = (
        "A gene of which the search soon found good values, and stayed near them, looks unimportant here."
        + few
    )
    figure.text(0.02, 1 - 0.40 / height, said, fontsize=8, color="0.3", va="top")
    return figure
