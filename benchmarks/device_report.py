"""The table and the picture of `device_hours.py`, from its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Row = Mapping[str, Any]

SHARE = 0.9  # of the greatest gain that any method has at the end
_LEAST = 0.01  # gain below which a task has nothing to find
_NAMES = {
    "adaptive": "hypevo",
    "adaptive+median": "hypevo --pruner median",
    "adaptive+hyperband": "hypevo --pruner hyperband",
    "adaptive+halving": "hypevo --pruner halving",
    "classic": "YOLOv5's operator (classic)",
    "tpe+hyperband": "TPE + Hyperband (Optuna)",
    "turbo": "TuRBO-1",
    "priorband": "PriorBand",
}
_WORDS = {"recommend": "recommended point", "best": "best trial", "top9": "mean of the best 9"}


@dataclass(frozen=True)
class Line:
    """A method under one rule of what it hands over.

    Attributes:
        method: Its name.
        rule: The rule.
        gains: Mean over seeds (tasks, marks), as a share of the greatest of its task at the end.
        times: Device time until SHARE of it (tasks,), in trainings in full.
        reached: Whether it was reached (tasks,); where not, the time is the whole device time.
    """

    method: str
    rule: str
    gains: NDArray[np.float64]
    times: NDArray[np.float64]
    reached: NDArray[np.bool_]

    @property
    def time(self) -> float:
        """Geometric mean of the times."""
        return float(np.exp(np.log(self.times).mean()))


def lines_of(rows: Sequence[Row]) -> tuple[list[Line], list[Row]]:
    """Return every method under its rules, and the rows it was made of: searches that all methods have."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    done: dict[tuple[int, int], int] = {}
    for row in rows:
        done[row["task"], row["seed"]] = done.get((row["task"], row["seed"]), 0) + 1
    rows = [row for row in rows if done[row["task"], row["seed"]] == len(methods)]
    if not rows:
        raise SystemExit("expected a task and a seed with which every method has searched; let it go on")
    means: dict[tuple[str, str], NDArray[np.float64]] = {}
    for method in methods:
        for rule in next(row["gains"] for row in rows if row["method"] == method):
            means[method, rule] = np.array(
                [
                    np.mean(
                        [r["gains"][rule] for r in rows if (r["task"], r["method"]) == (task, method)], axis=0
                    )
                    for task in sorted({row["task"] for row in rows})
                ]
            )
    greatest = np.max([mean[:, -1] for mean in means.values()], axis=0)  # (tasks,)
    marks = np.array(rows[0]["marks"], dtype=np.float64)
    lines = []
    for (method, rule), mean in means.items():
        shares = mean[greatest >= _LEAST] / greatest[greatest >= _LEAST, None]
        reached = shares.max(axis=1) >= SHARE
        times = np.array([first_at(marks, share) for share in shares])
        lines.append(Line(method, rule, shares, times, reached))
    return lines, rows


def family(method: str) -> str:
    """Return what a method is a setting of: the sampler's mode, or the peer's name."""
    return method.split("+")[0].split(":")[0]


def first_at(marks: NDArray[np.float64], share: NDArray[np.float64]) -> float:
    """Return the device time at which a curve first has SHARE, between two marks on a straight line."""
    above = np.flatnonzero(share >= SHARE)
    if not len(above):
        return float(marks[-1])
    if (i := int(above[0])) == 0:
        return float(marks[0])
    part = (SHARE - share[i - 1]) / (share[i] - share[i - 1])
    return float(marks[i - 1] + part * (marks[i] - marks[i - 1]))


def report(rows: Sequence[Row]) -> None:
    """Print the table, and our settings' ratio to the best peer."""
    lines, rows = lines_of(rows)
    left_out = len({row["task"] for row in rows}) - len(lines[0].times)
    if left_out:
        print(f"{left_out} task(s) left out, on which nobody gains {_LEAST}")
    if not len(lines[0].times):
        return
    tasks, marks = len(lines[0].times), np.array(rows[0]["marks"])
    n = len(rows) // len({row["method"] for row in rows})
    print(f"{n} searches per method on {tasks} tasks; device time of {marks[-1]} trainings in full")
    shown = [int(np.searchsorted(marks, mark)) for mark in (10, 28, 56, 112, 300) if mark <= marks[-1]]
    print(
        "| method | hands over | "
        + " | ".join(f"share @{marks[i]}" for i in shown)
        + f" | trainings until {SHARE:g} | million epochs × images | CPU s | reached | begun | in full | ask ms |"
    )
    print("|---" * (9 + len(shown)) + "|")
    for line in sorted(lines, key=_order):
        own = [row for row in rows if row["method"] == line.method]
        images, seconds = (np.mean([of(row, line.time) for row in own]) for of in (_images, _seconds))
        begun, full, ask = (np.mean([row[key] for row in own]) for key in ("begun", "in_full", "ask_ms"))
        print(
            f"| {line.method} | {line.rule} | "
            + " | ".join(f"{line.gains[:, i].mean():.3f}" for i in shown)
            + f" | {line.time:.1f} | {images / 1e6:.3f} | {seconds:.1f} | {line.reached.sum()}/{tasks} "
            + f"| {begun:.0f} | {full:.0f} | {ask:.1f} |"
        )
    peers = [line for line in lines if family(line.method) != "adaptive"]
    if peers:
        best = min(peers, key=_order)
        for line in sorted(lines, key=_order):
            if family(line.method) == "adaptive":
                ratio, low, high = compare(line.times, best.times)
                print(
                    f"{line.method} ({line.rule}) / {best.method} ({best.rule}) = {ratio:.2f} [{low:.2f}, {high:.2f}]"
                )


def compare(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the ratio of geometric means over tasks, and its 95 % bootstrap interval over tasks."""
    logs = np.log(ours / theirs)
    drawn = np.random.default_rng(0).integers(len(logs), size=(4000, len(logs)))
    low, high = np.quantile(logs[drawn].mean(axis=1), (0.025, 0.975))
    return float(np.exp(logs.mean())), float(np.exp(low)), float(np.exp(high))


def _order(line: Line) -> tuple[float, float]:
    """Return what sorts the faster first, and of equal ones that with the greater gain at the end."""
    return line.time, -float(line.gains[:, -1].mean())


def _images(row: Row, trainings: float) -> float:
    return float(row["unit"]) * trainings


def _seconds(row: Row, trainings: float) -> float:
    return float(np.interp(trainings, [0, *row["marks"]], [0, *row["seconds"]]))


def draw(rows: Mapping[str, Sequence[Row]], path: Path) -> None:
    """Plot the gain of what is handed over against device time, a panel per training that has something to gain."""
    panels = {training: lines_of(found) for training, found in rows.items()}
    panels = {training: (lines, used) for training, (lines, used) in panels.items() if len(lines[0].times)}
    if not panels:
        return
    figure = Figure(figsize=(7.5 * len(panels), 6), layout="constrained")
    subplots = np.ravel(figure.subplots(1, len(panels)))
    for axes, (training, (lines, used)) in zip(subplots, panels.items(), strict=True):
        _panel(axes, lines, np.array(used[0]["marks"], dtype=np.float64))
        axes.set_title(f"{training}: {len(lines[0].times)} task(s), {len(used)} searches", fontsize="medium")
    figure.suptitle("How much device time until a gain that holds?")
    figure.savefig(path, dpi=120)


def _panel(axes: Axes, lines: list[Line], marks: NDArray[np.float64]) -> None:
    """Draw the methods that have a name, each at its fastest setting and rule."""
    best: dict[str, Line] = {}
    for line in lines:
        name = _NAMES.get(line.method.split(":")[0].replace("-mv", ""))
        if name is None:
            continue
        if name not in best or _order(line) < _order(best[name]):
            best[name] = line
    for name, line in sorted(best.items(), key=lambda one: _order(one[1])):
        drawn = np.random.default_rng(0).integers(len(line.times), size=(1000, len(line.times)))
        low, high = np.quantile(line.gains[drawn].mean(axis=1), (0.025, 0.975), axis=0)
        mean = line.gains.mean(axis=0)
        after = f"{line.time:.0f}" if line.reached.all() else f"{line.time:.0f} or more"
        (drawing,) = axes.plot(
            marks,
            mean,
            label=f"{name} ({_WORDS[line.rule]}): {after}",
            linewidth=2.5 if line.method.startswith("adaptive") else 1.5,
            linestyle="-" if line.method.startswith("adaptive") else "--",
        )
        axes.fill_between(marks, low, high, alpha=0.12, color=drawing.get_color(), linewidth=0)
        axes.plot(line.time, SHARE, "o", color=drawing.get_color(), clip_on=False)
    axes.axhline(SHARE, color="black", linewidth=0.8, linestyle=":")
    axes.set(xscale="log", xlim=(1, marks[-1]), ylim=(min(0.0, axes.get_ylim()[0]), 1.05))
    axes.set_xticks(ticks := [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 300) if t <= marks[-1]])
    axes.set_xticklabels([str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("device time, in trainings of full length (log)")
    axes.set_ylabel(
        "gain of what is handed over, on fresh seeds\n(1: the best method's at the end, 0: the default's)"
    )
    axes.legend(
        title=f"trainings until {SHARE:.0%} of the best method's gain at the end (dots)",
        fontsize="small",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncols=2,
    )
