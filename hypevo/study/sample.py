"""The first child of a search, proposed beforehand by the sampler itself: it shows the space at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna

from hypevo.study.account import changes
from hypevo.study.earlier import enqueue_start
from hypevo.study.search import make_sampler, suggest
from hypevo.study.storage import enqueue_default

if TYPE_CHECKING:
    from hypevo.problem.plan import Plan


def first_child(plan: Plan, sampler: str) -> list[dict[str, Any]]:
    """How the trial that a new study asks for after the default differs from it, as `account.changes` says it.

    With one training at a time that is the trial itself; what begins beside the default is another child. A start
    from an earlier study comes before it, and counts as better than the default.
    """
    study = optuna.create_study(direction="maximize", sampler=make_sampler(sampler, plan, 0))
    enqueue_default(study, plan)
    enqueue_start(study, plan)
    for value in range(len(study.get_trials(deepcopy=False))):
        trial = study.ask()
        suggest(trial, plan.space)
        study.tell(trial, float(value))
    suggest(study.ask(), plan.space)
    return changes(plan, study.get_trials(deepcopy=False)[-1])
