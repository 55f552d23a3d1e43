"""How far a study is from its end, what it has cost, and which genes its best moved, as plain values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hypevo.study.attributes import NOISE, NOISE_BEGUN, device_seconds_of
from hypevo.study.exports import trained_with
from hypevo.study.standing import standing
from samplers import TRAINING_SEED

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from hypevo.problem.plan import Plan
    from hypevo.study.tally import Tally

GOAL = "hypevo_goal"  # what the last driver was asked for, an attribute of the study


def remember_goal(
    study: optuna.Study, *, generations: int | None, gpu_hours: float | None, slots: int
) -> None:
    """Keep in a study what its driver works towards: only the driver knows it, and it may change with each call.

    Args:
        study: The study.
        generations: In all; None for no end.
        gpu_hours: Device hours in all, after which no training starts; None for no limit.
        slots: Trainings at once.
    """
    goal = {"generations": generations, "gpu_hours": gpu_hours, "slots": slots}
    if study.user_attrs.get(GOAL) != goal:
        study.set_user_attr(GOAL, goal)


def account(study: optuna.Study, plan: Plan, tally: Tally) -> dict[str, Any]:
    """What a user asks of a study; None for what is not known.

    Returns:
        `total` generations, `seconds_left` at the mean duration so far, `device_hours` spent, `device_hours_left`
        for the generations that are missing (no more than --gpu-hours leaves), `trial_seed`: the policy, `best_seed`,
        the figures of `standing`, and `changed`: the genes that the best moved, the farthest first.
    """
    goal = study.user_attrs.get(GOAL) or {}
    total, slots, most = goal.get("generations"), goal.get("slots") or 1, goal.get("gpu_hours")
    missing = None if total is None else max(0, total - tally.generations)
    known = tally.generations > 0
    aside = device_seconds_of(study.user_attrs.get(NOISE) or (), study.user_attrs.get(NOISE_BEGUN) or {})
    spent = (tally.device_seconds + aside) / 3600
    left = (
        tally.device_seconds / 3600 / tally.generations * missing if missing is not None and known else None
    )
    if most is not None:
        left = min(max(0.0, most - spent), math.inf if left is None else left)
    mean = tally.mean_seconds
    how = standing(study, trials=tally.finished)
    return {
        "total": total,
        "seconds_left": mean * math.ceil(missing / slots)
        if missing is not None and not math.isnan(mean)
        else None,
        "device_hours": spent,
        "device_hours_left": left,
        "trial_seed": plan.trial_seed,
        "best_seed": None if how.best is None else how.best.user_attrs.get(TRAINING_SEED),
        "default_fitness": how.default,
        "gain": how.gain,
        "untouched_fitness": how.untouched,
        "noise": how.noise,
        "noise_seeds": how.seeds,
        "beyond_noise": how.beyond_noise,
        "luck": how.luck,
        "luck_said": how.luck_said,
        "verdict": None if how.verdict is None else dict(how.verdict),
        "changed": [] if how.best is None else changes(plan, how.best),
    }


def changes(plan: Plan, best: FrozenTrial) -> list[dict[str, Any]]:
    """The genes in which a trial differs from the default: `gene`, `default`, `best`, `moved`; the farthest first.

    `moved` is the part of the gene's range, from 0 to 1, on a logarithmic scale where the search has one.
    """
    values = trained_with(best, plan)
    found = [
        {"gene": gene.name, "default": plan.hyp[gene.name], "best": values[gene.name], "moved": moved}
        for gene in plan.space.movable
        if (moved := gene.moved(plan.hyp[gene.name], values[gene.name])) > 0
    ]
    return sorted(found, key=lambda one: -one["moved"])
