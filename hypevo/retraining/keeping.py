"""Which weights of a confirmation's trainings stay on disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from hypevo.trainings.record import WEIGHTS
from hypevo.trainings.work import Training


class Keeping:
    """Deletes what the policy does not keep, as trainings end."""

    def __init__(
        self, policy: str, trainings: Mapping[tuple[str, int], Training], settle: Callable[..., None]
    ) -> None:
        """Keep by a policy.

        Args:
            policy: «best»: of each candidate, the default among them, those of its fittest training; «all»; «none».
            trainings: By the candidate's key and the seed.
            settle: The backend's: brings a training's weights from where it ran, or gives them up.
        """
        self._policy = policy
        self._settle = settle
        self._of: dict[str, list[Training]] = {}
        for (key, _), training in trainings.items():
            self._of.setdefault(key, []).append(training)

    def sweep(self) -> int:
        """Delete what earlier calls have left; returns of how many trainings."""
        return sum(self._drop(key) for key in self._of)

    def ended(self, training: Training) -> None:
        """Settle a training that is over, and delete what it has beaten."""
        key = next(key for key, all_of_it in self._of.items() if training in all_of_it)
        if self._policy != "all":
            self._settle(
                training.record.folder, keep=training is self._best(key)
            )  # before others are deleted
        self._drop(key)

    def _best(self, key: str) -> Training | None:
        if self._policy != "best":
            return None
        fitness = {
            training: result.fitness
            for training in self._of[key]
            if (result := training.record.result) is not None and result.fitness is not None
        }
        return max(fitness, key=fitness.__getitem__, default=None)

    def _drop(self, key: str) -> int:
        """Delete the weights of a candidate's other trainings that are over."""
        if self._policy == "all":
            return 0
        best, dropped = self._best(key), 0
        for training in self._of[key]:
            folder: Path = training.record.folder / WEIGHTS
            if training is not best and training.record.result is not None and folder.exists():
                shutil.rmtree(folder, ignore_errors=True)
                dropped += 1
        return dropped
