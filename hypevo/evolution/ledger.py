"""The books of a study: each trial's folder, Optuna's study, MLflow and the exports, kept in step.

The folder is written first and the study second; MLflow and the exports follow from them. Whatever moment the driver
dies at, the next one finds out from the folder how far a trial had come.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from hypevo.evolution.shown import Shown, origin_tags
from hypevo.files import write_atomically
from hypevo.problem.plan import Plan
from hypevo.problem.settings import EvolveSettings
from hypevo.protocol import Failure, Outcome
from hypevo.study.attributes import (
    ATTEMPTS,
    DEVICE_SECONDS,
    ENDED_AS,
    ENVIRONMENT,
    FAILURE,
    LOSSES,
    REASON,
    RUN,
    SECONDS,
    metric_attributes,
)
from hypevo.study.exports import Exports
from hypevo.study.opening import TRIALS
from hypevo.study.pictures import marks_of
from hypevo.study.pruning import enter
from hypevo.study.search import suggest
from hypevo.study.storage import EXPERIMENT, METRICS, PARENT_RUN
from hypevo.study.tally import ENDED, Tally
from hypevo.tracking.models import BestModel
from hypevo.tracking.tracker import Tracker
from hypevo.trainings.child import Prepared
from hypevo.trainings.record import WEIGHTS, Record, Result
from hypevo.trainings.work import Training
from samplers import TRAINING_SEED

PLAN_FILE = "plan.json"  # what the study was begun with, beside its exports


class Ledger:
    """Writes everything that happens to a study's trials."""

    def __init__(
        self,
        settings: EvolveSettings,
        plan: Plan,
        study: optuna.Study,
        tracker: Tracker,
        *,
        metrics: Sequence[str],
        prepared: Prepared,
        still_ours: Callable[[], None] = lambda: None,
        settle: Callable[..., None] = lambda folder, *, keep: None,  # noqa: ARG005 - the names of an argument
    ) -> None:
        """Keep the books of `study`.

        Args:
            settings: What the user asked for.
            plan: What the study is.
            study: Optuna's.
            tracker: Where MLflow's part goes.
            metrics: Names that the trainer returns; empty when it does not say.
            prepared: What all trials share.
            still_ours: Called before anything is written; raises when another driver has taken the study over.
            settle: The backend's: brings a trial's weights from where it ran, or gives them up.
        """
        self._settle = settle
        self.study = study
        self.tracker = tracker
        self._settings = settings
        self._plan = plan
        self._metrics = metrics
        self._prepared = prepared
        self.still_ours = still_ours
        self._exports = Exports(settings.folder, plan, metrics, still_ours, lambda: marks_of(study))
        self._reported: dict[int, set[int]] = {}  # of repeated trials: the epochs the study has already
        self._shown = Shown(settings, plan, study, tracker, metrics)
        self.tally = Tally(self._trials(*ENDED))

    # -- before the work -----------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the parent run, and save the view that shows its trials."""
        plan, settings = self._plan, self._settings
        params: dict[str, Any] = {
            "sampler": settings.sampler,
            "fitness": plan.fitness,
            "seed": plan.seed,
            "trial_seed": plan.trial_seed,
            "trainer": plan.trainer,
            **{f"trainer.{key}": value for key, value in plan.settings.items()},
        }
        parent = self.tracker.open(
            self.study.user_attrs.get(PARENT_RUN),
            experiment=settings.experiment,
            params=params,
            tags=self.study.user_attrs.get(ENVIRONMENT, {}),
            dataset=plan.settings.get("data"),
            fingerprint=self._prepared.fingerprint,
        )
        known = {PARENT_RUN: parent, EXPERIMENT: self.tracker.experiment_id, METRICS: list(self._metrics)}
        for key, value in known.items():
            if self.study.user_attrs.get(key) != value:
                self.study.set_user_attr(key, value)
        settings.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(settings.folder / PLAN_FILE, plan.to_json(indent=1))
        self.tracker.attach([settings.folder / PLAN_FILE])
        self._shown.opened(self.tally)
        self._sweep_weights()

    def unfinished(self) -> tuple[list[Trial], list[tuple[Trial, Outcome]]]:
        """Take up what an earlier driver left.

        Results that are on disk are entered.

        Returns:
            The trials to be run again, and those whose metrics are on disk and have no fitness yet.
        """
        again, unscored = [], []
        for frozen in self._trials(TrialState.RUNNING):
            trial = Trial(self.study, frozen._trial_id)
            record = self.record(frozen.number)
            current = frozen.user_attrs.get(ATTEMPTS) == record.details.get("attempt")
            if current and (result := record.result) is not None:
                self._enter(trial, record, result)
            elif current and (outcome := record.unscored) is not None:
                unscored.append((trial, outcome))
            else:  # also when the folder is that of an earlier attempt, or of another study
                again.append(trial)
        for frozen in self._trials(*ENDED):
            record = self.record(frozen.number)
            if self.tracker.needs(frozen.number) and record.result is not None:
                self.tracker.update(record)
        return again, unscored

    # -- a trial -------------------------------------------------------------------------------------------

    def ask(self, under_way: Collection[int]) -> tuple[Trial, list[Trial]]:
        """A new trial, and those that a database made for a request whose answer was lost: RUNNING, not `under_way`."""
        trial = self.study.ask()
        known = {*under_way, trial.number}
        lost = [one for one in self._trials(TrialState.RUNNING) if one.number not in known]
        return trial, [Trial(self.study, one._trial_id) for one in lost]

    def training(self, trial: Trial) -> Training:
        """The training that a trial stands for."""
        self.still_ours()
        hyp = {**self._plan.hyp, **suggest(trial, self._plan.space)}
        return Training(
            number=trial.number,
            name=f"trial {trial.number}",
            record=self.record(trial.number),
            hyp=hyp,
            seed=self._plan.training_seed(trial.number),
            tags={"hypevo.sampler": self._settings.sampler, **origin_tags(trial.user_attrs)},
            attempt=int(trial.user_attrs.get(ATTEMPTS, 0)),
            losses=int(trial.user_attrs.get(LOSSES, 0)),
        )

    def begun(self, trial: Trial, training: Training) -> None:
        """Enter an attempt whose folder is open: a result counts only with its own attempt."""
        trial.set_user_attr(ATTEMPTS, training.attempt)
        if training.attempt > 1:
            frozen = self._trials()[trial.number]
            self._reported[trial.number] = set(frozen.intermediate_values)
        self.tracker.update(training.record)

    def reported(self, trial: Trial, training: Training, step: int, fitness: float) -> bool:
        """Enter an epoch that has a fitness; True to stop."""
        self.still_ours()
        self.tracker.update(training.record)
        known = self._reported.setdefault(trial.number, set())
        if fitness != fitness or step in known:
            return False  # nothing to report, or an epoch that was reported before
        known.add(step)
        return enter(self.study, trial, fitness, step)

    def lost(self, trial: Trial, training: Training, outcome: Outcome) -> None:
        """Enter an attempt that was lost, and what it cost.

        Those that ended with their driver are not counted: it is not the trial that was in trouble.
        """
        self.still_ours()
        trial.set_user_attr(LOSSES, training.losses)
        trial.set_user_attr(DEVICE_SECONDS, self._cost(trial, outcome.seconds))

    def ended(self, trial: Trial, training: Training) -> None:
        """Enter how a trial ended, as its folder says, into the study, and have MLflow follow."""
        result = training.record.result
        if result is None:
            raise OSError(
                f"the result of trial {trial.number} cannot be read back from {training.record.folder}"
            )
        self._reported.pop(trial.number, None)
        self._enter(trial, training.record, result)

    def _enter(self, trial: Trial, record: Record, result: Result) -> None:
        self.still_ours()
        attributes: dict[str, float | str] = {
            **metric_attributes(result.metrics),
            SECONDS: result.seconds,
            TRAINING_SEED: self._plan.training_seed(trial.number),
            DEVICE_SECONDS: self._cost(trial, result.seconds),
            ENDED_AS: self.tally.ended,
        }
        if (run := self.tracker.run_id(trial.number)) is not None:
            attributes[RUN] = run
        if result.failure is not None:
            attributes |= {FAILURE: result.failure.value, REASON: result.reason}
        for name, value in attributes.items():
            trial.set_user_attr(name, value)
        self._shown.ending(trial, record.folder, result)
        before = self.tally.best
        if result.failure is None:
            self.study.tell(trial, result.fitness)
        else:
            pruned = result.failure is Failure.PRUNED
            self.study.tell(trial, state=TrialState.PRUNED if pruned else TrialState.FAIL)
        # The storage's own trial is kept: `tell` returns a copy, of some 20 kB.
        self.tally.add(self._trials()[trial.number])
        if result.failure is None:
            self._shown.finished(self.tally)
        self._drop_weights(record, before)
        self.tracker.update(record)

    # -- after the work ------------------------------------------------------------------------------------

    def export(self, *, last: bool = False) -> None:
        """Write the exports again, if anything has finished; `last` when no more trials follow.

        Raises:
            OSError: a file cannot be written; the older one is as it was.
        """
        if self.tally.finished:
            self.still_ours()
            files = self._exports.write(self.tally.finished, last=last)
            self.tracker.attach(files)
            self._shown.drawn(files)

    def close(self, *, state: str, status: str) -> int:
        """End the parent run; returns how many trials MLflow has not got yet."""
        best = self.tally.best
        self._shown.closing(self.tally)
        if best is not None and state != "interrupted":
            record, pyfunc = self.record(best.number), self._prepared.pyfunc
            self.tracker.keep(BestModel(record, pyfunc, self._settings.register))
        return self.tracker.close(status, state)

    def record(self, number: int) -> Record:
        """The folder of a trial."""
        return Record(self._settings.folder / TRIALS / f"{number:04d}", number, self.still_ours)

    def _cost(self, trial: Trial, seconds: float) -> float:
        """Device time of a trial with its earlier attempts; one that shares its device counts in part."""
        share = seconds / self._settings.slots_per_device
        return round(float(trial.user_attrs.get(DEVICE_SECONDS, 0.0)) + share, 3)

    def _drop_weights(self, record: Record, best_before: FrozenTrial | None) -> None:
        """Delete the weights that the policy does not keep, now that a trial has ended."""
        policy, best = self._settings.keep_weights, self.tally.best
        if policy == "all":
            return
        keep = policy == "best" and best is not None and best.number == record.number
        self._settle(record.folder, keep=keep)  # before the older ones are deleted
        if keep:
            if best_before is None:
                return
            record = self.record(best_before.number)
        shutil.rmtree(record.folder / WEIGHTS, ignore_errors=True)

    def _sweep_weights(self) -> None:
        """Delete the weights that the policy does not keep and a crash has left."""
        policy, best = self._settings.keep_weights, self.tally.best
        for trial in self.tally.finished if policy != "all" else ():
            keep = policy == "best" and trial is best
            self._settle(self.record(trial.number).folder, keep=keep)  # of a driver that died before it asked
            if not keep:
                shutil.rmtree(self.record(trial.number).folder / WEIGHTS, ignore_errors=True)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)
