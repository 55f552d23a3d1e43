"""One training with given hyperparameters: the same process, records and tracking as a trial, without a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hypevo.messages import refuse
from hypevo.preflight import individual, preflight_training
from hypevo.problem.settings import TrainSettings
from hypevo.problem.space import Space
from hypevo.protocol import Failure, InputError, Outcome, Value
from hypevo.results.pictures.curve import plot_pr_curve
from hypevo.retraining.tracked import Tracked
from hypevo.study.attributes import metrics_of
from hypevo.study.exports import trained_with
from hypevo.study.storage import METRICS, PARENT_RUN, finished, load_plan, load_study, trained_by
from hypevo.tracking.models import BestModel, Kept
from hypevo.tracking.provenance import provenance
from hypevo.tracking.store import Store
from hypevo.tracking.tracker import Tracker
from hypevo.tracking.verdict import found_above
from hypevo.trainings import make_backend
from hypevo.trainings.record import Record
from hypevo.trainings.slots import Slots
from hypevo.trainings.work import Training, Watcher, Work

PR_CURVE = "pr_curve.csv"  # where a trainer leaves precision over recall, if it does
Individual = tuple[Space, dict[str, Value]]


@dataclass(frozen=True)
class Trained:
    """How a single training ended.

    Attributes:
        outcome: Its metrics, or its failure.
        folder: Everything of it.
        undelivered: Whether MLflow has not got it.
        kept: What became of its model.
    """

    outcome: Outcome
    folder: Path
    undelivered: bool
    kept: Kept


@dataclass(frozen=True)
class Repeat:
    """A finished trial of a study, to be trained again as it was."""

    settings: TrainSettings
    individual: Individual
    metrics: Mapping[str, float]  # what the trial had returned
    study_run: str | None  # of the study, in MLflow


class _Single(Tracked):
    """One training, as the source of the loop."""

    def __init__(self, training: Training, tracker: Tracker, watcher: Watcher, model: BestModel) -> None:
        super().__init__(tracker, watcher)
        self._model = model
        self._training: Training | None = training
        self.outcome = Outcome(failure=Failure.INTERRUPTED, reason="by the user")

    def next(self, active: int) -> Training | None:  # noqa: ARG002 - there is one only
        training, self._training = self._training, None
        return training

    def ended(self, training: Training, outcome: Outcome, fitness: float | None) -> None:  # noqa: ARG002
        self.outcome = outcome
        curve = training.record.folder / PR_CURVE
        if curve.is_file():
            plot_pr_curve(curve, curve.with_suffix(".png"))
        self._tracker.update(training.record)
        self._watcher.advanced(done=1, best=None, best_number=None)
        if outcome.failure is None and (self._model.pyfunc or self._model.register):
            self._tracker.keep(self._model)


def train_once(
    settings: TrainSettings, watcher: Watcher, chosen: Individual | None = None, study_run: str | None = None
) -> Trained:
    """Train, and return how it ended.

    Args:
        settings: The trainer, its options, the seed, the places.
        watcher: Told what happens.
        chosen: Space and hyperparameters; those of `settings.space` and `settings.hyp` unless given.
        study_run: The run of the study in MLflow that its run is to be shown below.

    Raises:
        InputError: before anything is trained.
    """
    backend = make_backend(
        settings.trainer, device=settings.device, placed=settings, out=settings.out, tell=watcher.message
    )
    try:
        space, hyp = chosen or individual(settings, backend)
        checked = preflight_training(settings, space, hyp, backend, of_a_study=chosen is not None)
        watcher.found(checked.findings)
        refuse(checked.errors)
        store = Store.default()
        store.check()
        inspection = checked.inspection
        prepared = backend.prepare(inspection.trainer, inspection.settings, settings.cache.resolve())
        folder = _new_folder(settings.out, settings.training_name, given=settings.name is not None)
        tracker = Tracker(
            folder.name,
            store,
            weights=prepared.pyfunc is None,
            system_metrics=settings.system_metrics,
            tell=watcher.message,
        )
        tracker.open_single(
            settings.experiment,
            inspection.settings.get("data"),
            prepared.fingerprint,
            above=found_above(store, study_run, watcher.message) if study_run else None,
        )
        training = Training(
            number=0,
            name=folder.name,
            record=Record(folder, 0),
            hyp=hyp,
            seed=settings.seed,
            tags=provenance(prepared.fingerprint, prepared.versions),
            params={f"trainer.{name}": value for name, value in inspection.settings.items()},
        )
        model = BestModel(training.record, prepared.pyfunc, settings.register)
        source = _Single(training, tracker, watcher, model)
        work = Work(
            inspection.trainer,
            prepared.settings,
            checked.fitness,
            settings.retries,
            settings.trial_timeout,
            declared=inspection.metrics,
            weights=inspection.weights,
        )
        epochs = prepared.settings.get("epochs")
        watcher.opened(folder.name, total=1, done=0, best=None, seconds=float("nan"), slots=1, epochs=epochs)
        end = Slots(backend, source, work, watcher).run()
        if end.interrupted or end.unscored:
            if end.unscored:
                metrics = (training.record.unscored or Outcome()).metrics
                source.outcome = Outcome(metrics, failure=Failure.CRASHED, reason=end.unscored)
            training.record.end(source.outcome, None)
            tracker.update(training.record)
        undelivered = tracker.drain()
        source.catch_up()
        return Trained(source.outcome, folder, undelivered > 0, tracker.kept)
    finally:
        backend.close()


def repeat_of(number: int, study: str | None, settings: TrainSettings) -> Repeat:
    """What it takes to train trial `number` of a study again: its trainer, options, hyperparameters and seed.

    Raises:
        InputError: there is no such study, or the trial has not finished.
    """
    found = load_study(settings.storage, study)
    plan = load_plan(found)
    trials = {trial.number: trial for trial in finished(found)}
    if number not in trials:
        known = (
            f"{len(trials)} trials have finished, the last of them trial {max(trials)}"
            if trials
            else "none has"
        )
        raise InputError(f"study «{found.study_name}»: there is no finished trial {number}; {known}")
    again = replace(
        settings,
        trainer=plan.trainer,
        options={**trained_by(found), **settings.options},
        fitness=plan.fitness,
        seed=plan.training_seed(number),
        name=settings.name or f"{found.study_name}-trial-{number}",
    )
    trial = trials[number]
    metrics = metrics_of(trial, found.user_attrs.get(METRICS, ()))
    return Repeat(again, (plan.space, trained_with(trial, plan)), metrics, found.user_attrs.get(PARENT_RUN))


def _new_folder(out: Path, name: str, *, given: bool) -> Path:
    """A folder that is not there yet: the name as given, or the first free number behind it."""
    candidates = (
        out / (name if number == 1 and given else f"{name}-{number}") for number in range(1, 1_000_000)
    )
    return next(folder for folder in candidates if not folder.exists())
