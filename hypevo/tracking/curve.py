"""The curve of a study itself, the best so far after each generation, on its way into the study's run."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from hypevo.tracking.names import metric_name
from hypevo.tracking.runs import Runs, Step

# Of the study's curve, and of no trainer.
_OF_THE_STUDY = ("best_trial", "untouched_fitness", "default_mean", "noise")


class Curve:
    """The steps that are to be sent."""

    def __init__(self) -> None:
        self._steps: dict[int, tuple[int, Mapping[str, float]]] = {}  # time in ms, metrics by MLflow's names
        self._lock = threading.Lock()

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take a step that is to be sent."""
        named = {k if k in _OF_THE_STUDY else metric_name(k): value for k, value in metrics.items()}
        with self._lock:
            self._steps[step] = round(time.time() * 1000), named

    def send(self, runs: Runs) -> None:
        """Send what is there; a step that the run has already is left out."""
        with self._lock:
            steps: list[Step] = [(step, *sent) for step, sent in sorted(self._steps.items())]
        runs.log_steps(runs.parent, steps)
        with self._lock:
            for step, _, _ in steps:
                self._steps.pop(step)
