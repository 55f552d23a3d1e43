"""One loop for every training: it keeps the slots of a backend busy, and hands back scored outcomes.

An evolution, a confirmation and a single training differ in what they train next and in what they do with a result.
Everything between is here: starts, reports, lost trainings, time-outs, the score, an interruption.
"""

from __future__ import annotations

import contextlib
import math
import queue
import time
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from hypevo.interrupts import asked_first
from hypevo.protocol import Failure, Job, Outcome, WorkError
from hypevo.trainings.active import Active, Reports, none_left, ranked
from hypevo.trainings.awaited import Awaited
from hypevo.trainings.backend import Backend, Slot
from hypevo.trainings.devices import Health, cpus
from hypevo.trainings.work import End, Source, Training, Watcher, Work

_DAY = 86400.0  # seconds: the system takes no longer waits than some weeks


class Slots:
    """Keeps the slots of a backend busy with the trainings of a source."""

    def __init__(self, backend: Backend, source: Source, work: Work, watcher: Watcher) -> None:
        self._backend = backend
        self._source = source
        self._work = work
        self._watcher = watcher
        self._active: dict[int, Active] = {}  # by training number
        self._again: list[Training] = []  # lost, to be done once more
        self._health = Health()
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._interrupted = False
        self._failed: BaseException | None = None  # why the loop must end at once
        self._unscored, self._in_vain = "", False  # what cannot be scored; whether what runs cannot be either
        self._awaited = Awaited(work.fitness, work.declared, work.known)
        self._began: dict[str, float] = {}  # when each machine had its first training, by the monotonic clock
        self._told_of_waiting = False

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
                self._backend.on_change(lambda: self._events.put(None))
                self._fill()
                while self._goes_on():
                    self._handle(*self._next_event())
                    self._source.catch_up()
            finally:
                self._backend.close()
        return End(self._interrupted, self._unscored)

    def _goes_on(self) -> bool:
        if self._interrupted or self._in_vain:
            return False
        return bool(self._active) or self._waits_for_a_machine()

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
        slots = self._backend.slots()
        places = {slot.place for slot in slots}
        for lost in self._again:
            if lost.alone not in places:  # its machine has left
                lost.alone = ""
        busy = {active.slot for active in self._active.values()}
        beside = {slot.place for slot in busy}
        taken = {active.slot.place for active in self._active.values() if active.training.alone}
        wanted = True
        for index, slot in ranked(slots):
            if slot in busy or slot.place in taken or slot.unit in self._health.aside:
                continue
            if self._wait_for(slot.node, index) > 0:
                continue
            if self._unscored or self._source.stopped():
                return
            alone = next((one for one in self._again if one.alone == slot.place), None)
            if alone is not None and slot.place in beside:
                continue  # the device empties for it
            training = alone or next((one for one in self._again if self._suits(one, slot)), None)
            if training is not None:
                self._again.remove(training)
            elif wanted:  # those that wait for another device are under way, too
                training = self._source.next(len(self._active) + len(self._again))
                wanted = training is not None
            if training is None:
                if not self._again:
                    return
                continue
            self._start(training, slot)
            beside.add(slot.place)
            if training.alone:
                taken.add(slot.place)
            if (
                not self._events.empty()
            ):  # to fill a thousand slots takes minutes: what has happened comes first
                self._events.put(None)
                return

    def _suits(self, training: Training, slot: Slot) -> bool:
        """Whether a repeat may take a slot: the device that failed it comes last."""
        others = {one.unit for one in self._backend.slots()} - self._health.aside.keys() - {training.avoid}
        return not training.alone and (slot.unit != training.avoid or not others)

    def _wait_for(self, node: str, index: int) -> float:
        """Seconds until a slot may have its first training, counted from the first training of its machine."""
        now = time.monotonic()
        return self._began.get(node, now) + index * self._work.stagger - now

    def _waits_for_a_machine(self) -> bool:
        """Whether nothing runs because all machines have left; others may join.

        Raises:
            WorkError: there are some, and all are set aside.
        """
        slots = self._backend.slots()
        if any(slot.unit not in self._health.aside for slot in slots):
            return False
        if self._unscored or self._source.stopped():
            return False
        if slots:
            raise none_left(*next(iter(self._health.aside.items())))
        if not self._told_of_waiting:
            self._watcher.message("no machine is left; waiting for one to join (Ctrl-C to stop)")
            self._told_of_waiting = True
        return True

    def _start(self, training: Training, slot: Slot) -> None:
        training.attempt += 1
        tags = {
            "hypevo.seed": str(training.seed),
            "hypevo.attempt": str(training.attempt),
            "hypevo.device": slot.device,
            **({"hypevo.node": slot.node} if slot.node else {}),
            **training.tags,
        }
        training.record.start(
            training.hyp,
            {
                "name": training.name,
                "attempt": training.attempt,
                "seed": training.seed,
                "device": slot.place,
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
            share=1.0 if training.alone else 1.0 / self._slots_at(slot.place),
            fitness=self._work.fitness.text,
            node=slot.node,
            weights=self._work.all_weights,
        )
        self._began.setdefault(slot.node, time.monotonic())
        reports = Reports(self._events, training.number)
        future = self._backend.submit(job, reports)
        self._active[training.number] = Active(training, slot, future)
        future.add_done_callback(reports.ended)

    # -- what comes back -----------------------------------------------------------------------------------

    def _next_event(self) -> Any:
        """The next thing that happened; slots whose first start comes due meanwhile are filled."""
        while True:
            waits = []
            if self._work.stagger > 0:
                order = ranked(self._backend.slots())
                waits = [wait for index, slot in order if (wait := self._wait_for(slot.node, index)) > 0]
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=min(*waits, _DAY) if waits else None)
                return event or (None, None)
            self._fill()

    def _handle(self, number: int | None, event: Any) -> None:
        if self._failed is not None:
            raise self._failed
        if number is None:  # woken up by an interruption, or by machines that have joined or left
            if not self._interrupted:
                self._fill()
            return
        if isinstance(event, Future):
            self._end(self._active.pop(number), event.result())
            return
        active = self._active[number]
        training = active.training
        if isinstance(event, str):
            if active.slot.node:  # its cluster has chosen the device
                training.record.tag({"hypevo.device": event.removeprefix(f"{active.slot.node}:")})
            self._watcher.started(number, name=training.title, where=event, attempt=training.attempt)
            return
        step, metrics = event
        fitness = self._work.fitness.of_epoch(metrics)
        training.record.add_epoch(
            step, {**metrics, **({"fitness": fitness} if math.isfinite(fitness) else {})}
        )
        self._watcher.reported(number, step=step, metrics=metrics, fitness=fitness)
        if lacking := self._awaited.lacking(metrics, final=False):
            self._unscored = self._unscored or f"{training.name}, epoch {step + 1}: {lacking}"
            self._in_vain = True
        if self._source.reported(training, step, metrics, fitness):
            self._backend.cancel(active.future, Failure.PRUNED)

    def _end(self, active: Active, outcome: Outcome) -> None:
        training, unit, place = active.training, active.slot.unit, active.slot.place
        training.record.gather(self._work.weights)
        again = outcome.failure is not None and outcome.failure.lost
        if again:
            training.losses += 1
            training.avoid = unit
            self._source.lost(training, outcome)
            again = training.losses <= self._work.retries
        if self._health.count(unit, outcome, slots=self._slots_of(unit)):
            self._set_aside(unit)
            again, training.avoid = True, unit
        if outcome.failure is Failure.OUT_OF_MEMORY and not training.alone and self._slots_at(place) > 1:
            again, training.alone = True, place
        elif again:
            training.alone = ""
        if again:
            self._again.append(training)
            self._tell(training, outcome, None, again=True)
        else:
            self._score(training, outcome)
        self._fill()

    def _set_aside(self, unit: str) -> None:
        """Go on without a device, or a machine, if there is another.

        Raises:
            WorkError: there is none.
        """
        why = self._health.aside[unit]
        slots = self._backend.slots()
        gone = {slot.place for slot in slots if slot.unit == unit}
        for training in self._again:
            if training.alone in gone:
                training.alone = ""
        if slots and {slot.unit for slot in slots} <= self._health.aside.keys():
            raise none_left(unit, why)
        self._watcher.message(f"device {unit} is set aside: it {why}; the others go on without it")

    def _slots_of(self, unit: str) -> int:
        return sum(slot.unit == unit for slot in self._backend.slots()) or 1

    def _slots_at(self, place: str) -> int:
        return sum(slot.place == place for slot in self._backend.slots()) or 1

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
            if lacking := self._awaited.lacking(outcome.metrics, final=True):
                self._unscored = (
                    self._unscored or f"{training.name} is trained, and has no fitness: {lacking}"
                )
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
        name = training.title
        self._watcher.ended(training.number, name=name, fitness=fitness, outcome=outcome, again=again)
