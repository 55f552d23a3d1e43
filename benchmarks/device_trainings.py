"""What `device_hours.py` searches: trainings that tell their fitness after every epoch and can be stopped.

``network`` is the small network of `landscapes_training.py` on its numbered tasks, at 27 epochs instead of 8, so that
successive halving has room. ``detector`` is the project's own detector on the embedded digits, 9 epochs of some
CPU-seconds each. Both go through the schedule of the whole length, however early they are stopped, as a trial of
`hypevo evolve --pruner …` does. A training that diverges ends there.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from landscapes_training import HYPERPARAMETERS, Task, Training
from landscapes_training import train as trained
from optuna.distributions import FloatDistribution
from search_problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    Report = Callable[[float], None]  # the fitness after an epoch; raises where the training shall stop


@dataclass(frozen=True, eq=False)
class Subject:
    """A training that is searched.

    Attributes:
        name: Which one.
        problem: Its genes, and the default in the unit cube; it measures nothing itself.
        images: Training images of one epoch.
        epochs: Length of a training in full.
        fitness: Point of the cube and seed to the fitness after each epoch, NaN and no more if it diverges.
        last: Point of the cube and seed to the fitness of a training in full.
        score_seeds: Seeds that no search trains with: the mean over them is what a point is worth.
    """

    name: str
    problem: Problem
    images: int
    epochs: int
    fitness: Callable[[NDArray[np.float64], int], Generator[float]]
    last: Callable[[NDArray[np.float64], int], float]
    score_seeds: range

    def score(self, point: NDArray[np.float64]) -> float:
        """Return what a point is worth: the mean fitness of trainings in full, with seeds of their own."""
        return self._score(tuple(point.tolist()))

    @lru_cache(maxsize=4096)  # noqa: B019  a subject lives as long as its process
    def _score(self, point: tuple[float, ...]) -> float:
        return float(np.mean([self.last(np.array(point), seed) for seed in self.score_seeds]))


@cache
def network(task: int, epochs: int = 27) -> Subject:
    """Return the small network on one task."""
    space = {name: distribution for name, (distribution, _) in HYPERPARAMETERS.items()}
    plain = Problem(space, np.zeros(len(space)), lambda _: 0.0, {})
    start = plain.point({name: default for name, (_, default) in HYPERPARAMETERS.items()})

    def fitness(point: NDArray[np.float64], seed: int) -> Generator[float]:
        training = Training(plain.params(point), seed, task, epochs)
        for _ in range(epochs):
            training.epoch()
            value = training.fitness()
            yield value or math.nan  # no probability is 0 but that of a diverged network
            if value == 0.0:
                return

    def last(point: NDArray[np.float64], seed: int) -> float:
        return trained(plain.params(point), seed, task, epochs)

    problem = Problem(space, start, lambda _: 0.0, {})
    images = len(Task.numbered(task).x)
    return Subject(f"network {task}", problem, images, epochs, fitness, last, range(1_000_000, 1_000_020))


@cache
def detector(_: int, epochs: int = 9) -> Subject:
    """Return the detector on the embedded digits; the task's number is not used, for there is one dataset."""
    from hypevo.problem.hyp import load_hyp
    from hypevo.problem.space import yolov5_space
    from trainers.yolov5 import Settings, prepare, train

    folder = Path("runs/device_hours/detector")
    folder.mkdir(parents=True, exist_ok=True)
    settings = prepare(Settings(epochs=epochs, pictures=False), folder)
    default = {name: float(value) for name, value in load_hyp("scratch-low").items()}
    genes = yolov5_space()
    space = {n: d for n, d in genes.distributions().items() if isinstance(d, FloatDistribution)}
    plain = Problem(space, np.zeros(len(space)), lambda _: 0.0, {})

    def fitness(point: NDArray[np.float64], seed: int) -> Generator[float]:
        def training(report: Report) -> None:
            def told(metrics: Any, *, step: int) -> None:  # noqa: ARG001  the names of an argument
                report(0.1 * metrics["mAP_0.5"] + 0.9 * metrics["mAP_0.5:0.95"])

            with tempfile.TemporaryDirectory(dir=folder) as out:
                hyp = {**default, **plain.params(point)}
                train(hyp, out=Path(out), seed=seed, device="cpu", report=told, settings=settings)

        return stepwise(training)

    def last(point: NDArray[np.float64], seed: int) -> float:
        value = list(fitness(point, seed))[-1]
        return 0.0 if math.isnan(value) else value

    problem = Problem(space, plain.point(default), lambda _: 0.0, dict(genes.gains))
    images = sum(1 for _ in (folder.rglob("images/train/*")))
    return Subject("detector", problem, images, epochs, fitness, last, range(1_000_000, 1_000_003))


class _StoppedError(Exception):
    """Nobody wants the rest of a training."""


def stepwise(training: Callable[[Report], None]) -> Generator[float]:
    """Yield what a training reports, and let it go on only when the next value is asked for; NaN if it diverges."""
    asked: Queue[bool] = Queue()
    said: Queue[float | BaseException | None] = Queue()

    def report(value: float) -> None:
        said.put(value)
        if not asked.get():
            raise _StoppedError

    def run() -> None:
        try:
            if asked.get():
                training(report)
            said.put(None)
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001  raised again by who asked
            said.put(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        while True:
            asked.put(True)
            match said.get():
                case None:
                    return
                case FloatingPointError():
                    yield math.nan
                    return
                case BaseException() as error:
                    raise error
                case value:
                    yield float(value)
    finally:
        asked.put(False)
        with contextlib.suppress(RuntimeError):  # the interpreter may be at its end
            thread.join()


SUBJECTS: dict[str, Callable[[int], Subject]] = {"network": network, "detector": detector}
