"""The contract of a backend: where trainings run, on this machine or on others."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from hypevo.protocol import Failure, Job, Outcome

OnReport = Callable[[int, dict[str, float]], None]


class Backend(Protocol):
    """Where trials run."""

    def submit(self, job: Job, on_report: OnReport) -> Future[Outcome]:
        """Start a job now."""

    def cancel(self, future: Future[Outcome], failure: Failure) -> None:
        """Stop a job; its outcome carries the failure."""

    def close(self) -> None:
        """Stop all jobs and wait until they are gone."""
