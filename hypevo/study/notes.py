"""What is said of a study and of a trial in a few lines of Markdown, for MLflow and for optuna-dashboard."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypevo.messages import inline, literal
from hypevo.paste import pasted
from hypevo.protocol import InputError
from hypevo.study.account import changes
from hypevo.study.attributes import DEFAULT
from hypevo.study.chosen import chosen
from hypevo.study.exports import CONFIRMED
from hypevo.study.standing import BAND, standing
from hypevo.study.storage import load_plan

if TYPE_CHECKING:
    import optuna

    from hypevo.problem.plan import Plan

_VERDICT = "\n- Verdict: "  # in the paragraph on how a study stands
_MOST = 3  # mutations of a trial that are named
_MUTATION = re.compile(r"(?P<gene>.+) (?P<sign>[×+-])(?P<size>[\d.e+-]+)")


def study_note(study: optuna.Study, plan: Plan, command: str, folder: Path) -> str:
    """What a study is, how it stands, where its files are, and how to go on.

    Args:
        study: The study.
        plan: What it was begun with.
        command: The command that its driver was started with.
        folder: Where its files are.
    """
    settings = ", ".join(
        f"{name} {value}" for name, value in plan.settings.items() if value not in (None, "")
    )
    what = f"Search for hyperparameters of {inline(plan.trainer)}"
    parts = [
        _standing(study),  # first: MLflow shows four lines before one asks for more
        f"{what} ({inline(settings)})." if settings else f"{what}.",
        f"Files: `hyp_evolved.yaml` (the best), `evolve.csv`, `evolve.png`, and each trial's log, in\n\n"
        f"{literal(str(folder.resolve()))}",
        f"To go on, also after an interruption, type the same command again in the same folder; a larger "
        f"`--generations` goes further:\n\n{literal(pasted(['cd', str(Path.cwd())]))}\n{literal(command)}",
    ]
    return "\n\n".join(part for part in parts if part)


def renewed(note: str, study: optuna.Study) -> str:
    """A study's note that says how it stands now; the rest of it stays."""
    return "\n\n".join(_standing(study) if _VERDICT in part else part for part in note.split("\n\n"))


def trial_note(origin: str | None, lineage: str | None) -> str:
    """Where a trial's hyperparameters are from: its parents, and what mutated most; empty where nobody knows."""
    if origin == DEFAULT:
        return "The default: what the others are compared with."
    if not lineage:
        return ""
    parents, _, mutations = lineage.partition(": ")
    whose = (
        f"trial {parents}"
        if parents.isdecimal()
        else f"trials {parents}"
        if parents[:1].isdecimal()
        else parents
    )
    most = sorted(filter(None, mutations.split(", ")), key=_size, reverse=True)
    named = ", ".join(inline(mutation) for mutation in most[:_MOST])
    more = f", and {len(most) - _MOST} more" if len(most) > _MOST else ""
    return f"From {inline(whose)}." + (f" Mutated most: {named}{more}." if named else "")


def _standing(study: optuna.Study) -> str:
    return "\n".join(f"- {line}" for line in _lines(study))


def _lines(study: optuna.Study) -> Sequence[str]:
    now = standing(study)
    if now.best is None or now.best_fitness is None:
        return ["No trial has a result yet."]
    best = f"Best: trial {now.best.number}, fitness {now.best_fitness:.4f}"
    lines = [best]
    if now.gain is not None:
        lines.append(f"Default: {now.default:.4f}; the best is {now.gain:+.4f} against it.")
    if now.untouched is not None:
        lines.append(f"Starting weights, untrained: {now.untouched:.4f}.")
    if now.noise is None:
        lines.append("Noise of the seed: not measured, so the gain may be luck.")
    else:
        known = f"{now.seeds} trainings of the default" if now.seeds >= 3 else "a confirmation"
        beyond = {True: "; the best lies beyond it", False: "; the best lies within it", None: ""}
        width = f"± {BAND * now.noise:.4f}, two standard deviations"
        lines.append(f"Noise of the seed: {width}, known from {known}{beyond[now.beyond_noise]}.")
        if now.luck_said:
            lines.append(f"Luck: {now.luck_said}.")
    winner = bool(changes(load_plan(study), now.best))
    verdict = f"Verdict: {_verdict(now.verdict, winner=winner)}."  # `renewed` finds them by it
    lines.append(verdict + _confirmed(study))
    return lines


def _confirmed(study: optuna.Study) -> str:
    try:
        winner = chosen(study)
    except InputError:  # the folder is another study's now
        return ""
    confirmed = winner is not None and winner.file is not None and winner.file.name == CONFIRMED
    return f" Train with `{CONFIRMED}`." if confirmed else ""


def _verdict(verdict: Mapping[str, Any] | None, *, winner: bool) -> str:
    """The last confirmation's, candidate by candidate."""
    if verdict is None and not winner:
        return "none; the best is the default"
    if verdict is None:
        return "none yet; `hypevo confirm` trains the best again with fresh seeds"
    said = [f"{one['candidate']}: {one['verdict']}" for one in verdict.get("verdicts", ())]
    return inline("; ".join(said)) or "nothing was compared"


def _size(mutation: str) -> float:
    """How much a mutation changes: by which factor, whether up or down, or by which step."""
    found = _MUTATION.fullmatch(mutation)
    try:
        size = float(found["size"]) if found else 0.0
    except ValueError:
        return 0.0
    return abs(math.log(size)) if found and found["sign"] == "×" and size > 0 else abs(size)
