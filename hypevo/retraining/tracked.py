"""What the sources of the loop have in common that do not search: MLflow follows, nothing is pruned, all is wanted."""

from __future__ import annotations

from collections.abc import Iterable

from hypevo.protocol import Metrics, Outcome
from hypevo.tracking.tracker import Tracker
from hypevo.trainings.source import Training
from hypevo.trainings.watch import Watcher


class Tracked:
    """The part of a `Source` that a single training and a confirmation share."""

    def __init__(self, tracker: Tracker, watcher: Watcher) -> None:
        self._tracker = tracker
        self._watcher = watcher

    def unscored(self) -> Iterable[tuple[Training, Outcome]]:
        """Nothing is left of an earlier call."""
        return ()

    def stopped(self) -> bool:
        """Never: all trainings are wanted."""
        return False

    def begun(self, training: Training) -> None:
        """Have MLflow follow."""
        self._tracker.update(training.record)

    def reported(self, training: Training, step: int, metrics: Metrics, fitness: float) -> bool:  # noqa: ARG002
        """Have MLflow follow; nothing is pruned."""
        self._tracker.update(training.record)
        return False

    def lost(self, training: Training, outcome: Outcome) -> None:
        """The loop counts it."""

    def catch_up(self) -> None:
        """Pass on what MLflow's deliveries have to say."""
        for message in self._tracker.notices():
            self._watcher.message(message)
