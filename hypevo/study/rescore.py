"""A study ranked by another fitness: its trainings are scored anew from the metrics they recorded, none is repeated.

    ranked = load_ranked(storage, "coco128", "recall")
    standing(ranked.study), finished(ranked.study), recommend(ranked.study)

The view is a study in memory with the same trials under the same numbers, so that whatever reads a study reads it.
"""

from __future__ import annotations

import copy
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from hypevo.problem.fitness import Fitness, parse_fitness
from hypevo.protocol import InputError
from hypevo.study.attributes import FAILURE, NOISE, REASON, SEED_NOISE, UNTOUCHED, VERDICT, metrics_of
from hypevo.study.opening import FOLDER, study_folder
from hypevo.study.storage import METRICS, PLAN, finished, load_plan, load_study

NOT_SCORED = "not scored"  # the failure of a trial that lacks a metric which the fitness reads
_OLD = (SEED_NOISE, VERDICT)  # known as a fitness only, the old one
OUT = Path("runs/evolve")  # where studies have their folders
_LONGEST = 60  # characters of a folder's name that say the expression


@dataclass(frozen=True)
class Ranked:
    """A study as it is ranked: by its own fitness, or by another.

    Attributes:
        study: The study itself, or its view in memory: what is written into that is lost.
        other_fitness: What it is ranked by instead of its own fitness; empty for its own.
        notes: What a user should know of a ranking by another fitness, in sentences.
    """

    study: optuna.Study
    other_fitness: str = ""
    notes: tuple[str, ...] = ()

    def place(self, folder: Path | None) -> Path:
        """The folder for the files of this ranking: those by another fitness never take the place of the study's own.

        Args:
            folder: The one that was asked for; the study's own unless given.

        Raises:
            InputError: the study's folder is another study's now.
        """
        if not self.other_fitness:
            return folder or study_folder(self.study, OUT)
        if folder is None:
            folder = own = study_folder(self.study, OUT)
        else:
            own = Path(str(self.study.user_attrs.get(FOLDER, OUT / self.study.study_name)))
        return folder / f"fitness-{slug(self.other_fitness)}" if folder.resolve() == own.resolve() else folder


def load_ranked(storage: str, name: str | None, fitness: str | None) -> Ranked:
    """A study that exists, ranked by its own fitness or by another.

    Args:
        storage: Where it is.
        name: Its name; the only one when left out.
        fitness: What to rank by; its own unless given.

    Raises:
        InputError: as `load_study` and `rescored`.
    """
    study = load_study(storage, name)
    if fitness is None or fitness.strip() == load_plan(study).fitness.strip():
        return Ranked(study)
    return rescored(study, fitness)


def rescored(study: optuna.Study, text: str) -> Ranked:
    """View a study under another fitness.

    Args:
        study: One of ours.
        text: The expression, or `module:function`.

    Raises:
        InputError: it reads what the study has not recorded, or no trial has all that it reads.
        WorkError: a user's function fails for a trial.
    """
    plan, trials = load_plan(study), finished(study)
    fitness = read_fitness(study, trials, text)
    view = optuna.create_study(
        study_name=study.study_name, direction="maximize", storage=optuna.storages.InMemoryStorage()
    )
    for name, value in study.user_attrs.items():
        if name not in _OLD:
            view.set_user_attr(name, value)
    view.set_user_attr(PLAN, replace(plan, fitness=fitness.text).to_json())
    for name, value in measured(study, fitness).items():
        view.set_user_attr(name, value)
    everything = [scored(trial, fitness) for trial in study.get_trials(deepcopy=False)]
    view.add_trials(everything)
    left_out = sum(trial.user_attrs.get(FAILURE) == NOT_SCORED for trial in everything)
    if trials and left_out == len(trials):
        raise InputError(
            f"--fitness {text}: no trial of study «{study.study_name}» has a finite value of it; "
            "what it reads is missing or not finite in all of them"
        )
    return Ranked(view, fitness.text, tuple(_notes(study, plan.settings, left_out)))


def read_fitness(study: optuna.Study, trials: Sequence[FrozenTrial], text: str) -> Fitness:
    """Parse a fitness for metrics that a study has recorded.

    Args:
        study: One of ours.
        trials: Its finished trials.
        text: The expression, or `module:function`.

    Raises:
        InputError: it is malformed, or reads something else; the metrics that there are are listed.
    """
    declared = study.user_attrs.get(METRICS, ())
    there = tuple(dict.fromkeys(name for trial in trials for name in metrics_of(trial, declared)))
    if not there:
        raise InputError(f"--fitness {text}: study «{study.study_name}» has recorded no metrics to rank by")
    recorded = f"study «{study.study_name}» has recorded {', '.join(there)}"
    try:
        fitness = parse_fitness(text, there)
        fitness.try_out(there)
    except InputError as error:
        raise InputError(f"--fitness: {error}\n{recorded}") from error
    if absent := fitness.absent(dict.fromkeys(there, 0.0)):
        raise InputError(
            f"--fitness {text}: expected metrics that were recorded; got {absent[0]}; {recorded}"
        )
    return fitness


def scored(trial: FrozenTrial, fitness: Fitness) -> FrozenTrial:
    """A trial with its value under another fitness; a finished one that cannot have one counts as failed.

    What a sampler or a pruner learned from the old fitness is left behind.
    """
    again = copy.copy(trial)
    again.system_attrs, again.intermediate_values = {}, {}
    if trial.state is not TrialState.COMPLETE:
        return again
    metrics = metrics_of(trial)
    value = fitness(metrics)
    if math.isfinite(value):
        again.value = value
        return again
    lacks = ", ".join(fitness.missing(metrics)) or "a finite result"
    again.value, again.state = None, TrialState.FAIL
    again.user_attrs = {**trial.user_attrs, FAILURE: NOT_SCORED, REASON: f"«{fitness.text}»: no {lacks}"}
    return again


def measured(study: optuna.Study, fitness: Fitness) -> dict[str, Any]:
    """What a study has measured outside of its trials, under another fitness, as its attributes hold it."""
    found: dict[str, Any] = {}
    if study.user_attrs.get(UNTOUCHED) is not None:
        found[UNTOUCHED] = _again(study.user_attrs[UNTOUCHED], fitness)
    if study.user_attrs.get(NOISE):
        found[NOISE] = [_again(one, fitness) for one in study.user_attrs[NOISE]]
    return found


def slug(fitness: str) -> str:
    """A fitness as part of a file's name: what any file system takes, and distinct for distinct ones."""
    words = re.sub(r"[^\w.]+", "-", fitness, flags=re.ASCII).strip("-.")[:_LONGEST].rstrip("-.")
    digest = hashlib.sha256(fitness.encode()).hexdigest()[:6]
    return f"{words}-{digest}" if words else digest


def _again(record: Mapping[str, Any], fitness: Fitness) -> dict[str, Any]:
    value = fitness(record.get("metrics") or {})
    return {**record, "fitness": value if math.isfinite(value) else None}


def _notes(study: optuna.Study, settings: Mapping[str, Any], left_out: int) -> list[str]:
    old = load_plan(study).fitness
    notes = [f"the search was for «{old}»: it has looked where that is high, not where this one is"]
    if "best" in (settings.get("report_epoch"), settings.get("take")):
        notes.append(
            "each training's metrics are those of its best epoch, which was not chosen by this fitness"
        )
    pruned = sum(trial.state is TrialState.PRUNED for trial in study.get_trials(deepcopy=False))
    if pruned:
        notes.append(f"{pruned} trials were stopped early by the old fitness, and stay out")
    if left_out:
        notes.append(f"{left_out} finished trials lack a finite value of what it reads, and count as failed")
    if study.user_attrs.get(VERDICT) is not None:
        notes.append("the verdict of `hypevo confirm` was on the old fitness, and does not count here")
    return notes
