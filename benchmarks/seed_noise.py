"""What a training's seed does: an offset common to all hyperparameters, a part that neighbours share, and the rest.

Four individuals (the default, and three some way off) and neighbours of each at growing distance are trained with the
same seeds. Over the seeds, how an individual deviates from its own mean is correlated: with other centres (the offset
that a seed gives to all alike), and with neighbours (what a search with this one seed would take for the fitness).

    OMP_NUM_THREADS=1 python benchmarks/seed_noise.py --seeds 8                  # the digits detector, 3 epochs
    OMP_NUM_THREADS=1 python benchmarks/seed_noise.py --trainer network --seeds 100 --centres 12

The trainings are added to `--out`, so that it may be stopped and goes on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from landscapes_training import HYPERPARAMETERS
from landscapes_training import train as train_network
from optuna.distributions import FloatDistribution
from search_problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

STEPS = (0.01, 0.03, 0.1)  # standard deviation of a neighbour's step in each gene, in parts of its range
AWAY = 0.1  # and of the centres' from the default, in half of the genes


def main() -> None:
    """Train, and print the correlations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trainer", choices=("digits", "network"), default="digits")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--centres", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=3, help="of the digits detector")
    parser.add_argument("--out", type=Path, default=Path("runs/seed_noise"))
    parser.add_argument("--report", action="store_true", help="only report what was measured before")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    results = asked.out / f"{asked.trainer}.jsonl"
    with tempfile.TemporaryDirectory() as temporary:
        if not asked.report:
            problem, train = (
                network() if asked.trainer == "network" else digits(asked.epochs, Path(temporary))
            )
            measure(problem, train, asked.centres, asked.seeds, results)
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    report({(row["centre"], row["step"], row["seed"]): row["fitness"] for row in rows})


def measure(
    problem: Problem,
    train: Callable[[Mapping[str, float], int], float],
    centres: int,
    seeds: int,
    results: Path,
) -> None:
    """Train what is not trained yet; one line per training."""
    known = set()
    if results.exists():
        rows = [json.loads(line) for line in results.read_text().splitlines()]
        known = {(row["centre"], row["step"], row["seed"]) for row in rows}
    for seed in range(seeds):
        for centre in range(centres):
            for step, point in individuals(problem, centre):
                if (centre, step, seed) not in known:
                    row = {"centre": centre, "step": step, "seed": seed}
                    row["fitness"] = train(problem.params(point), seed)
                    with results.open("a") as file:
                        file.write(json.dumps(row) + "\n")


def individuals(problem: Problem, centre: int) -> list[tuple[float, NDArray[np.float64]]]:
    """Return a centre (step 0) and its neighbours, as points of the unit cube."""
    rng = np.random.default_rng(centre)
    n = problem.start.size
    middle = problem.start
    if centre > 0:
        middle = np.clip(middle + (rng.random(n) < 0.5) * AWAY * rng.standard_normal(n), 0.0, 1.0)
    near = [np.clip(middle + step * rng.standard_normal(n), 0.0, 1.0) for step in STEPS]
    return [(0.0, middle), *zip(STEPS, near, strict=True)]


def report(fitness: Mapping[tuple[int, float, int], float]) -> None:
    """Print the scatter over seeds, and the correlations of what seeds do."""
    every = sorted({seed for *_, seed in fitness})
    trained = {seed: sum(key[2] == seed for key in fitness) for seed in every}
    whole = [seed for seed in every if trained[seed] == max(trained.values())]
    if len(whole) < 2:
        raise SystemExit("expected two seeds or more with which every individual has been trained")
    centres = sorted({key[0] for key in fitness})

    def deviations(centre: int, step: float) -> NDArray[np.float64]:
        values = np.array([fitness[centre, step, seed] for seed in whole])
        return np.asarray(values - values.mean())

    table = {(c, s): deviations(c, s) for c in centres for s in (0.0, *STEPS)}
    variance = np.mean([float(d @ d) for d in table.values()]) / (len(whole) - 1)
    means = [np.mean([fitness[c, 0.0, seed] for seed in whole]) for c in centres]
    print(f"{len(whole)} seeds, {len(table)} individuals; mean fitness of the centres {np.round(means, 4)}")
    print(f"standard deviation over seeds {np.sqrt(variance):.4f}")
    for step in STEPS:
        print(
            f"correlation with a neighbour at {step:g}: {_share(table, [((c, 0.0), (c, step)) for c in centres])}"
        )
    others = [((a, s), (b, t)) for a, s in table for b, t in table if a < b]
    print(f"correlation with another centre (the common offset): {_share(table, others)}")


def _share(
    table: Mapping[tuple[int, float], NDArray[np.float64]],
    pairs: list[tuple[tuple[int, float], tuple[int, float]]],
) -> str:
    """Return the pooled correlation over seeds of pairs of individuals, and a 95 % bootstrap interval over seeds."""
    a, b = (np.array([table[pair[i]] for pair in pairs]) for i in (0, 1))  # (pairs, seeds)

    def pooled(seeds: NDArray[np.int64]) -> float:
        x, y = (m[:, seeds] - m[:, seeds].mean(axis=1, keepdims=True) for m in (a, b))
        return float(np.sum(x * y) / np.sqrt(np.sum(x**2) * np.sum(y**2)))

    n = a.shape[1]
    drawn = [pooled(chosen) for chosen in np.random.default_rng(0).integers(n, size=(2000, n))]
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return f"{pooled(np.arange(n)):.2f} [{low:.2f}, {high:.2f}]"


def network() -> tuple[Problem, Callable[[Mapping[str, float], int], float]]:
    """Return the small network of `landscapes_training.py`."""
    space = {name: distribution for name, (distribution, _) in HYPERPARAMETERS.items()}
    plain = Problem(space, np.zeros(len(space)), lambda _: 0.0, {})
    start = plain.point({name: default for name, (_, default) in HYPERPARAMETERS.items()})
    return Problem(space, start, lambda _: 0.0, {}), lambda hyp, seed: train_network(dict(hyp), seed)


def digits(epochs: int, folder: Path) -> tuple[Problem, Callable[[Mapping[str, float], int], float]]:
    """Return the detector on the embedded digits."""
    from hypevo.problem.hyp import load_hyp
    from hypevo.problem.space import yolov5_space
    from trainers.yolov5 import Settings, prepare, train

    settings = prepare(Settings(epochs=epochs, pictures=False, val_every=0), folder)
    space = {n: d for n, d in yolov5_space().distributions().items() if isinstance(d, FloatDistribution)}
    default = {name: float(value) for name, value in load_hyp("scratch-low").items()}

    def measure(hyp: Mapping[str, float], seed: int) -> float:
        metrics = train(
            {**default, **hyp},
            out=folder / "out",
            seed=seed,
            device="cpu",
            report=lambda metrics, *, step: None,  # noqa: ARG005 - the names of an argument
            settings=settings,
        )
        return 0.1 * metrics["mAP_0.5"] + 0.9 * metrics["mAP_0.5:0.95"]

    plain = Problem(space, np.zeros(len(space)), lambda _: 0.0, {})
    return Problem(space, plain.point(default), lambda _: 0.0, {}), measure


if __name__ == "__main__":
    main()
