"""evolve.png, fitness over each gene's value, and the precision-recall curve. The only door to matplotlib.

Matplotlib is imported when something is drawn, and without pyplot: a search has no use for its state.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hypevo.files import write_atomically
from hypevo.results.evolve_csv import Row, best_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hypevo.problem.space import Space
    from hypevo.protocol import Value

COLUMNS = 5
_EDGES = 20
_DPI = 110
_LEGIBLE = 20  # classes that a legend can name


def plot_evolve(
    path: Path,
    rows: Sequence[Row],
    space: Space | None = None,
    still_ours: Callable[[], None] = lambda: None,
) -> None:
    """Draw an evolution and write it as a picture, png or whatever the ending of `path` says.

    Args:
        path: The picture, replaced as a whole.
        rows: Finished individuals, at least one with a finite fitness; the best one's genes are drawn.
        space: Tells frozen genes apart; without one, a gene with a single value in all rows counts as frozen.
        still_ours: Called between the drawing, which takes seconds, and the writing; what it raises prevents that.

    Raises:
        ValueError: No row has a finite fitness, or matplotlib has no such format.
        OSError: The picture cannot be written; an older one is as it was.
    """
    picture = io.BytesIO()
    with _our_style():
        evolve_figure(rows, space).savefig(picture, format=path.suffix.removeprefix(".") or "png", dpi=_DPI)
    still_ours()
    write_atomically(path, picture.getvalue())


@contextlib.contextmanager
def _our_style() -> Iterator[None]:
    """Matplotlib's own defaults: it reads a matplotlibrc in the working directory, and that one may have LaTeX run."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def evolve_figure(rows: Sequence[Row], space: Space | None = None) -> Figure:
    """Draw an evolution: one subplot per gene, five a row (see `plot_evolve`).

    Dots are coloured by the logarithm of how many share their cell of a 2-D histogram with 20 edges an axis:
    dark where the search has looked once, yellow where it keeps coming back. The black cross is the best one.
    """
    from matplotlib.figure import Figure

    best = best_of(rows)
    if best is None:
        raise ValueError(f"evolve.png: expected a row with a finite fitness; {len(rows)} rows have none")
    fit = [row for row in rows if math.isfinite(row.fitness)]
    lines = math.ceil(len(best.hyp) / COLUMNS)
    figure = Figure(figsize=(2.3 * COLUMNS, 1.75 * lines + 0.3))
    figure.subplots_adjust(
        left=0.055, right=0.985, wspace=0.14, hspace=0.44,
        bottom=0.32 / figure.get_figheight(), top=1 - 0.32 / figure.get_figheight(),
    )  # fmt: skip
    for position, name in enumerate(best.hyp):
        axes = figure.add_subplot(lines, COLUMNS, position + 1)
        shown = [row for row in fit if name in row.hyp]
        words = _words([row.hyp[name] for row in shown])
        values = np.array([_position(row.hyp[name], words) for row in shown])  # (n,)
        fitness = np.array([row.fitness for row in shown])  # (n,)
        frozen = np.ptp(values) == 0 if space is None or name not in space else not space[name].movable
        best_value, at = best.hyp[name], _position(best.hyp[name], words)
        if frozen:
            axes.axvline(at, color="0.75", linewidth=3, zorder=0)
        _draw_dots(axes, values, fitness)
        if words:
            axes.set_xticks(range(len(words)), words)
        axes.plot(at, best.fitness, "k+", markersize=11, markeredgewidth=1.6)
        title = f"{name} = {best_value:.3g}" if isinstance(best_value, float) else f"{name} = {best_value}"
        axes.set_title(title, fontsize=9, pad=3, parse_math=False)
        axes.tick_params(labelsize=7, length=2, pad=2, labelleft=position % COLUMNS == 0)
        if position % COLUMNS == 0:
            axes.set_ylabel("fitness", fontsize=8)
    return figure


def _words(values: Iterable[Value]) -> list[str]:
    """The names on the axis of a gene of words or booleans, in order; none for numbers."""
    return sorted({str(value) for value in values if isinstance(value, str | bool)})


def _position(value: Value, words: Sequence[str]) -> float:
    """Where a value is drawn: a number at itself, a word or a boolean at its place among the names."""
    return float(words.index(str(value))) if isinstance(value, str | bool) else float(value)


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
    content = io.BytesIO()
    with _our_style():
        pr_figure(header[2:], values).savefig(content, format="png", dpi=_DPI)
    write_atomically(picture, content.getvalue())


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


def crowding(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count the points that share each point's cell of a 2-D histogram, edges evenly over both ranges.

    Args:
        x: (n,) finite values.
        y: (n,) finite values.

    Returns:
        (n,) logarithms of the counts, 0 for a point alone.
    """
    cells = _bins(x) * _EDGES + _bins(y)
    counts = np.bincount(cells)
    logarithms: NDArray[np.float64] = np.log(counts[cells])
    return logarithms


def _bins(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return each value's interval, 0 to 18; all 0 when there is no range."""
    edges = np.linspace(values.min(), values.max(), _EDGES)
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, _EDGES - 2)


def _draw_dots(axes: Axes, values: NDArray[np.float64], fitness: NDArray[np.float64]) -> None:
    from matplotlib.ticker import MaxNLocator

    crowds = crowding(values, fitness)
    axes.scatter(
        values,
        fitness,
        s=14,
        c=crowds,
        cmap="viridis",
        vmin=0,
        vmax=max(crowds.max(), math.log(2)),  # a lone dot stays dark where no dot has company
        alpha=0.8,
        linewidths=0,
    )
    axes.margins(y=0.13)  # room for the cross at the top
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.grid(color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
