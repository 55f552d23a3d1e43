"""confirm.png: each candidate of a confirmation against the default, seed by seed, and what the difference is."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hypevo.messages import of_hundred
from hypevo.results.pictures.canvas import BEST, FAINT, START, UNTOUCHED, WIDTH, counted, dot_area, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_HEIGHT, _NARROWEST, _EACH = 6.2, 6.8, 1.2  # inches; the width grows with each candidate
_CROWDED, _RANKS = 2.1, 3.1  # inches: the least that a candidate needs, and the ranks of four or more
_LEFT = 0.9  # inches: an axis's name and its numbers, «−0.00025» say
_APART = 0.22  # of a default's and a candidate's dots from the middle between them
_UP, _DOWN = "#5A9BD0", "0.72"  # lines of pairs in which the candidate is above, and is not
_DASHES = (0, (6, 2, 1, 2))  # of the untouched weights, as in all pictures
_FAR = 4.0  # ranges of the seeds' fitness beyond which the untouched weights would press all pairs together
_DEFAULT = "default"
_WORDS = {"better": "better than the default", "worse": "worse than the default"}


def confirm_figure(verdict: Mapping[str, Any]) -> Figure:
    """Draw a confirmation: above the fitness of each seed, below the differences with their intervals.

    Args:
        verdict: As `verdict.json` has it.

    Raises:
        ValueError: It is an older one, without the fitness of each seed.
    """
    from matplotlib.figure import Figure

    scores = verdict.get("scores")
    if not scores:
        raise ValueError(
            "expected the fitness of each seed in the verdict; got one of an older version: confirm again, "
            "which trains nothing anew"
        )
    candidates: Sequence[Mapping[str, Any]] = verdict["verdicts"]
    width = max(min(WIDTH, _NARROWEST + _EACH * len(candidates)), 0.9 + _CROWDED * len(candidates))
    agreed = verdict.get("agreement")
    ranks = _RANKS if agreed else 0.0
    width += ranks
    figure = Figure(figsize=(width, _HEIGHT))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    title = textwrap.wrap(_title(verdict), int(width * 10.5), max_lines=3, placeholder=" …")
    names = [_name(one) for one in candidates]
    below = textwrap.wrap(_below(verdict), int(width * 15), max_lines=3, placeholder=" …")
    top = 1 - (0.55 + 0.2 * len(title)) / _HEIGHT
    bottom = (0.3 + 0.14 * len(below) + 0.16 * max(name.count("\n") + 1 for name in names)) / _HEIGHT
    figure.subplots_adjust(
        left=_LEFT / width, right=1 - (0.15 + ranks) / width, bottom=bottom, top=top, hspace=0.09
    )
    for index, one in enumerate(candidates):
        _draw_candidate(upper, lower, index, one, _pairs(scores, one["candidate"]))
    untouched, seen = verdict.get("untouched"), True
    if untouched is not None:
        low, high = upper.dataLim.intervaly
        seen = low - _FAR * (high - low) <= untouched <= high + _FAR * (high - low)
        if seen:
            upper.axhline(untouched, color=UNTOUCHED, linestyle=_DASHES, linewidth=1.3, label="untouched")
    lower.axhline(0, color=START, linestyle=(0, (5, 3)), linewidth=0.9, zorder=1, label="no difference")
    for axes, name in ((upper, "fitness"), (lower, "candidate − default")):
        axes.set_ylabel(name, fontsize=9)
        axes.tick_params(labelsize=8, length=2)
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        axes.margins(y=0.12)
    lower.set_xlim(-0.5, len(candidates) - 0.5)
    lower.set_xticks(range(len(candidates)), names, fontsize=8.5, parse_math=False)
    if agreed:
        place = (1 - (ranks - 0.75) / width, bottom, (ranks - 0.9) / width, top - bottom)
        _draw_ranks(figure.add_axes(place, label="ranks"), candidates, agreed)
    _say(figure, title, below, untouched, seen=seen, left=_LEFT / width)
    return figure


def _pairs(scores: Mapping[str, Mapping[str, float | None]], candidate: str) -> NDArray[np.float64]:
    """The seeds on which both have a fitness: (n, 2), default and candidate."""
    mine, theirs = scores.get(candidate, {}), scores.get(_DEFAULT, {})
    both = [(theirs.get(seed), value) for seed, value in mine.items()]
    return np.array([pair for pair in both if None not in pair], dtype=float).reshape(-1, 2)


def _draw_candidate(
    upper: Axes, lower: Axes, index: int, one: Mapping[str, Any], pairs: NDArray[np.float64]
) -> None:
    count = len(pairs)
    if not count:
        return
    x = np.array([index - _APART, index + _APART])
    area = dot_area(count * 4)
    for pair in pairs:
        colour = _UP if pair[1] > pair[0] else _DOWN
        upper.plot(x, pair, color=colour, linewidth=0.6 if count > 20 else 1.0, zorder=2, label="pair")
    for column, colour in enumerate((START, BEST)):
        upper.scatter(
            np.full(count, x[column]), pairs[:, column], s=area, color=colour, linewidths=0, zorder=3
        )
        upper.plot(
            x[column] + (-0.09, 0.09)[column], pairs[:, column].mean(), "D", color=colour, markersize=7,
            markerfacecolor="white", markeredgewidth=1.5, zorder=4, label="mean",
        )  # fmt: skip
    difference = pairs[:, 1] - pairs[:, 0]
    beside = index - 0.1 - (np.arange(count) * 0.618) % 1 * 0.14  # side by side, not on top of each other
    lower.scatter(beside, difference, s=area, color="0.55", linewidths=0, zorder=2, label="difference")
    if one["gain"] is not None and one["half_width"] is not None:
        lower.errorbar(
            index, one["gain"], one["half_width"], fmt="D", color=BEST, markersize=7, capsize=5,
            markerfacecolor="white", markeredgewidth=1.5, elinewidth=1.8, zorder=4, label="interval",
        )  # fmt: skip
        lower.annotate(
            f"{one['gain']:+.4f}\n± {one['half_width']:.4f}", (index, one["gain"]), (10, 0), fontsize=8,
            textcoords="offset points", va="center", bbox={"color": "white", "pad": 0.8},
        )  # fmt: skip


def _draw_ranks(axes: Axes, candidates: Sequence[Mapping[str, Any]], agreed: Mapping[str, Any]) -> None:
    """Draw the gain with fresh seeds over the search's fitness."""
    for one in candidates:
        place = (one["search_fitness"], one["gain"])
        if None not in place:
            axes.plot(*place, "o", color=BEST, markersize=6, label="rank")
            axes.annotate(
                shortened(str(one["candidate"]), 14), place, (0, 6), textcoords="offset points", fontsize=7.5,
                ha="center", parse_math=False,
            )  # fmt: skip
    axes.axhline(0, color=START, linestyle=(0, (5, 3)), linewidth=0.9, zorder=1)
    axes.set_title(
        f"Spearman {agreed['spearman']:.2f}; as high by chance\nin {of_hundred(agreed['chance'])} of 100 cases",
        fontsize=8.5, loc="left",
    )  # fmt: skip
    axes.set_xlabel("fitness in the search", fontsize=9)
    axes.set_ylabel("candidate − default, fresh seeds", fontsize=9)
    axes.tick_params(labelsize=8, length=2)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.margins(0.22, 0.12)
    axes.locator_params(axis="x", nbins=4)


def _name(one: Mapping[str, Any]) -> str:
    """What stands below a candidate."""
    failed = f"\nfailed on {counted(one['failures'], 'seed')}" if one["failures"] else ""
    after = f" after {counted(one['dropped']['seeds'], 'seed')}" if one.get("dropped") else ""
    return f"{shortened(str(one['candidate']), 24)}\n{one['verdict']}{after}{failed}"


def _title(verdict: Mapping[str, Any]) -> str:
    said = [
        f"{one['candidate']}: {_WORDS.get(one['verdict'], one['verdict'])}" for one in verdict["verdicts"]
    ]
    return f"{shortened(str(verdict['study']), 60)} · {'; '.join(said)}"


def _below(verdict: Mapping[str, Any]) -> str:
    """What it was measured with, and what the lower part shows."""
    known = [
        f"{name} {verdict[name]}" for name in ("data", "split", "epochs") if verdict.get(name) is not None
    ]
    seeds = f"{verdict['seeds']} fresh seeds from {verdict['first_seed']} on"
    return (
        f"{', '.join([*known, seeds])}. Below: each seed's difference, and their mean with the verdict's interval; "
        "all looks together err in at most 5 of 100 cases."
    )


def _say(
    figure: Figure,
    title: Sequence[str],
    below: Sequence[str],
    untouched: float | None,
    *,
    seen: bool,
    left: float,
) -> None:
    """The verdict, what the marks mean, and what it was measured with."""
    figure.text(
        left, 1 - 0.12 / _HEIGHT, "\n".join(title), fontsize=11, fontweight="bold", va="top", parse_math=False
    )
    handles = [_key("default", START, "o"), _key("candidate", BEST, "o"), _key("mean", START, "D", "white")]
    handles += [_key("a seed, better", _UP, dash="-"), _key("a seed, not better", _DOWN, dash="-")]
    if untouched is not None:
        outside = "" if seen else ", outside the picture"
        handles.append(_key(f"untouched {untouched:.4g}{outside}", UNTOUCHED, dash=_DASHES))
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(left, 1 - (0.2 + 0.2 * len(title)) / _HEIGHT),
        ncols=len(handles), frameon=False, fontsize=8, borderaxespad=0, columnspacing=1.2, handletextpad=0.5,
        borderpad=0,
    )  # fmt: skip
    figure.text(
        left, 0.07 / _HEIGHT, "\n".join(below), fontsize=7.5, color="0.3", va="bottom", parse_math=False
    )


def _key(label: str, colour: str, marker: str = "", inside: str | None = None, dash: Any = "") -> Any:
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], label=label, color=colour, marker=marker, markersize=5, linestyle=dash,
        markerfacecolor=inside or colour,
    )  # fmt: skip
