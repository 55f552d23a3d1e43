"""What all pictures share: how one is written, its colours, the limits of the fitness axis, the marks across it."""

from __future__ import annotations

import contextlib
import gc
import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hypevo.files import write_atomically
from hypevo.results.evolve_csv import Row, best_of
from hypevo.results.pictures.marks import Marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

Drawing: TypeAlias = "Callable[[], Figure]"  # makes a picture when it is called

# Okabe and Ito's, told apart by colour-blind readers too; each mark has a shape or a dash of its own besides.
BEST, UNTOUCHED, START = "#D55E00", "#009E73", "#000000"
QUIET, FAINT = "0.35", "0.92"
WIDTH = 11.5  # inches of all pictures of a study
_DPI = 110


def save(path: Path, make: Drawing, still_ours: Callable[[], None] = lambda: None) -> None:
    """Draw a figure and write it, png or whatever the ending of `path` says.

    Args:
        path: The picture, replaced as a whole.
        make: Makes the figure.
        still_ours: Called between the drawing, which takes a second, and the writing; what it raises prevents that.

    Raises:
        ValueError: There is nothing to draw, or matplotlib has no such format.
        OSError: The picture cannot be written; an older one is as it was.
    """
    content = rendered(make, path.suffix.removeprefix(".") or "png")
    still_ours()
    write_atomically(path, content)


def rendered(make: Drawing, kind: str = "png") -> bytes:
    """Draw a figure; returns the content of its file.

    Raises:
        ValueError: There is nothing to draw, or matplotlib has no such format.
    """
    picture = io.BytesIO()
    with our_style():
        make().savefig(picture, format=kind, dpi=_DPI)
    gc.collect()  # a figure is held in cycles, some ten megabytes of them
    return picture.getvalue()


@contextlib.contextmanager
def our_style() -> Iterator[None]:
    """Matplotlib's own defaults: it reads a matplotlibrc in the working directory, and that one may have LaTeX run."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "0.6",
                "xtick.color": QUIET, "ytick.color": QUIET, "axes.axisbelow": True, "svg.fonttype": "path",
            }
        )  # fmt: skip
        yield


def ages() -> Colormap:
    """Colours of trials from the first, light, to the last, dark: one hue, so that marks of others stand out."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ages", ["#BBD3EA", "#5A9BD0", "#1B5E9E", "#082B54"])


def dot_area(count: int) -> float:
    """Square points of a dot among so many."""
    return float(np.interp(math.log10(max(count, 1)), [1.0, 1.8, 2.5, 3.5], [34, 24, 12, 5]))


def finite(rows: Sequence[Row], picture: str) -> tuple[list[Row], Row]:
    """The rows with a finite fitness, and the best of them.

    Raises:
        ValueError: There is none; `picture` is what cannot be drawn.
    """
    best = best_of(rows)
    if best is None:
        raise ValueError(f"{picture}: expected a row with a finite fitness; {len(rows)} rows have none")
    return [row for row in rows if math.isfinite(row.fitness)], best


def fitness_limits(fitness: Sequence[float], references: Sequence[float] = ()) -> tuple[float, float]:
    """Where the axis of fitness begins and ends, so that a few collapsed trainings do not press all others together.

    The better three quarters decide: what lies further below them than one and a half times their range is outside,
    and is drawn at the edge. Nothing is cut off above.

    Args:
        fitness: Finite values, at least one.
        references: What must be seen too, unless it lies as far below.
    """
    values = np.asarray(fitness, dtype=float)
    top = float(max([values.max(), *references]))
    quarter = float(np.quantile(values, 0.25))
    fence = quarter - 1.5 * (top - quarter)
    bottom = min([float(values.min()), *references])
    if bottom < fence and top > fence:
        bottom = min(value for value in [*values.tolist(), *references] if value >= fence)
    room = 0.09 * (top - bottom) or max(abs(top) * 0.05, 0.01)
    return bottom - room, top + room


def draw_trials(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], age: NDArray[np.float64], area: float
) -> int:
    """Draw dots coloured by age, and those below the axis as triangles on its lower edge; returns how many those are.

    Args:
        axes: With their limits along y set.
        x: (n,) positions.
        y: (n,) fitness.
        age: (n,) from 0, the first, to 1, the last.
        area: Of a dot, in square points.
    """
    low, high = axes.get_ylim()
    below = y < low
    look: dict[str, Any] = {"cmap": ages(), "vmin": 0, "vmax": 1, "linewidths": 0.3, "edgecolors": "white"}
    axes.scatter(x[~below], y[~below], s=area, c=age[~below], zorder=3, label="trials", **look)
    if below.any():
        at = np.full(int(below.sum()), low + 0.03 * (high - low))
        axes.scatter(x[below], at, s=area * 1.3, c=age[below], marker="v", zorder=3, label="below", **look)
    return int(below.sum())


def draw_marks(axes: Axes, marks: Marks) -> None:
    """Draw the default, its noise and the untouched weights across, as far as they are known and within the limits."""
    low, high = axes.get_ylim()
    if marks.band is not None:
        axes.axhspan(*marks.band, color="0.80", alpha=0.55, linewidth=0, zorder=0.5, label="noise")
    if marks.default is not None:
        axes.axhline(
            marks.default, color=START, linestyle=(0, (5, 3)), linewidth=0.9, zorder=1, label="start"
        )
    if marks.untouched is not None and low <= marks.untouched <= high:
        axes.axhline(
            marks.untouched,
            color=UNTOUCHED,
            linestyle=(0, (6, 2, 1, 2)),
            linewidth=1.3,
            zorder=1,
            label="untouched",
        )
    axes.set_ylim(low, high)
    axes.grid(color=FAINT, linewidth=0.6)


def legend_of(figure: Figure, marks: Marks, best: float, top: float, low: float, *, left: float) -> None:
    """Name the marks in one line at the height `top` of the figure, with their values."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def line(label: str, **look: Any) -> Line2D:
        return Line2D([], [], label=label, **look)

    handles: list[Any] = [
        line(f"best {best:.4g}", color=BEST, marker="*", markersize=11, markeredgecolor="black",
             markeredgewidth=0.5, linestyle=""),
    ]  # fmt: skip
    if marks.default is not None:
        handles.append(
            line(f"{marks.start} {marks.default:.4g}", color=START, marker="D", markersize=5, linewidth=0.9,
                 markerfacecolor="white", linestyle=(0, (5, 3)))
        )  # fmt: skip
    if marks.band is not None:
        handles.append(Patch(color="0.80", alpha=0.55, label=f"{marks.start} ± 2 sd of its seeds"))
    if marks.untouched is not None:
        below = ", below the axis" if marks.untouched < low else ""
        handles.append(
            line(
                f"untouched weights {marks.untouched:.4g}{below}",
                color=UNTOUCHED,
                linestyle=(0, (6, 2, 1, 2)),
            )
        )
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(left, top), ncols=len(handles), frameon=False,
        fontsize=8, borderaxespad=0, columnspacing=1.6, handletextpad=0.6, borderpad=0,
    )  # fmt: skip


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters, its end cut off if need be."""
    return text if len(text) <= most else text[: most - 1] + "…"


def counted(number: int, one: str) -> str:
    """So many of something, in words."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"
