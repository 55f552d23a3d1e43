"""What a trial takes in memory in a journal: kilobytes of live Python objects, ours beside Optuna's own storage.

    python benchmarks/journal_memory.py

A trial has 29 parameters, ten reports and ten metrics. Traced between the 100th and the 300th trial, so that what all
trials share does not count.
"""

import gc
import os
import random
import tempfile
import tracemalloc
import warnings
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from hypevo.storage import open_storage

FROM, TO = 100, 300


def main() -> None:
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    os.fsync = lambda _: None  # memory is measured, not the disk
    with tempfile.TemporaryDirectory() as folder:
        theirs = JournalStorage(JournalFileBackend(str(Path(folder) / "theirs.journal")))
        for name, storage in (
            ("optuna", theirs),
            ("hypevo", open_storage(str(Path(folder) / "ours.journal"))),
        ):
            print(f"{name}: {kilobytes(storage):.1f} kB a trial")


def kilobytes(storage: optuna.storages.BaseStorage) -> float:
    """Return what a trial takes in a storage."""
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    add_trials(study, FROM)
    gc.collect()
    tracemalloc.start()
    add_trials(study, TO - FROM)
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return grown / (TO - FROM) / 1000


def add_trials(study: optuna.Study, n_trials: int) -> None:
    """Let random trials finish."""
    for _ in range(n_trials):
        trial = study.ask()
        for gene in range(29):
            trial.suggest_float(f"gene_{gene}", 0, 1)
        for epoch in range(10):
            trial.report(random.random(), epoch)
        for metric in range(10):
            trial.set_user_attr(f"metric_{metric}", random.random())
        study.tell(trial, random.random())


if __name__ == "__main__":
    main()
