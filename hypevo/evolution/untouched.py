"""The weights that a study starts from, measured before any training: a short one can be worse than none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna

from hypevo.problem.fitness import Fitness
from hypevo.problem.plan import Plan
from hypevo.problem.settings import BUILT_IN
from hypevo.study.attributes import UNTOUCHED
from hypevo.study.standing import Standing
from hypevo.trainings.backend import Backend
from hypevo.trainings.child import Inspection, Prepared
from hypevo.trainings.untouched import measure_untouched


def remember_untouched(
    study: optuna.Study,
    plan: Plan,
    inspection: Inspection,
    prepared: Prepared,
    fitness: Fitness,
    backend: Backend,
    tell: Callable[[str], None],
) -> None:
    """Measure the starting weights, once in a study's life, where the trainer can; a failure is said, and no more."""
    if not inspection.validates or UNTOUCHED in study.user_attrs:
        return
    measured = measure_untouched(backend, plan.trainer, prepared.settings, fitness)
    found: dict[str, Any] = {
        "metrics": dict(measured.metrics),
        "fitness": measured.fitness,
        "data": plan.settings.get("data"),
    }
    if measured.fitness is None:
        found["failure"] = measured.reason
        tell(f"the starting weights are not measured: {measured.reason}")
    else:
        tell(f"untouched: without any training the starting weights have fitness {measured.fitness:.5f}")
    study.set_user_attr(UNTOUCHED, found)


def worse_than_untouched(standing: Standing, plan: Plan) -> str:
    """What to say where the default's trainings end below the weights that they start from; empty where they do not."""
    default, untouched = standing.default, standing.untouched
    if default is None or untouched is None or default >= untouched:
        return ""
    ours = plan.trainer == BUILT_IN
    preset = "--hyp finetune with --freeze-norm, " if ours else ""
    layers = "--freeze-layers 10" if ours else "frozen layers where the trainer has them"
    floor = " and --warmup-floor" if ours else ""
    return (
        f"the default has fitness {default:.5f}, and the starting weights have {untouched:.5f} without any training: "
        f"these trainings make them worse, and the best of the search may be worse than not training at all. Try "
        f"{preset}a lower lr0, a shorter warm-up (warmup_epochs, warmup_bias_lr{floor}), another --optimizer, more "
        f"--epochs, {layers}; or use the weights as they are"
    )
