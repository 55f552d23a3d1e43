"""Which seeds shall the trainings of a search have? One for all, a fresh one for each, or a few in turn.

    python benchmarks/seed_policies.py                                # landscapes: 12 × 10 searches per policy
    python benchmarks/seed_policies.py --suite network --instances 8 --seeds 4      # a real small network

Policies: ``fixed`` (one seed), ``per-trial`` (a fresh one each), ``rotate:3`` and ``rotate:5`` (so many in turn, the
sampler told), ``rotate:3 untold`` (the sampler not told). Searches are paired: equal sampler seeds on equal instances.

A landscape's noise has three parts, as `seed_noise.py` finds them in real trainings: an offset that a seed gives to all
individuals, a function of the individual that is smooth under one seed and another under the next (what a search with
one seed overfits), and the rest. Their shares of the variance are options. The network's noise is its own.

What a search hands over is scored without noise (landscapes: the regret, 1 at the default, lower is better) or with 20
fresh seeds (network: the gain over the default): its best trial, the best after the seeds' offsets are taken away, and
the recommended point. Printed: means, and each policy's ratio to ``fixed`` and ``per-trial``, 95 % over instances.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices: threads only cost

import numpy as np
import optuna
from landscapes import GAINS, MOVABLE, landscape, search_space
from landscapes_training import HYPERPARAMETERS, train
from search_problem import Problem
from search_report import compare, paired

from samplers import WeightedParentSampler, recommend
from samplers._adaptive import fit_kernel, last_kernel
from samplers._seeds import TRAINING_SEED
from samplers._verdict import view_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from optuna.study import Study

    Measure = Callable[[NDArray[np.float64], int], float]  # a point of the unit cube (d,), a seed -> fitness

POLICIES = ("fixed", "per-trial", "rotate:3", "rotate:5", "rotate:3 untold")
MARKS = (50, 100)
RULES = ("best", "corrected", "recommend")
SCORE_SEEDS = range(1_000_000, 1_000_020)
_WAVES = 100  # random waves that make a smooth function


@dataclass(frozen=True)
class Instance:
    """A problem, what measures it with a seed, and its score without noise; lower is better."""

    name: str
    problem: Problem
    measure: Measure
    score: Callable[[NDArray[np.float64]], float]


def seed_of(policy: str, number: int, first: int) -> int:
    """Return the seed of a trial."""
    if policy == "per-trial":
        return first + number
    return first + (number % int(policy.split()[0].partition(":")[2]) if policy.startswith("rotate") else 0)


def search(instance: Instance, policy: str, seed: int) -> dict[str, float]:
    """Return the scores of one search, by rule and mark."""
    problem = instance.problem
    sampler = WeightedParentSampler(
        seed=seed, defaults=problem.params(problem.start), gains=dict(problem.gains)
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    scores = {}
    for number in range(MARKS[-1]):
        trial = study.ask(dict(problem.space))
        training_seed = seed_of(policy, number, 1000 * (1 + seed))
        if not policy.endswith("untold"):
            trial.set_user_attr(TRAINING_SEED, training_seed)
        study.tell(trial, instance.measure(problem.point(trial.params), training_seed))
        if number + 1 in MARKS:
            points = {
                "best": study.best_params,
                "corrected": best_corrected(study),
                "recommend": recommend(study),
            }
            for rule, params in points.items():
                scores[f"{rule}@{number + 1}"] = instance.score(problem.point(params))
    return scores


def best_corrected(study: Study) -> Mapping[str, float]:
    """Return the parameters of the best trial once the offsets of the seeds are taken away."""
    view = view_of(study)
    if view is None:
        raise AssertionError("a study without a trial")
    kernel = fit_kernel(last_kernel(view.history, view.cube), view.evidence, view.cube, steps=5)
    _, y = view.evidence.features(view.cube, kernel)
    return study.trials[view.evidence.numbers[int(np.argmax(y[: len(view.evidence.numbers)]))]].params


def landscapes(asked: argparse.Namespace) -> list[Instance]:
    """Return synthetic landscapes whose noise has the shares asked for."""
    offset, smooth = asked.offset, asked.smooth
    rest = 1.0 - offset - smooth

    def instance(number: int) -> Instance:
        surface = landscape(number)
        problem = Problem(search_space(), surface.default, lambda _: 0.0, {n: GAINS[n] for n in MOVABLE})

        @cache
        def of_seed(seed: int) -> tuple[float, NDArray[np.float64], NDArray[np.float64], np.random.Generator]:
            rng = np.random.default_rng([number, seed])
            n = len(surface.default)
            waves = rng.standard_normal((_WAVES, n)) / asked.length
            return float(rng.standard_normal()), waves, rng.uniform(0, 2 * np.pi, _WAVES), rng

        def measure(point: NDArray[np.float64], seed: int) -> float:
            common, waves, phases, rng = of_seed(seed)
            own = np.sqrt(2 / _WAVES) * float(np.cos(waves @ point + phases).sum())
            parts = (offset, common), (smooth, own), (rest, float(rng.standard_normal()))
            return -surface.regret(point) + surface.noise * float(asked.noise) * sum(
                float(np.sqrt(share)) * part for share, part in parts
            )

        return Instance(f"landscape {number}", problem, measure, surface.regret)

    return [instance(asked.first + i) for i in range(asked.instances)]


def networks(asked: argparse.Namespace) -> list[Instance]:
    """Return the small network on tasks of its own; a score is the negative gain."""
    space = {name: distribution for name, (distribution, _) in HYPERPARAMETERS.items()}
    defaults = {name: default for name, (_, default) in HYPERPARAMETERS.items()}
    plain = Problem(space, np.zeros(len(space)), lambda _: 0.0, {})
    problem = Problem(space, plain.point(defaults), lambda _: 0.0, {})

    def instance(task: int) -> Instance:
        @cache
        def expected(params: tuple[float, ...]) -> float:
            hyp = dict(zip(space, params, strict=True))
            return float(np.mean([train(hyp, seed, task) for seed in SCORE_SEEDS]))

        at_default = expected(tuple(defaults.values()))
        return Instance(
            f"task {task}",
            problem,
            lambda point, seed: train(problem.params(point), seed, task),
            lambda point: at_default - expected(tuple(problem.params(point).values())),
        )

    return [instance(asked.first + i) for i in range(asked.instances)]


def main() -> None:
    """Search, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--suite", choices=("landscapes", "network"), default="landscapes")
    parser.add_argument("--instances", type=int, default=12)
    parser.add_argument("--first", type=int, default=0, help="number of the first instance")
    parser.add_argument("--seeds", type=int, default=10, help="searches per instance and policy")
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--offset", type=float, default=0.5, help="share of the variance: a seed's offset")
    parser.add_argument("--smooth", type=float, default=0.3, help="and its smooth function; the rest is rest")
    parser.add_argument("--length", type=float, default=0.5, help="length scale of the smooth function")
    parser.add_argument("--noise", type=float, default=1.0, help="times the landscape's noise")
    parser.add_argument("--out", type=Path, default=Path("runs/seed_policies"))
    parser.add_argument("--report", action="store_true", help="only report what was measured before")
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    asked.out.mkdir(parents=True, exist_ok=True)
    mix = f"-{asked.offset:g}-{asked.smooth:g}-{asked.length:g}-{asked.noise:g}" * (
        asked.suite == "landscapes"
    )
    results = asked.out / f"{asked.suite}{mix}-{asked.first}.jsonl"
    if not asked.report:
        measure(asked, results)
    report([json.loads(line) for line in results.read_text().splitlines()], gain=asked.suite == "network")


def measure(asked: argparse.Namespace, results: Path) -> None:
    """Run the searches that are not there yet, one line per search; any beginning of them is balanced."""
    there = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    known = {(row["instance"], row["seed"], row["method"]) for row in there}
    instances = landscapes(asked) if asked.suite == "landscapes" else networks(asked)
    for seed in range(asked.seeds):
        for place, instance in enumerate(instances):
            for policy in asked.policies.split(","):
                if (instance.name, seed, policy) not in known:
                    # No two searches share a seed: instances that are alike would share the luck of their steps.
                    row = search(instance, policy, 100 * (asked.first + place) + seed)
                    with results.open("a") as file:
                        file.write(
                            json.dumps({"instance": instance.name, "seed": seed, "method": policy, **row})
                            + "\n"
                        )


def report(rows: list[dict[str, object]], *, gain: bool) -> None:
    """Print mean scores, and ratios with their intervals."""
    policies = list(dict.fromkeys(str(row["method"]) for row in rows))
    done = {(row["instance"], row["seed"]): 0 for row in rows}
    for row in rows:
        done[row["instance"], row["seed"]] += 1
    rows = [row for row in rows if done[row["instance"], row["seed"]] == len(policies)]
    columns = [f"{rule}@{mark}" for mark in MARKS for rule in RULES]
    print(
        f"{len(rows) // len(policies)} searches per policy, {len({row['instance'] for row in rows})} instances"
    )
    print("| policy | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
    sign = -1 if gain else 1
    for policy in policies:
        means = [np.mean([float(row[c]) for row in rows if row["method"] == policy]) for c in columns]  # type: ignore[arg-type]
        print(f"| {policy} | " + " | ".join(f"{sign * mean:.4f}" for mean in means) + " |")
    for peer in ("fixed", "per-trial"):
        for policy in policies:
            if policy in ("fixed", peer) or peer not in policies:
                continue
            cells = []
            for column in columns:
                ratio, _ = compare(*paired(rows, policy, peer, column, column), geometric=False)
                cells.append(f"{ratio[0]:.2f} [{ratio[1]:.2f}, {ratio[2]:.2f}]")
            print(f"| {policy} / {peer} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
