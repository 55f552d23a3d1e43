"""What a proposal costs: CPU time of ask and tell with 29 parameters, beside RandomSampler on the same storage.

    python benchmarks/sampler_cost.py                      # in-memory, journal and SQLite at 100 and 1,000 trials
    python benchmarks/sampler_cost.py --trials 100 1000 10000 --storages memory journal

A study is filled with random trials and copied for each sampler; then the samplers, in random order, ask for a trial
with all its parameters and tell its result, again and again. The mean CPU time of that is reported, in milliseconds and
relative to RandomSampler: a median would not see the fits of the model, which only some proposals make.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices: threads only cost

import numpy as np
import optuna
from landscapes import GENES
from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from samplers import WeightedParentSampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

SPACE = {name: FloatDistribution(low, high) for name, (_, low, high, _) in GENES.items()}
SAMPLERS: dict[str, Callable[[], BaseSampler]] = {
    "random": lambda: optuna.samplers.RandomSampler(seed=0),
    "classic": lambda: WeightedParentSampler(mode="classic", seed=0),
    "adaptive": lambda: WeightedParentSampler(mode="adaptive", seed=0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--trials", type=int, nargs="+", default=[100, 1000], help="finished trials of the study"
    )
    parser.add_argument("--storages", nargs="+", default=["memory", "journal", "sqlite"])
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"{'storage':10}{'trials':>8}" + "".join(f"{name:>12}{'':8}" for name in SAMPLERS))
    for storage in options.storages:
        for n in options.trials:
            costs = measure(storage, n, options.repeats)
            cells = (f"{1000 * cost:9.2f} ms ({cost / costs['random']:4.2f})" for cost in costs.values())
            print(f"{storage:10}{n:8}" + "  ".join(cells), flush=True)


def measure(kind: str, n_trials: int, repeats: int) -> dict[str, float]:
    """Return the mean CPU seconds of ask and tell by sampler."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        filled = fill(kind, Path(folder) / "filled", n_trials, rng)
        studies = {
            name: copy(filled, kind, Path(folder), name, sampler()) for name, sampler in SAMPLERS.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in studies}
        for repeat in range(repeats + 1):
            for name in rng.permutation(
                list(studies)
            ):  # nobody always follows the one that empties the caches
                began = time.process_time()
                trial = studies[name].ask(dict(SPACE))
                studies[name].tell(trial, 0.5)
                if repeat:  # the first one reads the whole study
                    seconds[name].append(time.process_time() - began)
        return {name: float(np.mean(values)) for name, values in seconds.items()}


def fill(kind: str, path: Path, n_trials: int, rng: np.random.Generator) -> optuna.Study:
    """Return a study of random finished trials."""
    filled = optuna.create_study(direction="maximize", study_name="filled", storage=storage(kind, path))
    for _ in range(n_trials):
        params = {name: float(rng.uniform(d.low, d.high)) for name, d in SPACE.items()}
        filled.add_trial(
            optuna.create_trial(params=params, distributions=dict(SPACE), value=float(rng.uniform(0.0, 0.4)))
        )
    return filled


def copy(filled: optuna.Study, kind: str, folder: Path, name: str, sampler: BaseSampler) -> optuna.Study:
    """Return a copy of a study in a storage of its own, for one sampler."""
    if kind == "memory":
        own = optuna.create_study(direction="maximize", sampler=sampler)
        own.add_trials(filled.get_trials(deepcopy=False))
        return own
    shutil.copy(folder / "filled", folder / name)  # SQLite takes minutes to fill with 10,000 trials
    return optuna.load_study(study_name="filled", sampler=sampler, storage=storage(kind, folder / name))


def storage(kind: str, path: Path) -> BaseStorage:
    """Return a storage of a kind at a path."""
    if kind == "memory":
        return InMemoryStorage()
    return (
        JournalStorage(JournalFileBackend(str(path)))
        if kind == "journal"
        else RDBStorage(f"sqlite:///{path}")
    )


if __name__ == "__main__":
    main()
