"""Begin a study where an earlier one ended: its recommendation, on other data or with another model too."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.trial import TrialState

from hypevo.problem.gene import Gene
from hypevo.problem.hyp import load_hyp
from hypevo.problem.plan import Plan, Start
from hypevo.problem.settings import EvolveSettings
from hypevo.problem.space import Space
from hypevo.protocol import InputError, Value
from hypevo.results.evolve_csv import cell
from hypevo.results.individuals import read_individuals
from hypevo.study.attributes import ORIGIN, OWN
from hypevo.study.estimates import recommend
from hypevo.study.import_csv import trial_of
from hypevo.study.storage import journal, load_plan, load_study, stored_plan, studies

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Earlier:
    """What another search recommends, and what it says of itself."""

    source: str
    individual: Mapping[str, Value]  # all of its genes
    trials: int
    sentences: tuple[str, ...] = ()


def begin_from_earlier(
    settings: EvolveSettings, plan: Plan, tell: Callable[[str], None] = _log.warning
) -> Plan:
    """The plan with the start that the user asks for, if any; an earlier study is read before the first trial only.

    Args:
        settings: What the user asked for.
        plan: The study's plan without a start.
        tell: Told how the earlier search differs from this one.

    Raises:
        InputError: The earlier search cannot be read, has no result, or none of the genes that move here.
    """
    if settings.from_study is None and settings.from_csv is None:
        return plan
    source = f"study {settings.from_study}"
    if settings.from_csv is not None:
        source = f"file {settings.from_csv.as_posix()}"
    begun = _begun(settings)
    if begun is not None:
        kept = begun.start is not None and begun.start.source == source
        return replace(plan, start=begun.start if kept else Start(source, {}))  # another one is a difference
    earlier = (
        _of_study(settings, plan, source)
        if settings.from_csv is None
        else _of_csv(settings.from_csv, settings, plan, source)
    )
    for sentence in earlier.sentences:
        tell(sentence)
    return replace(plan, start=Start(source, _start(earlier, plan, tell)))


def enqueue_start(study: optuna.Study, plan: Plan) -> None:
    """Have the earlier recommendation measured once, after the default, unless it is the default."""
    if plan.start is None or all(cell(value) == cell(plan.hyp[n]) for n, value in plan.start.hyp.items()):
        return
    there = {trial.user_attrs.get(ORIGIN) for trial in study.get_trials(deepcopy=False)}
    if plan.start.origin not in there:
        study.enqueue_trial(dict(plan.start.hyp), user_attrs={ORIGIN: plan.start.origin})


def _begun(settings: EvolveSettings) -> Plan | None:
    """The plan of the study that the user asks to go on with; None of one that has no trials yet."""
    path = journal(settings.storage)
    if path is not None and not path.exists():
        return None
    storage, names = studies(settings.storage)
    if settings.name not in names:
        return None
    study = optuna.load_study(study_name=settings.name, storage=storage)
    begun = stored_plan(study)
    return Plan.from_json(begun) if begun is not None and study.get_trials(deepcopy=False) else None


def _of_study(settings: EvolveSettings, plan: Plan, source: str) -> _Earlier:
    name = str(settings.from_study)
    if name == settings.name:
        raise InputError(
            f"--from-study {name}: expected another study than the one to evolve; name it with --study"
        )
    try:
        study = load_study(settings.storage, name)
    except InputError as error:
        raise InputError(f"--from-study {name}: {error}") from error
    theirs = load_plan(study)
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not finished:
        raise InputError(f"--from-study {name}: expected a study with finished trials; it has none")
    said = [
        f"{source} maximised «{theirs.fitness}», and its recommendation is by that; here it is «{plan.fitness}»"
    ]
    return _Earlier(
        source,
        {**theirs.hyp, **recommend(study)},
        len(finished),
        tuple(said) if theirs.fitness != plan.fitness else (),
    )


def _of_csv(csv: Path, settings: EvolveSettings, plan: Plan, source: str) -> _Earlier:
    rows = read_individuals(csv, plan.fitness, load_hyp(settings.hyp) if settings.hyp else None)
    columns = dict.fromkeys(name for row in rows for name in row.hyp)
    shared = Space(gene for gene in plan.space.movable if gene.name in columns)
    study = optuna.create_study(direction="maximize")
    left_out: list[str] = []
    for row in rows if shared else ():
        try:
            study.add_trial(
                trial_of(row, replace(plan, space=shared), shared.distributions(), str(row.number))
            )
        except ValueError as problem:
            left_out.append(f"{csv}: row {row.number} is left out: {problem}")
    trials = study.get_trials(deepcopy=False)
    if not trials:
        why = (
            left_out[0]
            if left_out
            else "no whole row in it"
            if shared
            else "no column for a gene that moves here"
        )
        raise InputError(f"--from {csv}: expected rows with a result in this search space; {why}")
    moved = Counter(name for trial in trials for name in trial.user_attrs.get(OWN, ()))
    if moved:
        which = ", ".join(f"{name} in {count}" for name, count in moved.most_common())
        left_out.append(f"{csv}: rows outside this study's bounds were taken at the nearest one: {which}")
    held: dict[str, Value] = {}
    for name in columns:  # of what does not move here there is a value only where all rows agree
        values = {cell(row.hyp[name]): row.hyp[name] for row in rows if name in row.hyp}
        if len(values) == 1:
            ((_, held[name]),) = values.items()
    individual = {**dict.fromkeys(columns, math.nan), **held, **recommend(study)}
    return _Earlier(source, individual, len(trials), tuple(left_out))


def _start(earlier: _Earlier, plan: Plan, tell: Callable[[str], None]) -> dict[str, Value]:
    """The earlier individual as one of this study: a value for each gene that moves here."""
    source, theirs = earlier.source, earlier.individual
    start = {gene.name: gene.read(plan.hyp[gene.name]) for gene in plan.space.movable}
    shared = [gene for gene in plan.space.movable if gene.name in theirs]
    if not shared:
        raise InputError(
            f"{source}: expected some of the genes that move here, {', '.join(start)}; it has none"
        )
    tell(
        f"begins with what {source} recommends after {earlier.trials} trials: measured once, after the default, "
        f"and searched around if it is the better one"
    )
    clipped: list[str] = []
    for gene in shared:
        try:
            start[gene.name] = _here(gene, theirs[gene.name])
        except ValueError as problem:
            tell(
                f"{source}: {gene.name} is of another kind there, and begins with the default here: {problem}"
            )
            continue
        before, now = cell(theirs[gene.name]).strip(), cell(start[gene.name]).strip()
        if before != now:
            clipped.append(f"{gene.name} {before} to {now}")
    if clipped:
        tell(f"{source}: taken to the nearest value that this study allows: {', '.join(clipped)}")
    if lacking := [name for name in start if name not in theirs]:
        tell(f"{source} has no {', '.join(lacking)}: here they begin with the default")
    if foreign := [name for name in theirs if name not in plan.space]:
        tell(f"{source}: left out, as the search space has no such gene: {', '.join(foreign)}")
    held = [
        f"{gene.name} {cell(plan.hyp[gene.name]).strip()} (there {_shown(theirs[gene.name])})"
        for gene in plan.space.values()
        if not gene.movable and gene.name in theirs and cell(theirs[gene.name]) != cell(plan.hyp[gene.name])
    ]
    if held:
        tell(f"{source}: frozen genes stay as this study has them: {', '.join(held)}")
    return start


def _here(gene: Gene, value: Value) -> Value:
    """The value nearest to an earlier one that this study could propose.

    Raises:
        ValueError: It is of another kind.
    """
    if gene.type == "int" and isinstance(value, float) and math.isfinite(value):
        value = round(value)
    nearest = gene.nearest(value)
    if nearest is None:
        raise ValueError(gene.misfit(value))
    return nearest


def _shown(value: Value) -> str:
    several = isinstance(value, float) and math.isnan(value)
    return "several values" if several else cell(value).strip()
