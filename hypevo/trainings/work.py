"""What a loop of trainings works with: the trainings, who wants them done, who watches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hypevo.problem.fitness import Fitness
from hypevo.protocol import Finding, Hyp, Metrics, Outcome
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
        alone: The device that it has to have for itself, because it found no memory beside others; empty for none.
        avoid: The device that an attempt failed on, and that another one is better than.
        beside: What is said beside its name to who watches, as «3 of 5».
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
    alone: str = ""
    avoid: str = ""
    beside: str = ""

    @property
    def title(self) -> str:
        """What who watches reads."""
        return f"{self.name} ({self.beside})" if self.beside else self.name


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


@dataclass(frozen=True)
class Work:
    """What all trainings of a loop have in common."""

    trainer: str  # its full name
    settings: Mapping[str, Any]  # the trainer's own, prepared
    fitness: Fitness
    retries: int = 2  # repeats of a lost training
    timeout: float | None = None  # seconds a training may take
    stagger: float = 0.0  # seconds between the first starts of several slots of a machine
    declared: Collection[str] = ()  # metrics that the trainer says it returns
    known: Collection[str] = ()  # metrics that earlier trainings of it have returned
    weights: Sequence[str] = ()  # patterns of files that hold weights, below a training's folder
    all_weights: bool = True  # whether weights come from other machines unasked, with the rest


@dataclass(frozen=True)
class End:
    """How a loop ended."""

    interrupted: bool = False
    unscored: str = ""  # which training has no fitness because it cannot be computed, and why; empty for none


class Watcher(Protocol):
    """Is told what happens. Trainings are told apart by their numbers."""

    def found(self, findings: Sequence[Finding]) -> None:
        """The preflight is over."""

    def opened(
        self,
        title: str,
        *,
        total: int | None,
        done: int,
        best: float | None,
        seconds: float,
        slots: int,
        epochs: int | None,
    ) -> None:
        """The work begins.

        Args:
            title: The study, or what else is trained.
            total: Trainings in all; None for no end.
            done: Those that were there before.
            best: The best fitness so far.
            seconds: Mean duration of a training so far; nan when none has finished.
            slots: Trainings at the same time.
            epochs: Of one training; None when that is not known.
        """

    def started(self, number: int, *, name: str, where: str, attempt: int) -> None:
        """A training starts; `name` is what a person calls it."""

    def reported(self, number: int, *, step: int, metrics: Mapping[str, float], fitness: float) -> None:
        """A training finished the epoch `step`, counted from 0; `fitness` is nan when the epoch has none."""

    def ended(self, number: int, *, name: str, fitness: float | None, outcome: Outcome, again: bool) -> None:
        """A training ended, one that an earlier call had started too; `again` when it will be repeated."""

    def advanced(
        self,
        *,
        done: int,
        best: float | None,
        best_number: int | None,
        beside: str = "",
        total: int | None = None,
    ) -> None:
        """A training is about to end.

        Args:
            done: How many are done with it.
            best: The best fitness.
            best_number: Whose it is.
            beside: What is said of it.
            total: Trainings in all where that has changed.
        """

    def message(self, text: str) -> None:
        """Something the user should read."""

    def busy(self, what: str) -> None:
        """What takes time now besides the trainings; an empty text when it is over."""
