"""One training to be done, and who wants trainings done: what the loop over the slots is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hypevo.protocol import Hyp, Metrics, Outcome
from hypevo.trainings.record import Record


@dataclass(eq=False)
class Training:
    """One training to be done.

    Attributes:
        number: Tells it apart from the others of its loop.
        name: What a person calls it, as «trial 3».
        record: Its folder.
        hyp: Its hyperparameters.
        seed: Its seed.
        tags: What MLflow is told of it, besides its seed and device.
        params: MLflow's parameters of it, besides its hyperparameters.
        attempt: Which attempt it is at, counted from 1; 0 before the first one.
        losses: Attempts that were lost: killed, timed out.
    """

    number: int
    name: str
    record: Record
    hyp: Hyp
    seed: int
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    attempt: int = 0
    losses: int = 0


class Source(Protocol):
    """Who wants trainings done. Its methods are called from the loop's thread, one at a time."""

    def unscored(self) -> Iterable[tuple[Training, Outcome]]:
        """Trainings that an earlier call has finished and whose fitness could not be computed then."""

    def stopped(self) -> bool:
        """Whether no more trainings are to be started, repeats of lost ones included."""

    def next(self, active: int) -> Training | None:
        """The next training while `active` ones are under way; None when there is none now."""

    def begun(self, training: Training) -> None:
        """An attempt begins: its folder is open, its process is about to start."""

    def reported(self, training: Training, step: int, metrics: Metrics, fitness: float) -> bool:
        """An epoch is in the training's folder. True to have the training pruned."""

    def lost(self, training: Training, outcome: Outcome) -> None:
        """An attempt was lost; `training.losses` counts it."""

    def ended(self, training: Training, outcome: Outcome, fitness: float | None) -> None:
        """The training is over, and its folder says how; a failed one has no fitness."""

    def catch_up(self) -> None:
        """The slots are busy: time for what takes longer, such as exports."""
