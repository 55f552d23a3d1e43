"""Where a study stands, from its storage alone: it works while the driver runs, and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import TrialState

from hypevo.protocol import InputError
from hypevo.study.account import account
from hypevo.study.attributes import FAILURE, REASON, metrics_of
from hypevo.study.chosen import chosen
from hypevo.study.lease import driver_of
from hypevo.study.onward import onward, study_words
from hypevo.study.rescore import Ranked, load_ranked
from hypevo.study.storage import METRICS, PARENT_RUN, journal, load_plan, load_study, stored_plan, studies
from hypevo.study.tally import ENDED, Tally, in_order


def all_studies(storage: str) -> list[dict[str, Any]]:
    """Every study of a storage in a line: its name, who drives it, how far it is, its number there.

    Raises:
        InputError: no such storage.
    """
    keys = ("study", "driver", "generations", "total", "running", "best_fitness", "best_trial", "mlflow_run")
    opened, names = studies(storage)
    found = []
    for name in sorted(names):
        study = optuna.load_study(study_name=name, storage=opened)
        if stored_plan(study) is not None:
            state = _state(study, driver_of(study, journal(storage)))
            found.append({**{key: state[key] for key in keys}, "id": study._study_id})
    return found


def study_status(
    storage: str,
    name: str | None,
    fitness: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The study's state as plain values, ready for JSON; what is not there is None.

    Args:
        storage: Where the study is.
        name: Its name; the only one when left out.
        fitness: What to rank by; the study's own unless given.
        tell: Told what a user should know of a ranking by another fitness.

    Raises:
        InputError: no such study, or it has not recorded what the fitness reads.
    """
    ranked = load_ranked(storage, name, fitness)
    for note in ranked.notes:
        tell(note)
    return status_of(ranked, storage)


def status_of(ranked: Ranked, storage: str) -> dict[str, Any]:
    """The same of a study that is open already."""
    stored = load_study(storage, ranked.study.study_name) if ranked.other_fitness else ranked.study
    state = _state(ranked.study, driver_of(stored, journal(storage)))
    if not ranked.other_fitness:
        return {**state, **_onward(stored, storage)}
    words = ["hypevo", "export", *study_words(stored, storage), "--fitness", ranked.other_fitness]
    return {**state, "train_with": None, "next": {"write the files of this ranking": words}}


def _onward(study: optuna.Study, storage: str) -> dict[str, Any]:
    try:
        winner = chosen(study)
    except InputError:
        winner = None  # its folder is another study's: no file to go on with
    if winner is None:
        return {"train_with": None, "next": {}}
    file = None if winner.file is None else str(winner.file)
    return {"train_with": {"file": file, "whose": winner.said}, "next": onward(study, storage, winner)}


def _state(study: optuna.Study, driver: str | None) -> dict[str, Any]:
    plan = load_plan(study)
    trials = study.get_trials(deepcopy=False)
    tally = Tally(trial for trial in trials if trial.state in ENDED)
    best = tally.best
    failed = [trial for trial in trials if trial.state is TrialState.FAIL]
    begun = [trial.number for trial in trials if trial.state is TrialState.RUNNING]
    last = [str(trial.user_attrs.get(REASON, "")) for trial in in_order(failed)][-1:]
    return {
        "study": study.study_name,
        "trainer": plan.trainer,
        "data": plan.settings.get("data"),
        "fitness": plan.fitness,
        "generations": tally.generations,
        "pruned": sum(trial.state is TrialState.PRUNED for trial in trials),
        "driver": driver,
        "running": [] if driver is None else begun,
        "interrupted": begun if driver is None else [],  # the next driver runs them again
        "failures": dict(Counter(str(trial.user_attrs.get(FAILURE, "unknown")) for trial in failed)),
        "last_failure": last[0] if last else None,
        "best_fitness": None if best is None else best.value,
        "best_trial": None if best is None else best.number,
        "best_metrics": {} if best is None else metrics_of(best, study.user_attrs.get(METRICS, ())),
        "genes": [gene.name for gene in plan.space.movable],
        "mlflow_run": study.user_attrs.get(PARENT_RUN),
        **account(study, plan, tally),
    }
