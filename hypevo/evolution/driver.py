"""The driver of an evolution: it asks the sampler for trials, and tells the study what became of them.

There is no barrier between generations: a slot that falls free takes the next trial, whose parents are whatever has
finished by then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial, Trial

from hypevo.evolution.baseline import Baseline
from hypevo.evolution.budget import Budget
from hypevo.evolution.ledger import Ledger
from hypevo.evolution.untouched import worse_than_untouched
from hypevo.problem.plan import Plan
from hypevo.problem.settings import EvolveSettings
from hypevo.protocol import Finding, Metrics, Outcome, WorkError
from hypevo.study.attributes import DEFAULT, ORIGIN
from hypevo.study.standing import standing
from hypevo.study.storage import enqueue_default
from hypevo.tracking.models import Kept
from hypevo.trainings.backend import Backend
from hypevo.trainings.slots import Slots
from hypevo.trainings.work import End, Training, Watcher, Work


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
    parent_run: str
    undelivered: int  # trials that MLflow has not got yet; the next start delivers them
    kept: Kept  # what became of the best model


class Driver:
    """One evolution at work: the source of its trainings."""

    def __init__(
        self,
        settings: EvolveSettings,
        plan: Plan,
        ledger: Ledger,
        baseline: Baseline,
        backend: Backend,
        work: Work,
        watcher: Watcher,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._ledger = ledger
        self._backend = backend
        self._watcher = watcher
        self._baseline = baseline
        self._budget = Budget(settings, ledger.study, ledger.tally, lambda: baseline.device_seconds)
        self._trials: dict[int, Trial] = {}  # under way, by number
        self._again: deque[Trial] = deque()  # interrupted in an earlier call
        self._default_failed = False  # since the last trial that was asked for
        self._compared = False  # the default with the untouched weights
        self._to_export = True
        self.slots = Slots(backend, self, work, watcher)

    def run(self) -> Summary:
        """Work until the study is complete, stopped, or interrupted.

        Raises:
            WorkError: a user's fitness function failed on a training's metrics.
        """
        try:
            self._ledger.open()
            self._open_watcher()
            return self._close(self.slots.run())
        except Exception:
            self._ledger.tracker.stop()
            raise

    # -- the source of the loop ------------------------------------------------------------------------------

    def unscored(self) -> Iterable[tuple[Training, Outcome]]:
        """Enter what an earlier driver left, and hand on what it could not score."""
        again, unscored = self._ledger.unfinished()
        self._again.extend(again)
        if again:
            numbers = ", ".join(str(trial.number) for trial in again)
            self._watcher.message(f"running again what was interrupted: trial {numbers}")
        trials = [(self._training(trial), outcome) for trial, outcome in unscored]
        return [*trials, *self._baseline.unscored()]

    def stopped(self) -> bool:
        """Whether the budget is used up."""
        return self._budget.exhausted()

    def next(self, active: int) -> Training | None:
        """An interrupted trial, else one of the default's for the noise, else a new trial while some are wanted.

        The default's own trial comes first of all.
        """
        self._ledger.still_ours()
        if not self._again and self._ledger.tally.ended + len(self._trials) > 0:
            noise = self._baseline.next()
            if noise is not None:
                self._budget.begin()
                return noise
        if not self._budget.wants(active - self._baseline.under_way):
            return None
        if self._default_failed:
            enqueue_default(self._ledger.study, self._plan)
            self._default_failed = False
        if self._again:
            trial = self._again.popleft()
        else:
            trial, lost = self._ledger.ask(under_way=self._trials)
            self._again.extend(lost)
        self._budget.begin()
        return self._training(trial)

    def begun(self, training: Training) -> None:
        """Enter an attempt."""
        if self._baseline.owns(training):
            self._baseline.begun(training)
            return
        self._ledger.begun(self._trials[training.number], training)

    def reported(self, training: Training, step: int, metrics: Metrics, fitness: float) -> bool:  # noqa: ARG002
        """Enter an epoch; True if the pruner wants the trial to stop."""
        if self._baseline.owns(training):
            self._baseline.reported(training)
            return False
        return self._ledger.reported(self._trials[training.number], training, step, fitness)

    def lost(self, training: Training, outcome: Outcome) -> None:
        """Enter an attempt that was lost."""
        if self._baseline.owns(training):
            self._baseline.lost(training, outcome)
            return
        self._ledger.lost(self._trials[training.number], training, outcome)

    def ended(self, training: Training, outcome: Outcome, fitness: float | None) -> None:
        """Enter a trial that is over; the default is measured until it has a result."""
        if self._baseline.owns(training):
            self._baseline.ended(training)
            self._advanced()
            return
        trial = self._trials.pop(training.number)
        self._ledger.ended(trial, training)
        self._budget.count(outcome)
        if fitness is None and trial.user_attrs.get(ORIGIN) == DEFAULT:
            self._default_failed = True
        self._advanced()
        self._to_export = True

    def catch_up(self) -> None:
        """Write the exports, and pass on what MLflow's deliveries have to say."""
        if self._to_export:
            self._export()
        self._pass_on_notices()

    # -- its own ---------------------------------------------------------------------------------------------

    def _training(self, trial: Trial) -> Training:
        self._trials[trial.number] = trial
        return self._ledger.training(trial)

    def _export(self, *, last: bool = False) -> None:
        self._to_export = False
        self._watcher.busy("writing exports")
        try:
            self._ledger.export(last=last)
        except OSError as error:
            self._watcher.message(
                f"exports not written ({error}); the study has everything, and they are tried again after each trial"
            )
        self._watcher.busy("")

    def _advanced(self) -> None:
        """Tell how far the study is, and how it stands."""
        tally = self._ledger.tally
        found = standing(self._ledger.study, trials=tally.noted, among=len(tally.finished))
        number = None if tally.best is None else tally.best.number
        self._watcher.advanced(
            done=tally.generations, best=self._best_value, best_number=number, beside=found.beside
        )
        if tally.defaults and self._baseline.complete and not self._compared:
            self._compared = True
            if warning := worse_than_untouched(found, self._plan):
                self._watcher.found([Finding("warning", warning)])

    def _pass_on_notices(self) -> None:
        for message in self._ledger.tracker.notices():
            self._watcher.message(message)

    def _open_watcher(self) -> None:
        tally = self._ledger.tally
        self._watcher.opened(
            self._ledger.study.study_name,
            total=self._settings.total,
            done=tally.generations,
            best=self._best_value,
            seconds=tally.mean_seconds,
            slots=len(self._backend.slots()),
            epochs=self._plan.settings.get("epochs"),
        )

    def _close(self, end: End) -> Summary:
        failed = self._budget.failed or end.unscored != ""
        stopped = end.unscored or self._budget.spent
        state = "interrupted" if end.interrupted else "stopped" if stopped else "complete"
        status = "KILLED" if end.interrupted else "FAILED" if failed else "FINISHED"
        self._export(last=True)
        undelivered = self._ledger.close(state=state, status=status)
        self._pass_on_notices()
        if end.unscored:
            raise WorkError(
                f"{end.unscored}; nothing is lost: correct the fitness and run the same command again"
            )
        return Summary(
            study=self._ledger.study.study_name,
            folder=self._settings.folder,
            done=self._ledger.tally.generations,
            total=self._settings.total,
            best=self._ledger.tally.best,
            stopped=stopped,
            interrupted=end.interrupted,
            failed=failed,
            tracking_uri=self._ledger.tracker.store.uri,
            experiment_id=self._ledger.tracker.experiment_id,
            parent_run=self._ledger.tracker.parent,
            undelivered=undelivered,
            kept=self._ledger.tracker.kept,
        )

    @property
    def _best_value(self) -> float | None:
        best = self._ledger.tally.best
        return None if best is None else best.value
