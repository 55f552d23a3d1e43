"""What a trial of a study carries besides its parameters: the driver's attributes, and the training's metrics apart.

A metric has its name behind `metrics/`, so that none can take the place of an attribute of the driver's. Studies of
version 0.1 have their metrics under the bare names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hypevo.problem.metrics import STANDARD_COLUMNS

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

ORIGIN, DEFAULT = "origin", "default"  # where a trial's values come from; of the first one
ATTEMPTS, LOSSES = "attempts", "losses"  # times it was started, and lost
FAILURE, REASON = "failure", "reason"  # kind and sentence, of a failed trial
SECONDS, DEVICE_SECONDS = (
    "seconds",
    "device_seconds",
)  # of the last attempt; of all of them, shared devices in part
ENDED_AS = "ended_as"  # how many trials had ended before it: clocks may be set back
OWN = "trained_with"  # values of an imported trial that are not those of its parameters or of the plan
RUN, LINEAGE = "mlflow_run_id", "lineage"

# Of a study. What was measured outside of its trials is {"metrics": {name: value}, "fitness": value or None, …}.
UNTOUCHED = "untouched"  # the weights that it starts from, before any training; also "data"
NOISE = "noise"  # a list, of the default's trainings with other seeds; each also "seed", and "failure" if it failed
NOISE_BEGUN = "noise_begun"  # by seed, of those trainings: attempts, and device seconds of the lost ones
SEED_NOISE = (
    "seed_noise"  # standard deviation of the default's fitness over the fresh seeds of a confirmation
)
VERDICT = "verdict"  # what the last confirmation said
BETTER, UNDECIDED = "better", "cannot be judged"  # words of it
HARMFUL = "worse than not training at all"  # what it says against the untouched weights
ENVIRONMENT = "hypevo_environment"  # command, versions, machine and revision of the last driver, by name

_METRIC = "metrics/"
_LONGEST = 200  # characters of a metric's name that any database takes
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def device_seconds_of(noise: Iterable[Mapping[str, Any]], begun: Mapping[str, Mapping[str, Any]]) -> float:
    """Device time of the trainings of the noise, `NOISE`, and of their lost attempts, `NOISE_BEGUN`, in seconds."""
    return sum(float(one.get(DEVICE_SECONDS, 0.0)) for one in (*noise, *begun.values()))


def metric_attributes(metrics: Mapping[str, float]) -> dict[str, float]:
    """The attributes that hold a trial's metrics, by names that any database takes."""
    return {_METRIC + _stored(name): float(value) for name, value in metrics.items()}


def metrics_of(trial: FrozenTrial, names: Sequence[str] = ()) -> dict[str, float]:
    """The final metrics of a trial by name: the named ones first, in their order, then all others it has."""
    attributes = trial.user_attrs
    known = names or tuple(STANDARD_COLUMNS)
    stored = [key.removeprefix(_METRIC) for key in attributes if key.startswith(_METRIC)]
    if not stored:  # of version 0.1
        return {name: float(attributes[name]) for name in known if name in attributes}
    listed = {_stored(name): name for name in known}
    order = [name for name in listed if name in stored] + [name for name in stored if name not in listed]
    return {listed.get(name, name): float(attributes[_METRIC + name]) for name in order}


def _stored(name: str) -> str:
    """A metric's name as it is stored: itself, unless a database would refuse it; distinct ones stay distinct."""
    safe = _UNPRINTABLE.sub("_", name)[:_LONGEST]
    if safe == name:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[: _LONGEST - 9]}~{digest}"
