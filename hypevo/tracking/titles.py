"""What people read of a trial in MLflow's lists: the name of its run, a star for the best one, its note."""

from __future__ import annotations

import re

from hypevo.messages import literal
from hypevo.protocol import Failure

NOTE = "mlflow.note.content"  # the tag that MLflow shows as a description, in Markdown
_STAR = " ★"
_OURS = re.compile(rf"trial \d{{4,}}|\d{{3,}}( · .+)?({_STAR})?")  # the first is version 0.1's


def running(number: int) -> str:
    """The name of the run of a trial that has no result yet."""
    return f"{number:03d}"


def ended(number: int, fitness: float | None, failure: Failure | None) -> str:
    """The name of the run of a trial that is over, as «017 · 0.3412» or «018 · out of memory»."""
    how = f"{fitness:.4f}" if failure is None and fitness is not None else failure or "no fitness"
    return f"{running(number)} · {how}"


def starred(name: str) -> str:
    """The name of the best trial's run."""
    return unstarred(name) + _STAR


def unstarred(name: str) -> str:
    """The name of a run that is not the best one any more."""
    return name.removesuffix(_STAR)


def given_by_us(name: str | None) -> bool:
    """Whether a run's name is one of these: a name that a user gave stays."""
    return not name or _OURS.fullmatch(name) is not None


def failure_note(failure: Failure, reason: str, note: str) -> str:
    """The note of a trial that failed: how and why, before what else is said of it."""
    why = f"\n\n{literal(reason)}" if reason else ""
    return f"**{failure.capitalize()}**{why}\n\n{note}".rstrip()
