"""One loop for every training: it keeps the slots of a backend busy, and hands back scored outcomes.

An evolution, a confirmation and a single training differ in what they train next and in what they do with a result.
Everything between is here: starts, reports, lost trainings, time-outs, the score, an interruption.
"""

from __future__ import annotations

import contextlib
import math
import queue
import time
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from hypevo.interrupts import asked_first
from hypevo.problem.fitness import Fitness
from hypevo.protocol import Failure, Hyp, Job, Metrics, Outcome, WorkError
from hypevo.trainings.backend import Backend, Slot
from hypevo.trainings.devices import cpus
from hypevo.trainings.record import Record
from hypevo.trainings.watch import Watcher

_DAY = 86400.0  # seconds: the system takes no longer waits than some weeks


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


@dataclass(frozen=True)
class Work:
    """What all trainings of a loop have in common."""

    trainer: str  # its full name
    settings: Mapping[str, Any]  # the trainer's own, prepared
    fitness: Fitness
    retries: int = 2  # repeats of a lost training
    timeout: float | None = None  # seconds a training may take
    stagger: float = 0.0  # seconds between the first starts of several slots


@dataclass(frozen=True)
class End:
    """How a loop ended."""

    interrupted: bool = False
    unscored: str = (
        ""  # which training has no fitness because a user's function failed, and how; empty for none
    )


@dataclass(frozen=True)
class _Active:
    """A training that occupies a slot."""

    training: Training
    slot: Slot
    future: Future[Outcome]


class _Reports:
    """Puts what a backend tells of one training into the loop's queue."""

    def __init__(self, events: queue.SimpleQueue[Any], number: int) -> None:
        self._events = events
        self._number = number

    def started(self, where: str) -> None:
        self._events.put((self._number, where))

    def report(self, step: int, metrics: dict[str, float]) -> None:
        self._events.put((self._number, (step, metrics)))

    def ended(self, future: Future[Outcome]) -> None:
        self._events.put((self._number, future))


class Slots:
    """Keeps the slots of a backend busy with the trainings of a source."""

    def __init__(self, backend: Backend, source: Source, work: Work, watcher: Watcher) -> None:
        self._backend = backend
        self._source = source
        self._work = work
        self._watcher = watcher
        self._active: dict[int, _Active] = {}  # by training number
        self._again: deque[Training] = deque()  # lost, to be done once more
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._interrupted = False
        self._failed: BaseException | None = None  # why the loop must end at once
        self._unscored = ""
        self._began = math.nan  # when the first training was started, by the monotonic clock

    def run(self) -> End:
        """Work until the source has no more trainings, or the user interrupts.

        What is under way when the loop ends early is stopped; its folder says that it has not ended.
        """
        heard = "interrupted: stopping what runs (once more to leave at once)"
        with asked_first(self._interrupt, lambda: self._watcher.message(heard)):
            try:
                for training, outcome in self._source.unscored():
                    self._score(training, outcome)
                self._source.catch_up()
                self._fill()
                while self._active and not self._interrupted:
                    self._handle(*self._next_event())
                    self._source.catch_up()
            finally:
                self._backend.close()
        return End(self._interrupted, self._unscored)

    def fail(self, error: Exception) -> None:
        """Have the loop end at once with an error; may be called from any thread."""
        self._failed = error
        self._events.put(None)

    def _interrupt(self) -> None:  # inside a signal handler
        self._interrupted = True
        self._events.put(None)

    # -- starts --------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Give a training to every free slot whose time has come."""
        taken = {active.slot for active in self._active.values()}
        for index, slot in enumerate(self._backend.slots()):
            if slot in taken or self._wait_for(index) > 0:
                continue
            if self._unscored or self._source.stopped():
                return
            training = self._again.popleft() if self._again else self._source.next(len(self._active))
            if training is None:
                return
            self._start(training, slot)

    def _wait_for(self, index: int) -> float:
        """Seconds until a slot may have its first training, counted from the first training of all."""
        now = time.monotonic()
        return (now if math.isnan(self._began) else self._began) + index * self._work.stagger - now

    def _start(self, training: Training, slot: Slot) -> None:
        training.attempt += 1
        tags = {"hypevo.seed": str(training.seed), "hypevo.device": slot.device, **training.tags}
        training.record.start(
            training.hyp,
            {
                "name": training.name,
                "attempt": training.attempt,
                "seed": training.seed,
                "device": slot.device,
                "params": dict(training.params),
                "tags": tags,
            },
        )
        self._source.begun(training)
        slots = len(self._backend.slots())
        job = Job(
            trainer=self._work.trainer,
            hyp=training.hyp,
            out=training.record.folder.resolve(),
            seed=training.seed,
            device=slot.device,
            settings=self._work.settings,
            threads=max(1, cpus() // slots) if slots > 1 else None,
            timeout=self._work.timeout,
        )
        self._began = time.monotonic() if math.isnan(self._began) else self._began
        reports = _Reports(self._events, training.number)
        future = self._backend.submit(job, reports)
        self._active[training.number] = _Active(training, slot, future)
        future.add_done_callback(reports.ended)

    # -- what comes back -----------------------------------------------------------------------------------

    def _next_event(self) -> Any:
        """The next thing that happened; slots whose first start comes due meanwhile are filled."""
        while True:
            waits = [
                wait for index in range(len(self._backend.slots())) if (wait := self._wait_for(index)) > 0
            ]
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=min(*waits, _DAY) if waits else None)
                return event or (None, None)
            self._fill()

    def _handle(self, number: int | None, event: Any) -> None:
        if self._failed is not None:
            raise self._failed
        if number is None:  # woken up by an interruption
            return
        if isinstance(event, Future):
            self._end(self._active.pop(number), event.result())
            return
        active = self._active[number]
        training = active.training
        if isinstance(event, str):
            self._watcher.started(number, name=training.name, where=event, attempt=training.attempt)
            return
        step, metrics = event
        fitness = self._work.fitness.of_epoch(metrics)
        training.record.add_epoch(
            step, {**metrics, **({"fitness": fitness} if math.isfinite(fitness) else {})}
        )
        self._watcher.reported(number, step=step, metrics=metrics, fitness=fitness)
        if self._source.reported(training, step, metrics, fitness):
            self._backend.cancel(active.future, Failure.PRUNED)

    def _end(self, active: _Active, outcome: Outcome) -> None:
        training = active.training
        if outcome.failure is not None and outcome.failure.lost:
            training.losses += 1
            self._source.lost(training, outcome)
            if training.losses <= self._work.retries:
                self._again.append(training)
                self._tell(training, outcome, None, again=True)
                self._fill()
                return
        self._score(training, outcome)
        self._fill()

    def _score(self, training: Training, outcome: Outcome) -> None:
        """Give a training that will not be repeated its fitness, and end it."""
        fitness = None
        if outcome.failure is None:
            training.record.end(outcome, None)  # before a user's function has a chance to fail
            try:
                fitness = self._work.fitness(outcome.metrics)
            except WorkError as error:
                self._unscored = self._unscored or f"{training.name} is trained, and has no fitness: {error}"
                return
            if not math.isfinite(fitness):
                bad = ", ".join(self._work.fitness.missing(outcome.metrics)) or "the result"
                reason = f"no fitness: {bad} is missing or not finite"
                outcome, fitness = replace(outcome, failure=Failure.DIVERGED, reason=reason), None
        training.record.end(outcome, fitness)
        self._source.ended(training, outcome, fitness)
        self._tell(training, outcome, fitness)

    def _tell(
        self, training: Training, outcome: Outcome, fitness: float | None, *, again: bool = False
    ) -> None:
        name = training.name
        self._watcher.ended(training.number, name=name, fitness=fitness, outcome=outcome, again=again)
