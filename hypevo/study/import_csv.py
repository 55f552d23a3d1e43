"""An evolve.csv, YOLOv5's own included, as finished trials of a study: an evolution begun elsewhere goes on here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import TrialState, create_trial

from hypevo.problem.fitness import parse_fitness
from hypevo.problem.metrics import STANDARD_COLUMNS
from hypevo.problem.plan import Plan
from hypevo.problem.settings import StudySettings
from hypevo.problem.space import Space
from hypevo.protocol import InputError
from hypevo.results.evolve_csv import Row, read_evolve_csv
from hypevo.study.attributes import ORIGIN, metric_attributes
from hypevo.study.opening import driven_study
from hypevo.study.storage import enqueue_default


@dataclass(frozen=True)
class Import:
    """What came in, and what did not."""

    study: str
    trials: int
    skipped: tuple[str, ...]  # a sentence for each row left out


def import_csv(csv: Path, settings: StudySettings, plan: Plan) -> Import:
    """Add the rows of an evolve.csv to a study, which is made if it is not there.

    A row whose values lie outside the search space is left out and named.

    Raises:
        InputError: the file cannot be read, a gene of the space is not in it, or the study has trials already.
    """
    rows = read_evolve_csv(csv, parse_fitness(settings.fitness, tuple(STANDARD_COLUMNS)))
    if not rows:
        raise InputError(f"{csv}: no whole row in it")
    lacking = [gene.name for gene in plan.space.movable if gene.name not in rows[0].hyp]
    if lacking:
        raise InputError(
            f"{csv}: no column for {', '.join(lacking)}; freeze them with --freeze {','.join(lacking)}"
        )
    with driven_study(settings.storage, settings.name, plan, optuna.pruners.NopPruner()) as (study, _):
        enqueue_default(study, plan)
        if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            raise InputError(
                f"study «{settings.name}» has finished trials already; import into a new one with --study"
            )
        skipped = []
        added = 0
        for row in rows:
            problem = _misfit(row, plan.space)
            if problem:
                skipped.append(f"row {row.number}: {problem}")
                continue
            study.add_trial(_trial(row, plan.space, csv))
            added += 1
    return Import(settings.name, added, tuple(skipped))


def _misfit(row: Row, space: Space) -> str:
    if row.fitness != row.fitness:
        return "no fitness"
    said = [
        f"{gene.name}: {problem}" for gene in space.movable if (problem := gene.misfit(row.hyp[gene.name]))
    ]
    return "; ".join(said)


def _trial(row: Row, space: Space, csv: Path) -> optuna.trial.FrozenTrial:
    attributes = {**metric_attributes(row.metrics), ORIGIN: f"{csv.name} row {row.number}"}
    params = {gene.name: row.hyp[gene.name] for gene in space.movable}
    typed = {name: int(value) if space[name].type == "int" else value for name, value in params.items()}
    return create_trial(
        value=row.fitness, params=typed, distributions=space.distributions(), user_attrs=attributes
    )
