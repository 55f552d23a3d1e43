"""What is told of an evolution while it runs, for a terminal or whatever else wants to show it."""

from __future__ import annotations

from typing import Protocol

from hypevo.protocol import Finding, Outcome


class Watcher(Protocol):
    """Is told what happens."""

    def found(self, findings: tuple[Finding, ...]) -> None:
        """The preflight is over."""

    def opened(
        self,
        study: str,
        *,
        total: int | None,
        done: int,
        best: float | None,
        seconds: float,
        slots: int,
        epochs: int | None,
    ) -> None:
        """The study is open; `seconds` is the mean duration of its finished trials, nan for none."""

    def started(self, number: int, *, device: str, attempt: int) -> None:
        """A trial starts."""

    def reported(self, number: int, *, step: int, fitness: float) -> None:
        """A trial finished an epoch."""

    def ended(
        self,
        number: int,
        *,
        fitness: float | None,
        outcome: Outcome,
        again: bool,
        done: int,
        best: float | None,
    ) -> None:
        """A trial ended, one that an earlier call had started too; `again` when it will be repeated."""

    def said(self, message: str) -> None:
        """Something the user should read."""
