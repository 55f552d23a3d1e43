"""How well `samplers.noise` knows the noise of a study, without one repeated trial.

Every trial has a fresh seed here, so its scatter is the noise of a measurement. Adaptive and classic searches; the
truth is the standard deviation of repeated measurements of each search's best individuals. Printed: estimate / truth,
as geometric mean with the 10th and 90th percentile.

    python benchmarks/noise.py --suite training
"""

from __future__ import annotations

import argparse

import numpy as np
import optuna
from search_methods import our_sampler
from search_suites import instances

from samplers import noise

MARKS = (25, 50, 100)
N_BEST, N_REPEATS = 5, 20


def ratios(suite: str, mode: str, seeds: int) -> list[list[float]]:
    """Return estimate / truth after each of MARKS, for each search."""
    rows = []
    for instance in instances(suite, "development"):
        for seed in range(seeds):
            problem = instance.problem(seed)
            study = optuna.create_study(direction="maximize", sampler=our_sampler(mode, problem, seed))
            estimates = []
            for mark in MARKS:
                while len(study.get_trials(deepcopy=False)) < mark:
                    trial = study.ask(dict(problem.space))
                    study.tell(trial, problem.measure(problem.point(trial.params)))
                estimates.append(noise(study))
            best = sorted(study.trials, key=lambda trial: -float(trial.value or 0.0))[:N_BEST]
            repeats = [
                [problem.measure(problem.point(trial.params)) for _ in range(N_REPEATS)] for trial in best
            ]
            truth = np.sqrt(np.mean(np.var(repeats, axis=1, ddof=1)))
            rows.append([estimate / truth for estimate in estimates])
    return rows


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", choices=("landscapes", "training"), default="landscapes")
    parser.add_argument("--seeds", type=int, default=1, help="searches per instance")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"| {options.suite} | " + " | ".join(f"@{mark}" for mark in MARKS) + " |")
    print("|---" * (len(MARKS) + 1) + "|")
    for mode in ("adaptive", "classic"):
        table = np.log(ratios(options.suite, mode, options.seeds))
        low, mean, high = np.exp(
            [*np.percentile(table, [10], axis=0), table.mean(axis=0), *np.percentile(table, [90], axis=0)]
        )
        cells = [f"{m:.2f} [{a:.2f}, {b:.2f}]" for a, m, b in zip(low, mean, high, strict=True)]
        print(f"| {mode} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
