"""What `hypevo report` does: one HTML page of a study, which holds everything it shows."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from hypevo.cli.page import render
from hypevo.cli.progress import clock
from hypevo.cli.tables import worth
from hypevo.files import write_atomically
from hypevo.messages import printable
from hypevo.paste import pasted
from hypevo.protocol import InputError, Value
from hypevo.results.pictures.canvas import rendered
from hypevo.study.account import GOAL
from hypevo.study.attributes import ENVIRONMENT, FAILURE, LINEAGE, ORIGIN, REASON, SECONDS, metrics_of
from hypevo.study.exports import trained_with
from hypevo.study.minimal import Reduced, reduced
from hypevo.study.pictures import SHOWS
from hypevo.study.plotting import drawings
from hypevo.study.rescore import load_ranked
from hypevo.study.status import status_of
from hypevo.study.storage import METRICS, PARENT_RUN, load_plan, trained_by
from hypevo.study.tally import in_order

if TYPE_CHECKING:
    import optuna
    from rich.console import Console

    from hypevo.cli.questions import Report
    from hypevo.problem.plan import Plan

NAME = "report.html"
_STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "stopped early",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def write(asked: Report, console: Console) -> Path:
    """Write the page, and return where it is.

    Raises:
        InputError: There is no such study, or the page cannot be written.
    """
    ranked = load_ranked(asked.storage, asked.study, asked.fitness)
    for note in ranked.notes:
        console.print(printable(note), style="yellow")
    study, plan, found = ranked.study, load_plan(ranked.study), status_of(ranked, asked.storage)
    by_another = [f"Ranked by another fitness than the study's: {ranked.other_fitness}."]
    trials = study.get_trials(deepcopy=False)
    columns, rows = _table(study, plan, trials)
    environment = study.user_attrs.get(ENVIRONMENT) or {}
    text = render(
        found=found,
        plan=plan,
        settings=trained_by(study),
        notes=[*(by_another if ranked.other_fitness else ()), *ranked.notes],
        worth=worth(found),
        less=_less(study),
        pictures=_pictures(study),
        failures=_failures(trials),
        facts=_facts(study, plan, found, environment) | {"storage": asked.storage},
        environment=environment,
        imported=not environment and _only_imported(study, trials),
        frozen={gene.name: plan.hyp[gene.name] for gene in plan.space.values() if not gene.movable},
        commands={what: pasted(words) for what, words in found["next"].items()},
        columns=columns,
        rows=rows,
        genes=len(plan.space.movable),
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=version("hypevo"),
    )
    path = _place(asked.out or ranked.place(None) / NAME)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from error
    return path


def _only_imported(study: optuna.Study, trials: list[FrozenTrial]) -> bool:
    """Whether there are results and no driver was ever there: one leaves its run in MLflow and what a trial took."""
    ended = [trial for trial in trials if trial.state.is_finished()]
    return (
        bool(ended)
        and PARENT_RUN not in study.user_attrs
        and not any(SECONDS in one.user_attrs for one in ended)
    )


def _place(out: Path) -> Path:
    return out / NAME if out.is_dir() or not out.suffix else out


def _less(study: optuna.Study) -> Reduced | str:
    """The minimal difference, or why it is not known."""
    try:
        return reduced(study)
    except InputError as error:
        return str(error)


def _pictures(study: optuna.Study) -> list[dict[str, Any]]:
    """Each picture, or why it is not drawn."""
    found = []
    for name, make in drawings(study).items():
        drawn: dict[str, Any] = {"name": name, "shows": SHOWS[name], "why": ""}
        try:
            drawn["content"] = rendered(make)
        except ValueError as error:
            drawn["why"] = str(error)
        found.append(drawn)
    return found


def _failures(trials: list[FrozenTrial]) -> list[dict[str, Any]]:
    failed = in_order(trial for trial in trials if trial.state is TrialState.FAIL)
    counts = Counter(str(trial.user_attrs.get(FAILURE, "unknown")) for trial in failed)
    reasons = {
        str(one.user_attrs.get(FAILURE, "unknown")): str(one.user_attrs.get(REASON, "")) for one in failed
    }
    return [{"kind": kind, "count": count, "reason": reasons[kind]} for kind, count in counts.most_common()]


def _facts(
    study: optuna.Study, plan: Plan, found: dict[str, Any], environment: dict[str, str]
) -> dict[str, str]:
    """What was asked for, and with what it ran, by name."""
    goal = study.user_attrs.get(GOAL) or {}
    asked = {
        "trainer": plan.trainer,
        **trained_by(study),
        "fitness": plan.fitness,
        "seed": f"{plan.seed}, {plan.trial_seed}",
        "trainings at once": goal.get("slots"),
        "device time": clock(found["device_hours"] * 3600),
        "MLflow run": found["mlflow_run"],
    }
    ran = {
        re.sub(r"^(mlflow\.source\.|hypevo\.(version\.)?)", "", name): value
        for name, value in environment.items()
        if name != "hypevo.command"
    }
    return {name: str(value) for name, value in {**asked, **ran}.items() if value not in (None, "")}


def _table(
    study: optuna.Study, plan: Plan, trials: list[FrozenTrial]
) -> tuple[list[str], list[list[Value | None]]]:
    """The columns and rows of the trials, the fittest first."""
    declared = study.user_attrs.get(METRICS, ())
    measured = {trial.number: metrics_of(trial, declared) for trial in trials}
    names = list(dict.fromkeys(name for by in measured.values() for name in by))
    genes = [gene.name for gene in plan.space.movable]

    def row(trial: FrozenTrial) -> list[Value | None]:
        attributes, known = trial.user_attrs, trained_with(trial, plan) if trial.params else {}
        failure = ": ".join(str(attributes[key]) for key in (FAILURE, REASON) if attributes.get(key))
        return [
            trial.number,
            trial.value if trial.state is TrialState.COMPLETE else None,
            _STATES[trial.state],
            *(measured[trial.number].get(name) for name in names),
            attributes.get(SECONDS),
            str(attributes.get(LINEAGE) or attributes.get(ORIGIN, "")).partition(":")[0],
            failure,
            *(known.get(gene) for gene in genes),
        ]

    rows = sorted(map(row, trials), key=lambda one: (one[1] is None, -(one[1] or 0.0), one[0]))  # type: ignore[operator]
    return ["trial", "fitness", "state", *names, "seconds", "from", "failure", *genes], rows
