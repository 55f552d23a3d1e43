"""What is an earlier study worth? A search that begins where another one ended (`--from-study`) against a cold one.

    nice -n 5 python benchmarks/from_study.py                        # real small trainings, pairs of tasks
    nice -n 5 python benchmarks/from_study.py --suite landscapes     # a misleading earlier study: another landscape

A pair has a source, searched cold for `--source-trials`, and a target, searched cold and from the source's
recommendation. `training`: source and target differ in digits, images and network (`landscapes_training.Task`).
`landscapes`: they are unlike each other, so the recommendation is wrong; the search must not suffer. Printed: the
noise-free score of the best trial after 1, 2, 5, 10, 25 and 50 trials, and the paired difference warm − cold with its
95 % bootstrap interval over pairs. Scores: gain over the default for `training` (higher is better), regret for
`landscapes` (1 = the default, lower is better). The default is trial 0 of both searches.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices: threads only cost

import numpy as np
import optuna
from landscapes import DEFAULTS, GAINS, MOVABLE, landscape, search_space, to_unit
from landscapes_training import HYPERPARAMETERS, train
from optuna.distributions import FloatDistribution, IntDistribution

from hypevo.problem.plan import Plan, Start
from hypevo.problem.space import read_space
from hypevo.study.earlier import enqueue_start
from hypevo.study.search import make_sampler
from hypevo.study.storage import enqueue_default
from samplers import recommend

MARKS = (1, 2, 5, 10, 25, 50)
SCORE_SEEDS = range(10_000, 10_020)


@dataclass(frozen=True)
class Problem:
    """One thing to search: a plan without a start, a noisy measurement, and a score without noise."""

    plan: Plan
    measure: Callable[[dict[str, float], np.random.Generator], float]
    score: Callable[[dict[str, float]], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", choices=("training", "landscapes"), default="training")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1, help="searches per pair")
    parser.add_argument("--source-trials", type=int, default=100)
    parser.add_argument("--first", type=int, default=100, help="number of the first task or landscape")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    make = training if options.suite == "training" else synthetic
    cold, warm = [], []
    for number in range(options.first, options.first + options.pairs):
        source, target = make(2 * number), make(2 * number + 1)
        for seed in range(options.seeds):
            found = recommend(search(source, options.source_trials, [number, seed, 0]))
            plain = search(target, MARKS[-1], [number, seed, 1])
            begun = search(target, MARKS[-1], [number, seed, 2], Start("study source", found))
            cold.append((number, curve(plain, target)))
            warm.append((number, curve(begun, target)))
    report(cold, warm)


def search(problem: Problem, n: int, seed: list[int], start: Start | None = None) -> optuna.Study:
    """Run a study as the driver does, one trial at a time."""
    seeds = np.random.SeedSequence(seed).generate_state(2)
    rng = np.random.default_rng(seeds[0])
    plan = Plan(**{**vars(problem.plan), "seed": int(seeds[1]), "start": start})
    study = optuna.create_study(direction="maximize", sampler=make_sampler("adaptive", plan, 0))
    enqueue_default(study, plan)
    enqueue_start(study, plan)
    distributions = plan.space.distributions()
    for _ in range(n):
        trial = study.ask(distributions)
        study.tell(trial, problem.measure(trial.params, rng))
    return study


def curve(study: optuna.Study, problem: Problem) -> list[float]:
    """Return the score of the best trial after each of MARKS."""
    trials = study.get_trials(deepcopy=False)
    best = [max(trials[:mark], key=lambda trial: trial.value or 0.0) for mark in MARKS]
    return [problem.score(trial.params) for trial in best]


def report(cold: list[tuple[int, list[float]]], warm: list[tuple[int, list[float]]]) -> None:
    """Print both curves and their difference."""
    numbers = np.array([number for number, _ in cold])
    a, b = (
        np.array(
            [np.mean([np.array(c) for n, c in rows if n == number], axis=0) for number in np.unique(numbers)]
        )
        for rows in (cold, warm)
    )
    print(f"{len(a)} pairs, {len(cold)} searches each")
    print(f"{'trials':>10}{'cold':>10}{'warm':>10}   warm - cold")
    drawn = np.random.default_rng(0).integers(len(a), size=(4000, len(a)))
    low, high = np.quantile((b - a)[drawn].mean(axis=1), (0.025, 0.975), axis=0)
    for i, mark in enumerate(MARKS):
        print(
            f"{mark:10}{a[:, i].mean():10.4f}{b[:, i].mean():10.4f}   "
            f"{(b - a)[:, i].mean():+.4f} [{low[i]:+.4f}, {high[i]:+.4f}]",
            flush=True,
        )


def training(number: int) -> Problem:
    """Return the small training of one task; its score is the mean gain over the default with fresh seeds."""
    defaults = {name: default for name, (_, default) in HYPERPARAMETERS.items()}
    plan = plan_of({name: distribution for name, (distribution, _) in HYPERPARAMETERS.items()}, defaults)

    @cache
    def expected(values: tuple[float, ...]) -> float:
        hyp = dict(zip(defaults, values, strict=True))
        return float(np.mean([train(hyp, seed, number) for seed in SCORE_SEEDS]))

    def score(params: dict[str, float]) -> float:
        return expected(tuple(params[name] for name in defaults)) - expected(tuple(defaults.values()))

    return Problem(plan, lambda params, rng: train(params, int(rng.integers(2**31)), number), score)


def synthetic(number: int) -> Problem:
    """Return a landscape; its score is the regret."""
    surface = landscape(number)
    plan = plan_of(search_space(), {name: DEFAULTS[name] for name in MOVABLE})
    return Problem(
        plan,
        lambda params, rng: surface.measure(to_unit(params), rng),
        lambda params: surface.regret(to_unit(params)),
    )


def plan_of(
    distributions: Mapping[str, FloatDistribution | IntDistribution], defaults: Mapping[str, float]
) -> Plan:
    """Return the plan of a study over these distributions."""
    kinds = {
        name: {
            "gain": GAINS.get(name, 1.0),
            "low": one.low,
            "high": one.high,
            "log": one.log,
            "type": "int" if isinstance(one, IntDistribution) else "float",
        }
        for name, one in distributions.items()
    }
    return Plan("t:train", {}, read_space(kinds, source="benchmark"), defaults, "score", "per-trial", 0)


if __name__ == "__main__":
    main()
