"""An evolve.csv, YOLOv5's own included, as finished trials of a study: an evolution begun elsewhere goes on here."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from hypevo.files import write_atomically
from hypevo.problem.hyp import load_hyp
from hypevo.problem.plan import Plan
from hypevo.problem.settings import StudySettings
from hypevo.protocol import InputError, Value
from hypevo.results.evolve_csv import Row, cell
from hypevo.results.hyp_file import yaml_value
from hypevo.results.individuals import read_individuals
from hypevo.study.attributes import ORIGIN, OWN, metric_attributes
from hypevo.study.opening import claim_folder, driven_study
from hypevo.study.storage import enqueue_default

ADOPTED = "hyp_imported.yaml"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Import:
    """What came in, and what did not."""

    study: str
    trials: int  # rows of the file that are in the study now
    skipped: tuple[str, ...]  # a sentence for each row left out


def import_csv(
    csv: Path, settings: StudySettings, plan: Plan, *, tell: Callable[[str], None] = _log.warning
) -> Import:
    """Add the rows of an evolve.csv to a study, which is made if it is not there.

    A row keeps the values that it was trained with, and exports show them. For the search it is a parent within the
    bounds: a value outside stands at the nearest bound. Where all rows have one value of a frozen gene, the study
    takes it over; `hyp_imported.yaml` in its folder is the default individual with these values.

    The same call finishes an import that was interrupted.

    Args:
        csv: The file; `read_individuals` says which ones are read.
        settings: What the user asked for.
        plan: The study's plan, before anything is taken over.
        tell: Told what a user should know: what was taken over, and what differs from the study.

    Raises:
        InputError: the file cannot be read, a gene of the space is not in it, or the study has other trials already.
    """
    begun_with = load_hyp(settings.hyp) if settings.hyp else None
    rows = read_individuals(csv, plan.fitness, begun_with)
    if not rows:
        raise InputError(f"{csv}: no whole row in it")
    _check_columns(csv, rows, plan, tell)
    adopted = _adopted(rows, plan, tell)
    plan = replace(plan, hyp={**plan.hyp, **adopted})
    distributions = plan.space.distributions()
    skipped: list[str] = []
    trials: list[FrozenTrial] = []
    for row in rows:
        try:
            trials.append(trial_of(row, plan, distributions, f"{csv.name} row {row.number}"))
        except ValueError as problem:
            skipped.append(f"row {row.number}: {problem}")
    with driven_study(settings.storage, settings.name, plan, optuna.pruners.NopPruner()) as (study, _):
        claim_folder(study, settings.folder, settings.storage)
        enqueue_default(study, plan)
        there = _already_in(study, trials)
        for trial in trials:
            if trial.user_attrs[ORIGIN] not in there:
                study.add_trial(trial)
    if there:
        tell(f"{len(there)} of these rows were in the study already")
    _tell_clipped(trials, plan, tell)
    if adopted:
        path = settings.folder / ADOPTED
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}: {yaml_value(value)}" for name, value in plan.hyp.items()]
        write_atomically(
            path, "\n".join([f"# hypevo: what the rows of {csv.name} were trained with", *lines, ""])
        )
        tell(f"to go on, give `hypevo evolve` the same options and --hyp {path}")
    return Import(settings.name, len(trials), tuple(skipped))


def _check_columns(csv: Path, rows: Sequence[Row], plan: Plan, tell: Callable[[str], None]) -> None:
    columns = {name for row in rows for name in row.hyp}
    lacking = [gene.name for gene in plan.space.movable if gene.name not in columns]
    if lacking:
        raise InputError(
            f"{csv}: no column for {', '.join(lacking)}; freeze them with --freeze {','.join(lacking)}"
        )
    unknown = [name for name in plan.space if name not in columns]
    if unknown:
        values = ", ".join(f"{name} {cell(plan.hyp[name]).strip()}" for name in unknown)
        tell(f"{csv}: no column for {', '.join(unknown)}; the rows are taken to be trained with {values}")
    foreign = sorted(columns - set(plan.space))
    if foreign:
        tell(f"{csv}: left out, as the search space has no such gene: {', '.join(foreign)}")


def _adopted(rows: Sequence[Row], plan: Plan, tell: Callable[[str], None]) -> dict[str, Value]:
    """The values of frozen genes that all rows have in common and the plan has not."""
    adopted: dict[str, Value] = {}
    for gene in plan.space.values():
        values = {cell(row.hyp[gene.name]): row.hyp[gene.name] for row in rows if gene.name in row.hyp}
        if gene.movable or values.keys() <= {cell(plan.hyp[gene.name]), cell(_as_read(plan.hyp[gene.name]))}:
            continue
        held = cell(plan.hyp[gene.name]).strip()
        if len(values) > 1:
            tell(f"{gene.name}: held at {held} here, and not in the rows; each row keeps its own value")
            continue
        try:
            ((shown, value),) = values.items()
            adopted[gene.name] = gene.read(value)
            tell(f"{gene.name}: {shown.strip()} in every row, taken over in place of {held}")
        except ValueError as error:
            raise InputError(f"{gene.name}: {error}") from error
    return adopted


def trial_of(row: Row, plan: Plan, distributions: Mapping[str, BaseDistribution], origin: str) -> FrozenTrial:
    """A row as a finished trial.

    Raises:
        ValueError: it has no fitness, or a value that is not of its gene's kind.
    """
    if not math.isfinite(row.fitness):
        raise ValueError("no fitness")
    params: dict[str, Value] = {}
    own: dict[str, Value] = {}
    problems: list[str] = []
    for name, gene in plan.space.items():
        if name not in row.hyp and not gene.movable:
            continue
        try:
            value = gene.read(row.hyp.get(name))
            nearest = gene.nearest(value) if gene.movable else plan.hyp[name]
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        if nearest is None:
            problems.append(f"{name}: {gene.misfit(value)}")
        elif gene.movable:
            params[name] = value if gene.misfit(value) is None else nearest
        if cell(value) != cell(params.get(name, plan.hyp[name])):
            own[name] = value
    if problems:
        raise ValueError("; ".join(problems))
    metrics = {name: value for name, value in row.metrics.items() if math.isfinite(value)}
    attributes = {**metric_attributes(metrics), ORIGIN: origin, **({OWN: own} if own else {})}
    return create_trial(
        value=row.fitness, params=params, distributions=dict(distributions), user_attrs=attributes
    )


def _already_in(study: optuna.Study, trials: Sequence[FrozenTrial]) -> set[str]:
    """The origins of the trials that an earlier call has added.

    Raises:
        InputError: the study has finished trials, and not from this file.
    """
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    before = {trial.user_attrs.get(ORIGIN): trial for trial in finished}
    found = {trial.user_attrs[ORIGIN] for trial in trials if trial.user_attrs[ORIGIN] in before}
    others = [
        trial.user_attrs[ORIGIN]
        for trial in trials
        if trial.user_attrs[ORIGIN] in found
        and (trial.value, trial.params)
        != (before[trial.user_attrs[ORIGIN]].value, before[trial.user_attrs[ORIGIN]].params)
    ]
    if others or (finished and not found):
        which = f", «{others[0]}» of another file among them" if others else ""
        raise InputError(
            f"study «{study.study_name}» has finished trials already{which}; import into a new one with --study"
        )
    return found


def _tell_clipped(trials: Sequence[FrozenTrial], plan: Plan, tell: Callable[[str], None]) -> None:
    moved = [{name for name in trial.user_attrs.get(OWN, ()) if plan.space[name].movable} for trial in trials]
    counts = Counter(name for names in moved for name in names)
    if counts:
        which = ", ".join(f"{name} in {count}" for name, count in counts.most_common())
        tell(
            f"{sum(map(bool, moved))} rows lie outside the search space ({which}): as parents they stand at the "
            "nearest bound, and the exports show their own values; to search there, widen the bounds in a space file"
        )


def _as_read(value: Value) -> Value:
    """A value as a csv gives it back: whole numbers as floats."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
