"""Results as tables on standard output: where a study stands, what a training measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from hypevo.cli.progress import clock
from hypevo.cli.terminal import results
from hypevo.messages import printable
from hypevo.paste import pasted
from hypevo.problem.seeds import FIXED

if TYPE_CHECKING:
    from hypevo.tracking.models import Kept

_TOLD = (  # in sentences below the table
    *(
        "total",
        "seconds_left",
        "device_hours",
        "device_hours_left",
        "default_fitness",
        "gain",
        "untouched_fitness",
    ),
    *("trial_seed", "best_seed"),
    *(
        "noise",
        "noise_seeds",
        "beyond_noise",
        "luck",
        "luck_said",
        "verdict",
        "changed",
        "train_with",
        "next",
    ),
)
_NEXT = "next: "  # of a confirmation's sentences
_TRAIN = f"{_NEXT}hypevo train "
_GENES = 6  # that moved the farthest


def print_status(found: Mapping[str, Any]) -> None:
    """Print where a study stands."""
    table = Table(show_header=False, box=None)
    for key, value in found.items():
        if key not in _TOLD:
            table.add_row(key.replace("_", " "), generations(found) if key == "generations" else _cell(value))
    output = results()
    output.print(table)
    for line in standing_lines(found):
        output.print(line, highlight=False)
    if found["interrupted"]:
        output.print("no driver is running; the command that began the study continues it", style="yellow")


def standing_lines(found: Mapping[str, Any]) -> list[str]:
    """In sentences, what a study's best is worth, which genes it moved, what it cost, and what to type next.

    Args:
        found: As `study_status` has it.
    """
    said = [*_figures(found), *worth(found), *_cost(found)]
    if found["best_trial"] is not None and not found["changed"]:
        said.append(
            "the best is the default: no other trial beat it; more --generations of the same command may find one, "
            "and so may wider bounds (--space) or longer trainings"
        )
    if found["changed"]:
        said.append("genes that moved the farthest, default → best, as a share of their range:")
        said += gene_lines(found["changed"][:_GENES])
    said += [line for what, words in found["next"].items() for line in (f"{what}:", f"  {pasted(words)}")]
    return [printable(line) for line in said]


def _figures(found: Mapping[str, Any]) -> list[str]:
    best, default = found["best_fitness"], found["default_fitness"]
    if best is None or default is None:
        return []
    return [f"best {best:.5f} · default {default:.5f} · gain {found['gain']:+.5f}"]


def gene_lines(changed: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each gene: from which value to which it went, and how far, as a share of its range."""
    return [
        f"  {one['gene']:<16}{_cell_of(one['default']):>11} → {_cell_of(one['best']):<11}{one['moved']:>4.0%}"
        for one in changed
    ]


def worth(found: Mapping[str, Any]) -> list[str]:
    """In sentences, what a study's best is worth: held against the untouched weights and the noise, and the verdict.

    Args:
        found: As `study_status` has it.
    """
    best, untouched = found["best_fitness"], found["untouched_fitness"]
    said = []
    if untouched is not None:
        beside = "" if best is None else ", above the best" if untouched > best else ", below the best"
        said.append(f"untouched weights {untouched:.5f}{beside}")
    if found["noise"] is not None:
        beyond = {True: "the best is beyond it", False: "the best is within it: no gain is shown"}
        known = beyond.get(found["beyond_noise"], "")
        said.append(f"noise ± {2 * found['noise']:.5f}, two standard deviations{known and ': '}{known}")
        if found["luck_said"]:
            said.append(found["luck_said"])
    elif best is not None and found["changed"]:
        said.append(
            "the noise is not known, so a gain may be luck: evolve --baseline-seeds 3 measures it, confirm judges"
        )
    if found["trial_seed"] != FIXED and found["best_seed"] is not None:
        said.append(
            f"seeds differ between trials ({found['trial_seed']}): the best had seed {found['best_seed']}, and part of "
            "its fitness may be that seed's; what hypevo export writes as recommended depends on no single one"
        )
    if found["verdict"] is not None:
        first, *more = _verdicts(found["verdict"], found["best_trial"])
        said += [f"confirmation: {first}", *(f"  {sentence}" for sentence in more)]
    return said


def _verdicts(verdict: Mapping[str, Any], best: int | None) -> list[str]:
    """What the last confirmation said: its sentences, else a word for each candidate.

    What to do next is left out where it is no longer so: a trial that was not compared is the best now, or the study
    was moved.
    """
    sentences = verdict.get("sentences")
    compared = [one.get("candidate") for one in verdict.get("verdicts") or () if isinstance(one, dict)]
    left_out = _TRAIN if not compared or f"trial {best}" in compared else _NEXT
    if isinstance(sentences, list) and sentences:
        folder = Path(str(verdict.get("folder") or "."))
        gone = "" if folder.exists() else str(folder.parent)  # moved since
        return [
            str(one)
            for one in sentences
            if not (gone and gone in str(one)) and not str(one).startswith(left_out)  # said further below
        ]
    each = [one for one in verdict.get("verdicts") or () if isinstance(one, dict) and one.get("verdict")]
    said = [f"{one.get('candidate', 'the winner')}: {one['verdict']}" for one in each]
    return said or ["see verdict.json in the study's folder"]


def _cost(found: Mapping[str, Any]) -> list[str]:
    said = f"device time {_hours(found['device_hours'])}"
    if found["device_hours_left"]:
        said += f", some {_hours(found['device_hours_left'])} left"
    if found["seconds_left"] and found["driver"] is not None:
        said += f" · {clock(found['seconds_left'])} to go"
    return [said]


def _hours(hours: float) -> str:
    return clock(hours * 3600)


def print_studies(found: Sequence[Mapping[str, Any]]) -> None:
    """Print several studies, a line for each."""
    table = Table(box=None)
    shown = [key for key in found[0] if key not in ("total", "mlflow_run", "id")]
    for key in shown:
        table.add_column(key.replace("_", " "))
    for study in found:
        table.add_row(*(generations(study) if key == "generations" else _cell(study[key]) for key in shown))
    results().print(table)


def generations(study: Mapping[str, Any]) -> str:
    """How far a study is."""
    of = "" if study["total"] is None else f" of {study['total']}"
    return f"{study['generations']}{of}"


def print_metrics(metrics: Mapping[str, float]) -> None:
    """Print metrics by name."""
    table = Table(box=None)
    for name in metrics:
        table.add_column(printable(name), justify="right")
    table.add_row(*(f"{value:.5g}" for value in metrics.values()))
    results().print(table)


def _cell_of(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(value: object) -> str:
    """A value of the status as people read it."""
    if isinstance(value, dict):
        return _cell([f"{name} {_cell(one)}" for name, one in value.items()])
    if isinstance(value, list):
        return ", ".join(f"trial {one}" if isinstance(one, int) else one for one in value) or "–"
    if isinstance(value, float):
        return f"{value:.5f}"
    return "–" if value is None else printable(str(value))


def kept_lines(kept: Kept) -> list[tuple[str, str]]:
    """Where the best model is in MLflow, and what is not there; each line with its style."""
    lines = [(f'model            mlflow.pyfunc.load_model("{kept.address}")', "")] if kept.address else []
    if kept.registered:
        lines.append((f"registered       {kept.registered}", ""))
    if kept.refused:
        lines.append((f"the best model: {kept.refused}", "yellow"))
    return lines
