"""The books of a study: each trial's folder, Optuna's study, MLflow and the exports, kept in step.

The folder is written first and the study second; MLflow and the exports follow from them. Whatever moment the driver
dies at, the next one finds out from the folder how far a trial had come.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from hypevo.charts import view_tag
from hypevo.exports import Exports, metrics_of
from hypevo.protocol import Failure, Hyp, Metrics, Outcome
from hypevo.provenance import provenance
from hypevo.record import RESULT, Record
from hypevo.results import column
from hypevo.settings import EvolveSettings
from hypevo.storage import EXPERIMENT, PARENT_RUN, Plan, finished
from hypevo.tracking import Tracker

ATTEMPTS, FAILURE, REASON, RUN, LINEAGE = "attempts", "failure", "reason", "mlflow_run_id", "lineage"


class Ledger:
    """Writes everything that happens to a study's trials."""

    def __init__(
        self,
        settings: EvolveSettings,
        plan: Plan,
        metrics: Sequence[str],
        study: optuna.Study,
        tracker: Tracker,
    ) -> None:
        self.study = study
        self.tracker = tracker
        self._settings = settings
        self._plan = plan
        self._metrics = metrics
        self._exports = Exports(settings.folder, plan, metrics)

    # -- the study -----------------------------------------------------------------------------------------

    @property
    def done(self) -> int:
        """Trials that count as generations: complete or pruned."""
        return len(self._trials(TrialState.COMPLETE, TrialState.PRUNED))

    @property
    def best(self) -> FrozenTrial | None:
        """The fittest trial, the earliest of equally fit ones."""
        return max(finished(self.study), key=lambda trial: (trial.value, -trial.number), default=None)

    @property
    def mean_seconds(self) -> float:
        """Mean duration of the finished trials; nan for none."""
        seconds = [float(t.user_attrs["seconds"]) for t in finished(self.study) if "seconds" in t.user_attrs]
        return sum(seconds) / len(seconds) if seconds else math.nan

    # -- before the work -----------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the parent run, and save the view that shows its trials."""
        plan, settings = self._plan, self._settings
        params: dict[str, Any] = {
            "sampler": settings.sampler,
            "fitness": plan.fitness,
            "seed": plan.seed,
            **{f"trainer.{key}": value for key, value in plan.settings.items()},
        }
        parent = self.tracker.open(
            self.study.user_attrs.get(PARENT_RUN),
            experiment=settings.experiment,
            params=params,
            tags=provenance(),
            dataset=plan.settings.get("data"),
        )
        for key, value in ((PARENT_RUN, parent), (EXPERIMENT, self.tracker.experiment_id)):
            if self.study.user_attrs.get(key) != value:
                self.study.set_user_attr(key, value)
        losses = [f"train/{name}" for name in self._metrics if name.endswith("_loss")]
        shown = ["fitness", *(column(name) for name in self._metrics), *losses]
        genes = [gene.name for gene in plan.space.movable]
        self.tracker.add_view(*view_tag(self.study.study_name, parent, genes, shown))

    def unfinished(self) -> list[Trial]:
        """Take up what an earlier driver left.

        Results that are on disk are entered; the trials returned have none and are to be run again.
        """
        left = []
        for frozen in self._trials(TrialState.RUNNING):
            trial = Trial(self.study, frozen._trial_id)
            record = self._record(frozen.number)
            if record.result is None:
                left.append(trial)
            else:
                self.enter(trial, record)
        for frozen in self._trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
            record = self._record(frozen.number)
            if self.tracker.needs(frozen.number) and record.result is not None:
                self.tracker.update(record)
        return left

    # -- a trial -------------------------------------------------------------------------------------------

    def begin(self, trial: Trial, hyp: Hyp, *, seed: int, device: str) -> tuple[Record, int]:
        """Open a trial's folder and run; returns its record and which attempt this is, counted from 1."""
        attempt = int(trial.user_attrs.get(ATTEMPTS, 0)) + 1
        trial.set_user_attr(ATTEMPTS, attempt)
        origin = {f"hypevo.{k}": str(v) for k, v in trial.user_attrs.items() if k in ("origin", LINEAGE)}
        tags = {"hypevo.seed": str(seed), "hypevo.device": device, "hypevo.sampler": self._settings.sampler}
        record = self._record(trial.number)
        record.start(hyp, {"attempt": attempt, "seed": seed, "device": device, "tags": tags | origin})
        self.tracker.update(record)
        return record, attempt

    def report(self, trial: Trial, record: Record, step: int, metrics: Metrics, fitness: float) -> bool:
        """Write down an epoch; True if the pruner wants the trial to stop."""
        known = {"fitness": fitness} if math.isfinite(fitness) else {}
        record.add_epoch(step, {**metrics, **known})
        self.tracker.update(record)
        if not known or step in self._trials()[trial.number].intermediate_values:
            return False  # nothing to report, or a repeated trial that reported this epoch before
        trial.report(fitness, step)
        return trial.should_prune()

    def enter(self, trial: Trial, record: Record) -> None:
        """Enter the result in a finished trial's folder into the study, and have MLflow follow."""
        result = record.result
        if result is None:
            raise RuntimeError(f"trial {record.number} has no result in {record.folder}")
        for name, value in {**result.metrics, "seconds": result.seconds}.items():
            trial.set_user_attr(name, value)
        run = self.tracker.run_id(trial.number)
        if run is not None:
            trial.set_user_attr(RUN, run)
        if result.failure is None:
            self.study.tell(trial, result.fitness)
            self._keep_weights()
        else:
            trial.set_user_attr(FAILURE, result.failure.value)
            trial.set_user_attr(REASON, result.reason)
            pruned = result.failure is Failure.PRUNED
            self.study.tell(trial, state=TrialState.PRUNED if pruned else TrialState.FAIL)
            if self._settings.keep_weights != "all":
                shutil.rmtree(record.folder / "weights", ignore_errors=True)
        self.tracker.update(record)
        best = self.best
        if best is not None and best.value is not None:
            metrics = {column(name): value for name, value in metrics_of(best, self._metrics).items()}
            self.tracker.progress(
                self.done, {"fitness": best.value, "best_trial": float(best.number), **metrics}
            )

    def finish(self, trial: Trial, record: Record, outcome: Outcome, fitness: float | None) -> None:
        """Write down how a trial ended."""
        record.finish(outcome, fitness)
        self.enter(trial, record)

    # -- after the work ------------------------------------------------------------------------------------

    def export(self, *, last: bool = False) -> None:
        """Write the exports again, if anything has finished; `last` when no more trials follow.

        Raises:
            OSError: a file cannot be written; the older one is as it was.
        """
        trials = finished(self.study)
        if trials:
            self.tracker.attach(self._exports.write(trials, last=last))

    def close(self, *, state: str, status: str) -> int:
        """End the parent run; returns how many trials MLflow has not got yet."""
        best = self.best
        if best is not None and state != "interrupted":
            self.tracker.attach(sorted((self._record(best.number).folder / "weights").glob("*")), "weights")
        return self.tracker.close(status, state)

    def _keep_weights(self) -> None:
        """Keep on disk the weights that the policy says."""
        policy = self._settings.keep_weights
        if policy == "all":
            return
        best = self.best if policy == "best" else None
        kept = None if best is None else self._record(best.number).folder
        for weights in (self._settings.folder / "trials").glob("*/weights"):
            still_training = not (weights.parent / RESULT).exists()
            if weights.parent != kept and not still_training:
                shutil.rmtree(weights, ignore_errors=True)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    def _record(self, number: int) -> Record:
        return Record(self._settings.folder / "trials" / f"{number:04d}", number)
