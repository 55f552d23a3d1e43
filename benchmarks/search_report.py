"""What `search_quality.py` prints and draws: means, and our searches paired with each peer's.

Paired are the searches of the same instance and the same seed, which meet the same noise; intervals are 95 % bootstrap
intervals over instances. A ratio is ours / theirs of the means; a difference is ours − theirs, so below 0 is ours.
Where scores are negative gains, a ratio above 1 is ours; where they pass 0, as near a slice's best point, a ratio says
little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from search_entrants import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Row = Mapping[str, Any]
    Estimate = NDArray[np.float64]  # (3,): value, low end, high end

RULES = ("best_trial", "top9", "recommend")


def report(rows: Sequence[Row], marks: Sequence[int], *, ours: str, geometric: bool) -> None:
    """Print mean scores, then for each rule and mark our ratio to, and difference from, each peer."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    columns = [f"{rule}@{mark}" for rule in RULES for mark in marks]
    columns = [column for column in columns if any(column in row for row in rows)]
    print(f"{'method':24}" + "".join(f"{column:>16}" for column in columns) + f"{'CPU ms':>9}{'n':>6}")
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        means = [centre([row[c] for row in own if c in row], geometric=geometric) for c in columns]
        cpu = np.mean([row["cpu_ms"] for row in own])
        print(f"{method:24}" + "".join(f"{mean:16.4f}" for mean in means) + f"{cpu:9.1f}{len(own):6}")
    if ours not in methods:
        print(f"no search of {ours}: nothing to compare the others with")
        return
    for rule, theirs in (("best_trial", "best_trial"), ("top9", "top9"), ("recommend", "top9")):
        for mark in marks:
            against(rows, ours, f"{rule}@{mark}", f"{theirs}@{mark}", geometric=geometric)


def against(rows: Sequence[Row], ours: str, column: str, their_column: str, *, geometric: bool) -> None:
    """Print our comparison with each kind of peer at its best setting, best peer first, then with all else."""
    found: dict[str, tuple[Estimate, Estimate, int, int]] = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        if method != ours:
            a, b = paired(rows, ours, method, column, their_column)
            if a:
                n = sum(map(len, a.values()))
                found[method] = (*compare(a, b, geometric=geometric), n, len(a))
    if not found:
        return

    def lead(method: str) -> float:
        ratio, difference, *_ = found[method]
        return float(ratio[0] if geometric else difference[0])

    best: dict[str, str] = {}
    for method in sorted(found, key=lead, reverse=True):
        best.setdefault(method if method in OURS else method.split(":")[0], method)
    peers = [method for method in best.values() if method not in OURS and "/" not in method]
    print(
        f"\n{column}: {ours} against each peer at its best setting" + (f", best: {peers[0]}" if peers else "")
    )
    for method in [*peers, *(method for method in best.values() if method not in peers)]:
        ratio, difference, n, instances = found[method]
        print(
            f"  {method:24} ratio {ratio[0]:6.2f} [{ratio[1]:.2f}, {ratio[2]:.2f}]  difference {difference[0]:+.4f} "
            f"[{difference[1]:+.4f}, {difference[2]:+.4f}]  {n} pairs, {instances} instances"
        )


def paired(
    rows: Sequence[Row], ours: str, peer: str, column: str, their_column: str
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return both methods' scores by instance, of those searches alone that both have run."""
    mine, theirs = (
        {(row["instance"], row["seed"]): row[c] for row in rows if row["method"] == method and c in row}
        for method, c in ((ours, column), (peer, their_column))
    )
    a: dict[str, list[float]] = {}
    b: dict[str, list[float]] = {}
    for search, score in mine.items():
        if search in theirs:
            a.setdefault(search[0], []).append(score)
            b.setdefault(search[0], []).append(theirs[search])
    return a, b


def compare(
    ours: Mapping[str, list[float]], theirs: Mapping[str, list[float]], *, geometric: bool
) -> tuple[Estimate, Estimate]:
    """Return (estimate, low, high) of the ratio of mean scores and of the mean paired difference, over instances."""
    names = list(ours)
    a = np.array([centre(ours[name], geometric=geometric) for name in names])
    b = np.array([centre(theirs[name], geometric=geometric) for name in names])
    drawn = np.random.default_rng(0).integers(len(names), size=(4000, len(names)))
    samples = np.concatenate([np.arange(len(names))[None], drawn])  # the first one is the estimate
    if geometric:
        ratios = np.exp(np.log(a)[samples].mean(axis=1) - np.log(b)[samples].mean(axis=1))
    else:
        with np.errstate(divide="ignore", invalid="ignore"):  # nobody has gained anything yet
            ratios = a[samples].mean(axis=1) / b[samples].mean(axis=1)
    differences = (a - b)[samples].mean(axis=1)
    ratio, difference = (np.array([x[0], *np.quantile(x[1:], (0.025, 0.975))]) for x in (ratios, differences))
    return ratio, difference


def centre(scores: Sequence[float], *, geometric: bool) -> float:
    """Return the (geometric) mean of scores; NaN of none."""
    if not scores:
        return float("nan")
    return float(np.exp(np.mean(np.log(scores)))) if geometric else float(np.mean(scores))


def draw(rows: Sequence[Row], path: Path, n_trials: int, *, geometric: bool) -> None:
    """Plot the best trial's score against trials: mean over instances and its interval; peers at their best end."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    ends: dict[str, tuple[float, str]] = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        end = centre([row["curve"][-1] for row in rows if row["method"] == method], geometric=geometric)
        kind = method.split(":")[0]
        ends[kind] = min(ends.get(kind, (np.inf, "")), (end, method))
    for _, method in sorted(ends.values()):
        by_instance: dict[str, list[list[float]]] = {}
        for row in rows:
            if row["method"] == method:
                by_instance.setdefault(row["instance"], []).append(row["curve"])
        curves = np.array([np.mean(np.log(c) if geometric else c, axis=0) for c in by_instance.values()])
        drawn = np.random.default_rng(0).integers(len(curves), size=(1000, len(curves)))
        low, high = np.quantile(curves[drawn].mean(axis=1), (0.025, 0.975), axis=0)
        middle = curves.mean(axis=0)
        if geometric:
            low, middle, high = np.exp(low), np.exp(middle), np.exp(high)
        trials = max(n_trials // 10, 1) * np.arange(1, len(middle) + 1)
        (line,) = axes.plot(trials, middle, label=method)
        axes.fill_between(trials, low, high, alpha=0.15, color=line.get_color())
    axes.set(xlabel="trials", ylabel="score of the best trial (lower is better)")
    if geometric:
        axes.set_yscale("log")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)
