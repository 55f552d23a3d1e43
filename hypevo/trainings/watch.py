"""What is told of trainings while they run, for a terminal or whatever else wants to show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from hypevo.protocol import Finding, Outcome


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

    def advanced(self, *, done: int, best: float | None, best_number: int | None) -> None:
        """A training is about to end: how many are done with it, and the best fitness and whose it is."""

    def message(self, text: str) -> None:
        """Something the user should read."""
