"""Keeps MLflow in step with a study's trial folders.

The folders are read and sent by a thread of its own, so that a slow or absent server never delays a training; what
could not be delivered is delivered by the next start.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from hypevo.messages import hidden
from hypevo.protocol import Failure
from hypevo.tracking import outbox
from hypevo.tracking.artifacts import artifacts
from hypevo.tracking.curve import Curve
from hypevo.tracking.description import describe, introduce
from hypevo.tracking.experiment import experiment_id
from hypevo.tracking.failures import FAILURES, line, refused
from hypevo.tracking.inherited import Inherited, look_up, taken_from_environment
from hypevo.tracking.machine import Machine
from hypevo.tracking.models import BestModel, Kept, keep
from hypevo.tracking.names import metric_name, text
from hypevo.tracking.outbox import Outbox, Refused, Tell, Turn
from hypevo.tracking.patience import patiently
from hypevo.tracking.provenance import dataset_inputs
from hypevo.tracking.runs import KIND, SINGLE, Runs
from hypevo.tracking.store import Store
from hypevo.tracking.verdict import Above, Verdict
from hypevo.trainings.record import Record

LONGEST_PATIENCE = 600.0  # seconds for which a store that answers slowly is waited for at an end


class Tracker:
    """Keeps one study's runs in step with its trial folders."""

    def __init__(
        self,
        study: str,
        store: Store,
        *,
        weights: bool = False,
        system_metrics: bool = False,
        tell: Tell | None = None,
        title: str = "",
        still_ours: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to track `study`.

        Args:
            study: Its name.
            store: Where its runs are; asked by `open` and not before.
            weights: Whether a trial's weights are stored with its run.
            system_metrics: Whether MLflow measures this machine meanwhile.
            tell: Is told at once what the user waits for; without it that is among the `notices`.
            title: The name of the study's run; «evolve STUDY» unless given.
            still_ours: Called before each delivery; raises a WorkError when another driver has taken the study over.
        """
        self.study = study
        self.store = store
        self.kept = Kept()  # what became of the model that was to be kept
        self._title = title or f"evolve {study}"  # what the study's run is called
        self._weights = weights
        self._still_ours = still_ours
        self._early: list[str] = []  # notices from before the first delivery
        self._tell = tell
        self._runs: Runs | None = None
        self._curve = Curve()
        self._machine = Machine(store.uri, wanted=system_metrics)
        self._refused: set[int] = set()  # trials whose run MLflow will not change, as one that was deleted
        self._outbox = Outbox("MLflow", self._send)

    @property
    def parent(self) -> str:
        """The run id of the study; empty for a single training, and before `open`."""
        return "" if self._runs is None else self._runs.parent

    @property
    def experiment_id(self) -> str:
        """MLflow's experiment; empty before `open`."""
        return "" if self._runs is None else self._runs.experiment_id

    def open(
        self,
        known: str | None,
        *,
        experiment: str | None,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        dataset: str | None,
        fingerprint: str = "",
    ) -> str:
        """Open the study's parent run: the `known` one, or the one that `mlflow run` made, or a new one.

        A new one is made in `experiment`, the option that was given; None for MLflow's own variables, or ours.

        Returns:
            Its id.

        Raises:
            InputError: MLflow does not answer, or refuses.
        """
        run_id = taken_from_environment()

        def attempt() -> Inherited:
            runs = self._connected(dataset, fingerprint)
            inherited = look_up(run_id, runs, hidden(self.store.uri))
            run = runs.get(known)
            if run is None or not runs.belongs(run):
                run = inherited.own
            if run is None:
                run = runs.client.get_run(runs.create_parent(self._experiment(inherited, experiment)))
            runs.begin(run, params, {**inherited.tags, **tags})
            inherited.continued(runs)
            return inherited

        self._begin(attempt)
        return self.parent

    def open_single(
        self,
        experiment: str | None,
        dataset: str | None,
        fingerprint: str = "",
        above: Above | None = None,
    ) -> None:
        """Begin for one training; the run that `mlflow run` made for it becomes its run.

        It is shown below the run `above`, in the same experiment unless the user names another.
        """
        run_id = taken_from_environment()
        experiment = experiment or (above.experiment if above else None)

        def attempt() -> Inherited:
            runs = self._connected(dataset, fingerprint)
            inherited = look_up(run_id, runs, hidden(self.store.uri))
            if inherited.own is None:
                runs.experiment_id = self._experiment(inherited, experiment)
            else:
                runs.experiment_id = inherited.own.info.experiment_id
                runs.adopted = inherited.own.info.run_id
                runs.client.update_run(runs.adopted, status="RUNNING")
            runs.tags = inherited.tags | (above.tags | {KIND: SINGLE} if above else {})
            return inherited

        self._begin(attempt)

    def run_id(self, number: int) -> str | None:
        """The run of a trial, once it exists."""
        return self._opened.trials.get(number)

    def needs(self, number: int) -> bool:
        """Whether the run of a finished trial is missing or still open."""
        return number not in self._opened.trials or number in self._opened.open

    def notices(self) -> list[str]:
        """What a user should know of the deliveries, each sentence once."""
        early, self._early = self._early, []
        return early + self._outbox.notices()

    def update(self, record: Record) -> None:
        """Bring the run of a trial up to date, soon."""
        self._outbox.put(("trial", record.number), record, Turn.FIRST)

    def attach(self, files: Iterable[Path], folder: str | None = None) -> None:
        """Store files as artifacts of the parent run, soon; only their latest content counts."""
        for path in files:
            self._outbox.put(("file", path), folder)

    def progress(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log metrics of the study itself, soon; a step that the parent run has already is left out."""
        self._curve.add(step, metrics)
        self._outbox.put(("progress", ""), self._curve.send)

    def crown(self, number: int) -> None:
        """Mark the run of the best trial, soon."""
        self._outbox.put(("best", ""), lambda runs: runs.crown(number))

    def describe(self, note: str) -> None:
        """Have the study's run say what it is, in Markdown, soon."""
        self._outbox.put(("note", ""), lambda runs: describe(runs.client, runs.parent, note))

    def judge(self, verdict: Verdict) -> None:
        """Have MLflow show a confirmation's verdict, soon."""
        self._outbox.put(("verdict", ""), verdict.write)

    def keep(self, model: BestModel) -> None:
        """Log the best model, once, and register it where that is asked, soon; `kept` tells what became of it."""
        self.kept = Kept(refused="MLflow does not answer; the same command does it when it does")

        def send(runs: Runs) -> None:
            self.kept = keep(runs, model)

        self._outbox.put(("model", model.record.number), send)

    def add_view(self, name: str, value: str) -> None:
        """Save a chart view with the experiment, soon."""
        self._outbox.put(
            ("view", name), lambda runs: runs.client.set_experiment_tag(runs.experiment_id, name, value)
        )

    def close(self, status: str, state: str, patience: float | None = None) -> int:
        """Deliver what is left, and end the parent run; returns how many trials and verdicts are not delivered.

        It takes `patience` seconds at most; without it as long as `drain`, and `outbox.GIVE_UP` after an interrupt.
        """
        self._outbox.put(("end", state), status, Turn.LAST)
        if patience is None and state == Failure.INTERRUPTED:
            patience = outbox.GIVE_UP
        return self.drain(patience)

    def drain(self, patience: float | None = None) -> int:
        """Deliver what is left, for `patience` seconds at most; returns how many records are not delivered.

        Without `patience` it takes ten minutes at most, and `outbox.GIVE_UP` while nothing at all can be sent.

        Raises:
            KeyboardInterrupt: a user does not want to wait.
        """
        self._machine.end()  # before the run has ended
        limits = (LONGEST_PATIENCE, outbox.GIVE_UP) if patience is None else (patience, patience)
        left = self._outbox.close(limits[0], self._tell or self._early.append, away=limits[1])
        return sum(kind in ("trial", "verdict") for kind, _ in left)

    def stop(self) -> None:
        """Send nothing more, and leave the runs as they are: the next start delivers, and perhaps it has begun."""
        self._machine.end()
        self._outbox.stop()

    # -- opening -------------------------------------------------------------------------------------------

    @property
    def _opened(self) -> Runs:
        if self._runs is None:
            raise RuntimeError("Tracker.open comes before anything else")
        return self._runs

    def _connected(self, dataset: str | None, fingerprint: str) -> Runs:
        """The study's runs, the same at every try to open."""
        if self._runs is None:
            self._runs = Runs(self.store.connect(), self.study, self._title)
            self._runs.inputs = dataset_inputs(dataset, fingerprint)
        return self._runs

    def _experiment(self, inherited: Inherited, option: str | None) -> str:
        """The id of the experiment for new runs."""
        return experiment_id(self.store, self._opened.client, option, inherited.experiment)

    def _begin(self, attempt: Callable[[], Inherited]) -> None:
        if notice := patiently(attempt, self.store.uri, self._say).notice:
            self._say(notice)
        if self._machine.unseen:
            self._say(self._machine.unseen)
        for run in self._opened.older:
            rename = functools.partial(Runs.rename_metrics, run=run)
            self._outbox.put(("names", run), rename, Turn.FIRST)
        self._outbox.put(("about", ""), lambda runs: introduce(runs.client, runs.experiment_id))
        self._outbox.start()

    def _say(self, notice: str) -> None:
        (self._tell or self._early.append)(notice)

    # -- in the outbox's thread ----------------------------------------------------------------------------

    def _send(self, key: tuple[str, Any], item: Any) -> None:
        kind, which = key
        runs = self._opened
        self._still_ours()
        try:
            match kind:
                case "trial":
                    self._deliver(item)
                case "end":
                    waiting = {number for kind, number in self._outbox.left() if kind == "trial"}
                    runs.end(runs.open - waiting, which, item)
                case "file":
                    if which.exists():
                        runs.log_file(runs.parent, which, PurePath(item or "", which.name))
                case _:
                    item(runs)
        except (*FAILURES, ValueError) as error:
            if not refused(error):
                raise
            if kind == "trial":
                self._refused.add(which)
            raise Refused(text(f"{kind} {which}: {line(error)}")) from error

    def _deliver(self, record: Record) -> None:
        details = record.details
        if not details or record.number in self._refused:
            return  # its folder is being made anew for another attempt, which comes here next; or its run was deleted
        result = record.result  # before the epochs: when there is a result, all of them are there
        epochs = record.epochs
        run = self._opened.trial(record.number, details)
        steps = [(e.step, e.time_ms, {metric_name(k): v for k, v in e.metrics.items()}) for e in epochs]
        self._opened.log_steps(run, steps)
        if result is None:
            self._opened.reopen(record.number)
            self._machine.watch(self.parent or run)
        else:
            files = artifacts(record.folder, weights=self._weights)
            self._opened.finish(record.number, result, files, details.get("tags", {}))
