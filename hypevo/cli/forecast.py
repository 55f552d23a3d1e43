"""How long an evolution will take, said before it begins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hypevo.cli.progress import clock
from hypevo.protocol import InputError, WorkError
from hypevo.trainings import child
from hypevo.trainings.devices import cpus

if TYPE_CHECKING:
    from hypevo.cli.questions import Check
    from hypevo.preflight import StudyPreflight
    from hypevo.trainings.backend import Backend

_LEFT_OUT = (
    "Left out: starting processes, loading data and weights, the first batches' warm-up, files that are written; and "
    "hyperparameters may train slower than the default"
)


def forecast(settings: Check, checked: StudyPreflight, backend: Backend) -> str:
    """In words, how long a training and the whole study will take, or why that is not known."""
    if settings.estimate == 0:
        return "time: not estimated (--estimate 0)"
    slots = backend.slots()
    places = len({slot.place for slot in slots})
    threads = max(1, cpus() // len(slots)) if len(slots) > 1 else None
    inspection, hyp = checked.inspection, dict(checked.plan.hyp)
    try:
        found = backend.call(
            child.estimate,
            inspection.trainer,
            inspection.settings,
            hyp,
            settings.cache.resolve(),
            slots[0].device,
            settings.estimate,
            threads,
            slot=slots[0],
        )
    except (InputError, WorkError) as error:
        return f"time: no estimate, since some batches could not be trained: {error}"
    if found is None:
        return (
            f"time: {inspection.trainer} offers no estimate; the first trial tells, and from then on the bar and "
            "`hypevo status` say what is left"
        )
    low, high, timed = found
    said = f"time: a training {_range(low, high)} ({timed} were timed, {slots[0].place}); "
    if settings.total is None:
        said += "until stopped"
    else:
        trainings = settings.total + settings.noise_seeds
        at_least = low * math.ceil(trainings / len(slots))
        at_most = high * math.ceil(trainings / places)  # if trainings that share a device gain nothing
        noise = f" and {settings.noise_seeds} for the noise" if settings.noise_seeds else ""
        at_once = "one at a time" if len(slots) == 1 else f"{len(slots)} at once"
        said += f"{settings.total} generations{noise}, {at_once}: {_range(at_least, at_most)}"
    ends = [
        f"{name} {value:g}"
        for name, value in (("--hours", settings.hours), ("--gpu-hours", settings.gpu_hours))
        if value is not None
    ]
    return f"{said}{''.join(f', or until {end}' for end in ends)}. {_LEFT_OUT}"


def _range(low: float, high: float) -> str:
    first, last = clock(low), clock(high)
    return f"about {first}" if first == last else f"{first} to {last}"
