"""The driver at work: it keeps the slots busy, and writes down what comes back from them.

There is no barrier between generations: a slot that falls free takes the next trial, whose parents are whatever has
finished by then.
"""

from __future__ import annotations

import math
import os
import queue
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, Trial

from hypevo.evolution.ledger import Ledger
from hypevo.interrupts import asked_first
from hypevo.preflight import Preflight
from hypevo.problem.settings import EvolveSettings
from hypevo.protocol import Failure, Job, Outcome, WorkError
from hypevo.study.search import suggest
from hypevo.trainings.backend import Backend
from hypevo.trainings.local import DAY
from hypevo.trainings.record import Record
from hypevo.trainings.watch import Watcher
from samplers import noise

Events = queue.SimpleQueue[tuple[int, Any]]  # trial number, and a report or an ended future
NOBODY = (
    -1
)  # the sender of what is no trial's: "" from a user who interrupts, else why the driver must not go on


@dataclass(frozen=True)
class Summary:
    """How a study stands when its driver ends."""

    study: str
    folder: Path
    done: int
    total: int | None
    best: FrozenTrial | None
    stopped: str  # why it ended early; empty when it did not
    interrupted: bool
    failed: bool  # too many trials failed in a row
    tracking_uri: str
    experiment_id: str
    undelivered: int  # trials that MLflow has not got yet; the next start delivers them


@dataclass(frozen=True)
class _Active:
    """A trial that occupies a slot."""

    trial: Trial
    record: Record
    future: Future[Outcome]
    slot: int


class Driver:
    """One evolution at work."""

    def __init__(
        self,
        settings: EvolveSettings,
        look: Preflight,
        options: Mapping[str, Any],
        ledger: Ledger,
        backend: Backend,
        watcher: Watcher,
        events: Events,
    ) -> None:
        self._settings = settings
        self._plan = look.plan
        self._fitness = look.fitness
        self._options = options
        self._ledger = ledger
        self._backend = backend
        self._watcher = watcher
        self._slots = [device for _ in range(settings.slots_per_device) for device in look.devices]
        self._active: dict[int, _Active] = {}  # by trial number
        self._again: deque[Trial] = deque()  # to run once more: interrupted or lost
        self._events = events
        self._failures_in_a_row = 0
        self._stopped = ""  # why no more trials are started
        self._measured = (0, math.nan)  # generations, and the noise they showed
        self._unscored = ""  # which trial's metrics a user's fitness function failed on, and how
        self._interrupted = False
        self._began = math.nan  # when the first trial was started, by the monotonic clock

    def run(self) -> Summary:
        """Work until the study is complete, stopped, or interrupted."""
        try:
            self._ledger.open()
            return self._work()
        except Exception:
            self._ledger.tracker.stop()
            raise

    def _work(self) -> Summary:
        ledger = self._ledger
        self._watcher.opened(
            ledger.study.study_name,
            total=self._settings.total,
            done=ledger.standing.generations,
            best=self._best_value,
            seconds=ledger.standing.mean_seconds,
            slots=len(self._slots),
            epochs=self._plan.settings.get("epochs"),
        )
        with asked_first(lambda: self._events.put((NOBODY, ""))):
            try:
                again, unscored = ledger.unfinished()
                for left in unscored:
                    self._conclude(*left)
                self._again.extend(again)
                if self._again:
                    numbers = ", ".join(str(trial.number) for trial in self._again)
                    self._watcher.said(f"running again what was interrupted: trial {numbers}")
                self._export()
                self._fill()
                while self._active and not self._interrupted:
                    self._handle(*self._next_event())
                    self._tell_news()
            finally:
                self._backend.close()  # what still runs stays RUNNING in the study, and is run again
            summary = self._close()
            if self._unscored:
                raise WorkError(
                    f"{self._unscored}; nothing is lost: mend the function, and the same command goes on from there"
                )
            return summary

    # -- slots ---------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Give a trial to every free slot whose time has come, as long as trials are wanted."""
        taken = {active.slot for active in self._active.values()}
        for slot in range(len(self._slots)):
            if slot not in taken and self._wait_for(slot) <= 0 and self._wanted():
                self._start(self._again.popleft() if self._again else self._ledger.study.ask(), slot)

    def _wanted(self) -> bool:
        self._stopped = self._stopped or self._budget_spent()
        if self._stopped:
            return False
        total = self._settings.total
        done = self._ledger.standing.generations
        return bool(self._again) or total is None or done + len(self._active) < total

    def _budget_spent(self) -> str:
        """Why no more trials should start; empty while they should."""
        settings, standing = self._settings, self._ledger.standing
        if settings.hours is not None and time.monotonic() - self._began > settings.hours * 3600:
            return f"the {settings.hours:g} hours are over"
        if settings.gpu_hours is not None and standing.device_seconds > settings.gpu_hours * 3600:
            return f"the study has used its {settings.gpu_hours:g} GPU-hours"
        if settings.patience is not None and standing.generations >= settings.patience:
            if settings.min_gain is None:
                gain = self._noise()
                what = f"{gain:.2g}, the noise of a training,"
            else:
                gain, what = settings.min_gain, f"{settings.min_gain:g}"
            stale = 0 if math.isnan(gain) else standing.stale(gain)
            if stale >= settings.patience:
                return f"no gain of more than {what} in {stale} generations"
        return ""

    def _noise(self) -> float:
        """The standard deviation of a fitness near the best; nan while too few are known to tell."""
        generations = self._ledger.standing.generations
        if self._measured[0] != generations:
            self._measured = (generations, noise(self._ledger.study))
        return self._measured[1]

    def _wait_for(self, slot: int) -> float:
        """Seconds until a slot may have its first trial, counted from the first trial of all."""
        now = time.monotonic()
        began = now if math.isnan(self._began) else self._began
        return began + slot * self._settings.stagger - now

    def _next_event(self) -> tuple[int, Any]:
        """The next report or outcome; slots whose first start comes due meanwhile are filled."""
        while True:
            waits = [wait for slot in range(len(self._slots)) if (wait := self._wait_for(slot)) > 0]
            try:
                return self._events.get(timeout=min(*waits, DAY) if waits else None)
            except queue.Empty:
                self._fill()

    def _start(self, trial: Trial, slot: int) -> None:
        number, device = trial.number, self._slots[slot]
        hyp = {**self._plan.hyp, **suggest(trial, self._plan.space)}
        seed = self._plan.seed + (number if self._plan.trial_seed == "per-trial" else 0)
        record, attempt = self._ledger.begin(trial, hyp, seed=seed, device=device)
        threads = max(1, _cpus() // len(self._slots)) if len(self._slots) > 1 else None
        job = Job(
            trainer=self._plan.trainer,
            hyp=hyp,
            out=record.folder.resolve(),
            seed=seed,
            device=device,
            settings=self._options,
            threads=threads,
            timeout=self._settings.trial_timeout,
        )
        if math.isnan(self._began):
            self._began = time.monotonic()
        future = self._backend.submit(job, lambda step, metrics: self._events.put((number, (step, metrics))))
        self._active[number] = _Active(trial, record, future, slot)
        future.add_done_callback(lambda ended: self._events.put((number, ended)))
        self._watcher.started(number, device=device, attempt=attempt)

    # -- what comes back -----------------------------------------------------------------------------------

    def _handle(self, number: int, event: Any) -> None:
        if number == NOBODY and event:
            raise WorkError(f"{event}; this one stops")
        if number == NOBODY:
            self._interrupted = True
            self._watcher.said("interrupted: stopping the running trials (once more to leave at once)")
        elif isinstance(event, Future):
            self._end(self._active.pop(number), event.result())
        else:
            active = self._active[number]
            step, metrics = event
            fitness = self._fitness.of_epoch(metrics)
            self._watcher.reported(number, step=step, fitness=fitness)
            if self._ledger.report(active.trial, active.record, step, metrics, fitness):
                self._backend.cancel(active.future, Failure.PRUNED)

    def _end(self, active: _Active, outcome: Outcome) -> None:
        lost = outcome.failure is not None and outcome.failure.lost
        again = lost and self._ledger.lose(active.trial, outcome) <= self._settings.retries
        if again:
            self._again.append(active.trial)
            self._tell_end(active.trial, outcome, again=True)
        else:
            self._conclude(active.trial, active.record, outcome)
        self._fill()  # before the exports, which take a second
        if not again:
            self._export()

    def _conclude(self, trial: Trial, record: Record, outcome: Outcome) -> None:
        """Score a trial that will not be run again, and enter it."""
        fitness = None
        if outcome.failure is None:
            record.finish(outcome, None)  # before a user's function has a chance to fail
            try:
                fitness = self._fitness(outcome.metrics)
            except WorkError as error:
                self._unscored = (
                    self._unscored or f"trial {trial.number} is trained, and has no fitness: {error}"
                )
                self._stopped = self._unscored
                return
            if not math.isfinite(fitness):
                bad = ", ".join(self._fitness.missing(outcome.metrics)) or "the result"
                reason = f"no fitness: {bad} is missing or not finite"
                outcome, fitness = replace(outcome, failure=Failure.DIVERGED, reason=reason), None
        self._ledger.finish(trial, record, outcome, fitness)
        self._count(outcome)
        self._tell_end(trial, outcome, fitness)

    def _tell_news(self) -> None:
        for message in self._ledger.tracker.notices():
            self._watcher.said(message)

    def _tell_end(
        self, trial: Trial, outcome: Outcome, fitness: float | None = None, *, again: bool = False
    ) -> None:
        self._watcher.ended(
            trial.number,
            fitness=fitness,
            outcome=outcome,
            again=again,
            done=self._ledger.standing.generations,
            best=self._best_value,
        )

    def _count(self, outcome: Outcome) -> None:
        """Failures in a row stop the study: something is wrong that no other hyperparameters will mend."""
        if outcome.failure is None:
            self._failures_in_a_row = 0
        elif outcome.failure is not Failure.PRUNED:
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= self._settings.max_failures:
                last = f"{outcome.failure}: {outcome.reason}"
                self._stopped = f"{self._failures_in_a_row} trials failed in a row; the last one {last}"

    def _export(self, *, last: bool = False) -> None:
        try:
            self._ledger.export(last=last)
        except OSError as error:
            self._watcher.said(
                f"exports not written ({error}); the study has everything, the next trial tries again"
            )

    def _close(self) -> Summary:
        failed = self._failures_in_a_row >= self._settings.max_failures or self._unscored != ""
        state = "interrupted" if self._interrupted else "stopped" if self._stopped else "complete"
        status = "KILLED" if self._interrupted else "FAILED" if failed else "FINISHED"
        self._export(last=True)
        undelivered = self._ledger.close(state=state, status=status)
        self._tell_news()
        return Summary(
            study=self._ledger.study.study_name,
            folder=self._settings.folder,
            done=self._ledger.standing.generations,
            total=self._settings.total,
            best=self._ledger.standing.best,
            stopped=self._stopped,
            interrupted=self._interrupted,
            failed=failed,
            tracking_uri=self._ledger.tracker.store.uri,
            experiment_id=self._ledger.tracker.experiment_id,
            undelivered=undelivered,
        )

    @property
    def _best_value(self) -> float | None:
        best = self._ledger.standing.best
        return None if best is None else best.value


def _cpus() -> int:
    """CPUs this process may use: a container or Slurm may give fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
