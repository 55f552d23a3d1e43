"""What the weights that a training starts from score as they are: the result of not training at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypevo.problem.fitness import Fitness
from hypevo.protocol import InputError, WorkError
from hypevo.trainings import child
from hypevo.trainings.backend import Backend


@dataclass(frozen=True)
class Untouched:
    """The starting weights, measured before any training.

    Attributes:
        metrics: By name; empty when they could not be measured.
        fitness: Computed from them; None when it could not be.
        reason: Why there is no fitness, as a sentence; empty when there is one.
    """

    metrics: Mapping[str, float]
    fitness: float | None
    reason: str = ""


def measure_untouched(
    backend: Backend, trainer: str, settings: Mapping[str, Any], fitness: Fitness
) -> Untouched:
    """Validate the starting weights in a process of its own, through the trainer's `validate`.

    It fails where a trainer offers none, starts from nothing, or knows other classes: that is no error.

    Args:
        backend: Where it runs: in its first slot.
        trainer: Its full name.
        settings: Those that the trainings run with.
        fitness: What is maximised.
    """
    slot = backend.slots()[0]
    try:
        metrics = backend.call(child.validate, trainer, dict(settings), slot.device, slot=slot)
        value = fitness(metrics)
    except (InputError, WorkError) as error:
        return Untouched({}, None, str(error).strip().split("\n")[0])
    if not math.isfinite(value):
        return Untouched(
            metrics, None, f"{', '.join(fitness.missing(metrics)) or 'a metric'} is missing or not finite"
        )
    return Untouched(metrics, value)
