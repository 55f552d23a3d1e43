"""The contracts between the search and whatever it trains: a trainer, its reports, its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

Metrics = Mapping[str, float]
Value = float | int | str | bool  # of a hyperparameter
Hyp = Mapping[str, Value]


class InputError(ValueError):
    """What the user gave is wrong; the message says what was expected, what came and what to do."""


class WorkError(RuntimeError):
    """The work itself failed, outside any trial; the message says how."""


class Report(Protocol):
    """Given to the trainer, which calls it after each epoch.

    It may raise to stop the training (pruned, out of budget); the trainer lets the exception pass.
    """

    def __call__(self, metrics: Metrics, *, step: int) -> None:
        """Report the `metrics` of epoch `step`, counted from 0."""


class Trainer(Protocol):
    """Trains once with `hyp` on one `device`, writes files only under `out`, returns the final metrics.

    What else its module may offer (`Settings`, `METRICS`, `check`, `prepare`, `validate`, `PRELOAD`) is described where
    trainers are written: `trainers/__init__.py`.
    """

    def __call__(self, hyp: Hyp, *, out: Path, seed: int, device: str, report: Report) -> Metrics:
        """Train, and return the metrics that fitness is computed from."""


class Failure(StrEnum):
    """Why a trial has no result."""

    OUT_OF_MEMORY = "out of memory"
    DIVERGED = "diverged"
    DEVICE_FAILED = "device failed"
    CRASHED = "crashed"
    KILLED = "killed"
    TIMED_OUT = "timed out"
    DISK_FULL = "disk full"
    PRUNED = "pruned"
    INTERRUPTED = "interrupted"

    @property
    def lost(self) -> bool:
        """Whether the trial was lost through no fault of its hyperparameters, so that a retry may succeed."""
        return self in (Failure.KILLED, Failure.TIMED_OUT, Failure.INTERRUPTED, Failure.DEVICE_FAILED)


@dataclass(frozen=True)
class Job:
    """One training, ready to be sent to another process or machine."""

    trainer: str  # «module:function»
    hyp: Hyp
    out: Path
    seed: int
    device: str  # «cpu», «mps», or the index of a CUDA device
    settings: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None  # CPU threads the training may use; None leaves it to the trainer
    timeout: float | None = None  # seconds
    share: float = 1.0  # of the device's memory that the training may use
    fitness: str = ""  # what is maximised, for a trainer that asks
    node: str = ""  # the machine that it is for, where there are several
    weights: bool = True  # whether weights come back from another machine with the rest, unasked


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with metrics, or with a failure and its reason."""

    metrics: Metrics = field(default_factory=dict)
    failure: Failure | None = None
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Finding:
    """One line of a preflight: an error stops the study; a warning, a note and what is absent do not.

    What is absent would be fetched first, and was not checked.
    """

    level: str  # «error», «warning», «absent» or «note»
    message: str


def full_name(name: str) -> str:
    """`module:function` for a trainer's short name: «yolov5» is `trainers.yolov5:train`."""
    module, _, function = name.partition(":")
    if "." not in module and not function:
        module = f"trainers.{module}"
    return f"{module}:{function or 'train'}"
