"""How good is the search? Regret of our sampler and of its peers, with paired differences and their intervals.

    python benchmarks/search_quality.py                                      # landscapes, development part, 3 seeds
    python benchmarks/search_quality.py --suite bbob --part held-out --seeds 5
    python benchmarks/search_quality.py --suite training --trials 100 --methods adaptive,classic,cma,tpe
    python benchmarks/search_quality.py --slots 8 --methods adaptive         # eight trials in flight

Suites: ``landscapes`` (25 movable genes, noisy; score = regret, 1 at the defaults), ``bbob`` (20-d, COCO's 24
functions; score = regret relative to the start, averaged geometrically), ``bbob-noisy`` (the same functions with
Gaussian noise of 5 % of the start's regret), ``training`` (a real small network; score = gain over the defaults). A
search is judged by the noise-free score of what it would hand over, under two rules: the best trial, and the
recommended point (the rank-weighted mean of the 9 best trials; ``recommend`` for our sampler as well). Peers are
taken at their best setting per number of trials and rule. Intervals are 95 % bootstrap intervals over instances.
Results are added to ``--out`` as JSON lines, so a benchmark may be run in parts.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices: threads only cost

import numpy as np
import optuna
from matplotlib.figure import Figure
from search_entrants import all_methods
from search_suites import PARTS, SUITES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

OURS = "adaptive"
RULES = ("best_trial", "top9", "recommend")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", choices=SUITES, default="landscapes")
    parser.add_argument("--part", choices=PARTS, default="development")
    parser.add_argument("--seeds", type=int, default=3, help="searches per instance")
    parser.add_argument("--instances", type=int, help="only so many instances")
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument(
        "--slots", type=int, default=1, help="trials in flight (Optuna samplers, turbo, log-ei)"
    )
    parser.add_argument("--methods", help="names or their beginnings, separated by commas; default: all")
    parser.add_argument("--out", type=Path, default=Path("runs/search_quality"))
    parser.add_argument("--report", action="store_true", help="only report what was measured before")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options.out.mkdir(parents=True, exist_ok=True)
    marks = tuple(m for m in (25, 50, 100, 300, 1000) if m <= options.trials)
    name = f"{options.suite}-{options.part}-{options.trials}" + (
        f"-slots{options.slots}" if options.slots > 1 else ""
    )
    results = options.out / f"{name}.jsonl"
    if not options.report:
        measure(options, marks, results)
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    report(rows, marks, geometric=options.suite.startswith("bbob"))
    draw(rows, options.out / f"{name}.png", options.trials, geometric=options.suite.startswith("bbob"))


def measure(options: argparse.Namespace, marks: tuple[int, ...], results: Path) -> None:
    """Run the searches and append one line per search."""
    methods = all_methods(options.slots, marks)
    if options.methods:
        wanted = tuple(options.methods.split(","))
        methods = {name: method for name, method in methods.items() if name.startswith(wanted)}
    for number, instance in enumerate(SUITES[options.suite](options.part)[: options.instances]):
        for seed in range(options.seeds):
            for name, method in methods.items():
                problem = instance.problem(seed)
                began = time.process_time()
                # No two searches share a seed: instances that are alike would share the luck of their first steps.
                run = method(problem, options.trials, 1000 * number + seed)
                row = {
                    "instance": instance.name,
                    "seed": seed,
                    "method": name,
                    "cpu_ms": 1000 * (time.process_time() - began) / options.trials,
                    "curve": [
                        instance.score(run.points[i]) for i in incumbents(run.fitness, options.trials // 10)
                    ],
                }
                for mark in marks:
                    row[f"best_trial@{mark}"] = instance.score(run.points[int(np.argmax(run.fitness[:mark]))])
                    row[f"top9@{mark}"] = instance.score(elite_mean(run.points[:mark], run.fitness[:mark]))
                    if mark in run.recommended:
                        row[f"recommend@{mark}"] = instance.score(run.recommended[mark])
                with results.open("a") as file:
                    file.write(json.dumps(row) + "\n")


def elite_mean(points: NDArray[np.float64], fitness: NDArray[np.float64], n: int = 9) -> NDArray[np.float64]:
    """Return the mean of the best ``n`` points with weights log(n + 1/2) − log(rank)."""
    best = np.argsort(-fitness)[:n]
    weights = np.log(len(best) + 0.5) - np.log(np.arange(1, len(best) + 1))
    return np.asarray(weights @ points[best] / weights.sum())


def incumbents(fitness: NDArray[np.float64], every: int) -> list[int]:
    """Return the index of the best trial so far after each ``every`` trials."""
    return [int(np.argmax(fitness[:n])) for n in range(every, len(fitness) + 1, every)]


def report(rows: list[dict[str, object]], marks: Iterable[int], *, geometric: bool) -> None:
    """Print mean scores, and our ratio to the best peer and the paired difference with their intervals."""
    methods = list(dict.fromkeys(str(row["method"]) for row in rows))
    columns = [f"{rule}@{mark}" for rule in RULES for mark in marks]
    print(f"{'method':24}" + "".join(f"{column:>16}" for column in columns) + f"{'CPU ms':>9}{'n':>6}")
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        means = [centre([float(row[c]) for row in own if c in row], geometric=geometric) for c in columns]
        cpu = np.mean([float(row["cpu_ms"]) for row in own])
        print(f"{method:24}" + "".join(f"{mean:16.4f}" for mean in means) + f"{cpu:9.1f}{len(own):6}")
    if OURS not in methods:
        return
    peers = [method for method in methods if method not in (OURS, "classic")]
    for rule, theirs in (("best_trial", "best_trial"), ("top9", "top9"), ("recommend", "top9")):
        for mark in marks:
            ours = table(rows, OURS, f"{rule}@{mark}")
            rivals = {peer: table(rows, peer, f"{theirs}@{mark}") for peer in peers}
            rivals = {peer: scores for peer, scores in rivals.items() if scores.keys() >= ours.keys()}
            if not ours or not rivals:
                continue
            best = min(
                rivals,
                key=lambda peer: centre([x for v in rivals[peer].values() for x in v], geometric=geometric),
            )
            ratio, difference = compare(ours, rivals[best], geometric=geometric)
            print(
                f"{rule}@{mark}: {OURS} / {best} = {ratio[0]:.2f} [{ratio[1]:.2f}, {ratio[2]:.2f}], "
                f"difference {difference[0]:+.4f} [{difference[1]:+.4f}, {difference[2]:+.4f}]"
            )


def table(rows: list[dict[str, object]], method: str, column: str) -> dict[str, list[float]]:
    """Return a method's scores by instance."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        if row["method"] == method and column in row:
            scores.setdefault(str(row["instance"]), []).append(float(row[column]))  # type: ignore[arg-type]
    return scores


def compare(
    ours: dict[str, list[float]], theirs: dict[str, list[float]], *, geometric: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (estimate, low, high) of the ratio of mean scores and of the mean paired difference, over instances."""
    names = list(ours)
    a = np.array([centre(ours[name], geometric=geometric) for name in names])
    b = np.array([centre(theirs[name], geometric=geometric) for name in names])
    drawn = np.random.default_rng(0).integers(len(names), size=(4000, len(names)))
    samples = np.concatenate([np.arange(len(names))[None], drawn])  # the first one is the estimate
    if geometric:
        ratios = np.exp(np.log(a)[samples].mean(axis=1) - np.log(b)[samples].mean(axis=1))
    else:
        ratios = a[samples].mean(axis=1) / b[samples].mean(axis=1)
    differences = (a - b)[samples].mean(axis=1)
    return tuple(np.array([x[0], *np.quantile(x[1:], (0.025, 0.975))]) for x in (ratios, differences))  # type: ignore[return-value]


def centre(scores: list[float], *, geometric: bool) -> float:
    """Return the (geometric) mean of scores; NaN of none."""
    if not scores:
        return float("nan")
    return float(np.exp(np.mean(np.log(scores)))) if geometric else float(np.mean(scores))


def draw(rows: list[dict[str, object]], path: Path, n_trials: int, *, geometric: bool) -> None:
    """Plot the best trial's score against trials: mean over instances and its interval; peers at their best end."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    ends: dict[str, tuple[float, str]] = {}
    for method in dict.fromkeys(str(row["method"]) for row in rows):
        end = centre([row["curve"][-1] for row in rows if row["method"] == method], geometric=geometric)  # type: ignore[index]
        kind = method.split(":")[0]
        ends[kind] = min(ends.get(kind, (np.inf, "")), (end, method))
    for _, method in sorted(ends.values()):
        by_instance: dict[str, list[list[float]]] = {}
        for row in rows:
            if row["method"] == method:
                by_instance.setdefault(str(row["instance"]), []).append(row["curve"])  # type: ignore[arg-type]
        curves = np.array([np.mean(np.log(c) if geometric else c, axis=0) for c in by_instance.values()])
        drawn = np.random.default_rng(0).integers(len(curves), size=(1000, len(curves)))
        low, high = np.quantile(curves[drawn].mean(axis=1), (0.025, 0.975), axis=0)
        middle = curves.mean(axis=0)
        if geometric:
            low, middle, high = np.exp(low), np.exp(middle), np.exp(high)
        trials = n_trials // 10 * np.arange(1, len(middle) + 1)
        (line,) = axes.plot(trials, middle, label=method)
        axes.fill_between(trials, low, high, alpha=0.15, color=line.get_color())
    axes.set(xlabel="trials", ylabel="score of the best trial (lower is better)")
    if geometric:
        axes.set_yscale("log")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
