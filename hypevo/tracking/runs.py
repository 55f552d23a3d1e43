"""The runs of one study in MLflow: its own run, the parent, and one run per trial. Every call bears repetition.

Runs are addressed by their ids through `MlflowClient`, never through MLflow's global active run.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Metric, Param, Run, RunStatus, RunTag
from mlflow.exceptions import MlflowException

from hypevo.protocol import Failure
from hypevo.tracking.artifacts import store_file
from hypevo.tracking.crown import Crown
from hypevo.tracking.failures import refused
from hypevo.tracking.names import metric_name, older_names, plain_name, text
from hypevo.tracking.provenance import origin
from hypevo.tracking.titles import NOTE, ended, failure_note, given_by_us, running
from hypevo.trainings.record import Result

KIND = "hypevo.kind"  # tag of trainings that are no trials of a search
SINGLE = "training"  # the kind of one that is shown below the study whose trial it repeats
PARENT, TRIAL, STUDY, STATE = "mlflow.parentRunId", "hypevo.trial", "hypevo.study", "hypevo.state"
REQUEST = "hypevo.request"  # a parent run is found by it when the answer to its creation was lost
STEP = "epoch"  # logged with every step, last: where it is, all of the step is
_PORTION, _METRICS = 100, 1000  # parameters or tags, and metrics, that MLflow takes in one batch
_LARGEST = 1.7976931348623157e308  # MLflow's databases keep an infinite value as this one

Step = tuple[int, int, Mapping[str, float]]  # number, time in ms, values by MLflow's names


class Runs:
    """What MLflow holds of one study."""

    def __init__(self, client: MlflowClient, study: str, title: str) -> None:
        self.client = client
        self.study = study
        self.title = title  # the name of the study's run
        self.parent = ""  # the run id of the study, empty for a single training
        self.experiment_id = ""
        self.adopted: str | None = None  # the run that a single training shall have
        self.inputs: list[DatasetInput] = []
        self.tags: dict[str, str] = {}  # of each trial's run
        self.trials: dict[int, str] = {}  # trial number -> run id
        self.open: set[int] = set()  # trials whose run says RUNNING, or was interrupted
        self.older: list[str] = []  # runs with metrics under names that version 0.1 gave them
        self._best = -1  # the trial that is to be marked
        self._crown = Crown(client)
        self._bare: set[int] = set()  # trials whose run has no parameters yet
        self._unsure = False  # the answer to the last request for a new run was lost
        self._request = uuid.uuid4().hex
        self._held: dict[str, set[int]] = {}  # run id -> steps it holds

    # -- the study's own run -------------------------------------------------------------------------------

    def get(self, run: str | None) -> Run | None:
        """A run that can be written to; None for one of another store, or a deleted one."""
        if not run:
            return None
        try:
            found = self.client.get_run(run)
        except MlflowException as error:
            if refused(error):
                return None
            raise
        return found if found.info.lifecycle_stage == "active" else None

    def belongs(self, run: Run) -> bool:
        """Whether a run is this study's own one, or nobody's."""
        return run.data.tags.get(STUDY, self.study) == self.study and TRIAL not in run.data.tags

    def create_parent(self, experiment: str) -> str:
        """Make the run of the study, once."""
        wanted = f"tags.`{REQUEST}` = '{self._request}'"
        if made := self.client.search_runs([experiment], wanted, max_results=1):  # its answer was lost
            return str(made[0].info.run_id)
        tags = {STUDY: self.study, REQUEST: self._request, **origin()}
        return str(self.client.create_run(experiment, tags=tags, run_name=text(self.title)).info.run_id)

    def begin(self, parent: Run, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Open the study's run, write what the study is, and learn which trials have runs."""
        self.parent, self.experiment_id = parent.info.run_id, parent.info.experiment_id
        self.client.update_run(self.parent, status="RUNNING", name=text(self.title))
        known = parent.data.params
        new = {key: value for key, value in params.items() if plain_name(key) not in known}
        self.log(self.parent, params=new, tags={STUDY: self.study, STATE: "running", **tags})
        if parent.inputs is None or not parent.inputs.dataset_inputs:
            self.client.log_inputs(self.parent, self.inputs)
        self.older = []
        self._note_older(parent)
        self.find_trials()

    def end(self, trials: Iterable[int], state: str, status: str) -> None:
        """Close the runs of trials that were interrupted, and the study's own."""
        if self.parent:
            self.find_trials()  # a driver that was killed may have asked for runs that MLflow has made only since
        for number in sorted(trials):  # the next start opens them again
            self.log(self.trials[number], tags={STATE: Failure.INTERRUPTED.value})
            self.client.set_terminated(self.trials[number], status_of(Failure.INTERRUPTED))
        if self.parent:
            self.log(self.parent, tags={STATE: state})
            self.client.set_terminated(self.parent, status)

    # -- the trials' runs ----------------------------------------------------------------------------------

    def find_trials(self) -> None:
        """Learn which trials have a run already: a crash may have left one open that no trial knows of."""
        wanted = (
            f"tags.`{PARENT}` = '{self.parent}'" if self.parent else f"tags.`{REQUEST}` = '{self._request}'"
        )
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id],
                wanted,
                max_results=1000,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            for run in page:
                number = run.data.tags.get(TRIAL, "")
                ours = run.data.tags.get(STUDY) == self.study and run.data.tags.get(KIND) != SINGLE
                if number.isdecimal() and ours:
                    self._take_up(int(number), run)
            token = page.token
            if not token:
                return

    def trial(self, number: int, details: Mapping[str, Any]) -> str:
        """The run of a trial, made if it is not there, with its parameters."""
        if number not in self.trials and self._unsure:
            self.find_trials()
        tags = {STUDY: self.study, TRIAL: str(number), STATE: "running", **origin(), **self.tags}
        tags |= details.get("tags", {})
        tags |= {PARENT: self.parent} if self.parent else {REQUEST: self._request}
        run = self.trials.get(number, self.adopted)
        if run is None:
            usual = running(number) if self.parent else self.study
            name = text(details["name"] if KIND in tags else usual)
            begun = details.get("time_ms")
            self._unsure = True
            given = {key: text(value) for key, value in tags.items()}
            created = self.client.create_run(self.experiment_id, start_time=begun, tags=given, run_name=name)
            self._unsure = False
            run = str(created.info.run_id)
        if number not in self.trials:
            self.trials[number] = run
            self.open.add(number)
            self._bare.add(number)
        if number in self._bare:
            known = self.client.get_run(run).data.params if self.adopted else {}
            params = {**details["hyp"], **details.get("params", {})}
            new = {key: value for key, value in params.items() if plain_name(key) not in known}
            self.client.log_inputs(run, self.inputs)  # first: parameters are the sign that all is there
            self.log(run, params=new, tags=tags)
            self._bare.discard(number)
        return run

    def reopen(self, number: int) -> None:
        """Have the run of a trial say that it runs."""
        if number not in self.open:
            self.client.update_run(self.trials[number], status="RUNNING")
            self.log(self.trials[number], tags={STATE: "running"})
            self.open.add(number)

    def finish(
        self,
        number: int,
        result: Result,
        files: Iterable[tuple[Path, PurePath]],
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a trial's result into its run and end it.

        The final metrics belong to the last epoch. They are logged once more, at a step of their own, only where the
        run shows other values: a trainer may return something else than it reported, and a trial that was run again
        may have come out differently.

        Args:
            number: The trial.
            result: How it ended.
            files: What to store with the run, each with its path there.
            tags: The last attempt's: where it ran.
        """
        if number not in self.open:
            return
        run = self.trials[number]
        final = {metric_name(name): value for name, value in result.metrics.items()}
        if result.fitness is not None:
            final["fitness"] = result.fitness
        before, tags = self.client.get_run(run), tags or {}
        shown = before.data.metrics
        if not all(name in shown and _same(shown[name], value) for name, value in final.items()):
            step = self.last_step(run) + 1  # the same at every try to send it
            self._log_metrics(run, [Metric(key, value, result.time_ms, step) for key, value in final.items()])
        for path, inside in files:
            self.log_file(run, path, inside)
        end = {STATE: result.failure or "complete", "hypevo.seconds": f"{result.seconds:.1f}"}
        if result.reason:
            end["hypevo.reason"] = result.reason
        if result.failure is not None:
            end[NOTE] = failure_note(result.failure, result.reason, tags.get(NOTE, ""))
        self.log(run, tags={**tags, **end})
        if self.parent and KIND not in tags and given_by_us(before.info.run_name):
            self.client.update_run(run, name=ended(number, result.fitness, result.failure))
        if number == self._best:
            self._crown.give(run)
        self.client.set_terminated(run, status_of(result.failure), end_time=result.time_ms)
        self.open.discard(number)
        self._held.pop(run, None)  # a study has thousands of them

    def crown(self, number: int) -> None:
        """Mark the best trial's run; one that has no run yet is marked when it is finished."""
        self._best = number
        self._crown.give(self.trials.get(number))

    # -- any run -------------------------------------------------------------------------------------------

    def log(
        self, run: str, params: Mapping[str, Any] | None = None, tags: Mapping[str, Any] | None = None
    ) -> None:
        """Parameters and tags, in portions that MLflow takes."""
        given = [Param(plain_name(key), text(value)) for key, value in (params or {}).items()]
        marks = [RunTag(key, text(value)) for key, value in (tags or {}).items()]
        for start in range(0, max(len(given), len(marks)), _PORTION):
            part = slice(start, start + _PORTION)
            self.client.log_batch(run, params=given[part], tags=marks[part])

    def log_steps(self, run: str, steps: Iterable[Step]) -> None:
        """Log the steps that a run does not hold yet, as many as MLflow takes at once."""
        held, batch, numbers = self._steps(run), list[Metric](), set[int]()
        for step, time_ms, values in steps:  # not always in order: threads may report them
            if step in held or step in numbers:
                continue
            points = [Metric(name, value, time_ms, step) for name, value in values.items()]
            points.append(Metric(STEP, float(step), time_ms, step))
            if batch and len(batch) + len(points) > _METRICS:
                self._log_metrics(run, batch)
                held |= numbers
                batch, numbers = [], set()
            batch += points
            numbers.add(step)
        if batch:
            self._log_metrics(run, batch)
            held |= numbers

    def last_step(self, run: str) -> int:
        """The last step that a run holds; -1 for none."""
        return max(self._steps(run), default=-1)

    def _steps(self, run: str) -> set[int]:
        if run not in self._held:
            self._held[run] = {point.step for point in self.client.get_metric_history(run, STEP)}
        return self._held[run]

    def log_file(self, run: str, path: Path, inside: PurePath) -> None:
        """Store a file as `inside`, under a name that every store takes."""
        store_file(self.client, run, path, inside)

    def rename_metrics(self, run: str) -> None:
        """Give a run of version 0.1 its metrics under today's names too, so that one chart shows all trials."""
        for old, new in older_names(self.client.get_run(run).data.metrics):
            points = self.client.get_metric_history(run, old)
            self._log_metrics(run, [Metric(new, p.value, p.timestamp, p.step) for p in points])

    def _log_metrics(self, run: str, metrics: Sequence[Metric]) -> None:
        for start in range(0, len(metrics), _METRICS):
            self.client.log_batch(run, metrics=metrics[start : start + _METRICS])

    def _take_up(self, number: int, run: Run) -> None:
        if self.trials.setdefault(number, run.info.run_id) != run.info.run_id:
            self.client.delete_run(run.info.run_id)  # made twice: the answer to the first request was lost
            return
        ended = RunStatus.is_terminated(RunStatus.from_string(run.info.status))
        if not ended or run.data.tags.get(STATE) == Failure.INTERRUPTED:
            self.open.add(number)
        if not run.data.params:
            self._bare.add(number)
        self._crown.found(run)
        self._note_older(run)

    def _note_older(self, run: Run) -> None:
        if any(new not in run.data.metrics for _, new in older_names(run.data.metrics)):
            self.older.append(run.info.run_id)


def status_of(failure: Failure | None) -> str:
    """MLflow's run status of a trial: pruned and interrupted trials are KILLED, other failures FAILED."""
    if failure is None:
        return "FINISHED"
    return "KILLED" if failure in (Failure.PRUNED, Failure.INTERRUPTED) else "FAILED"


def _same(shown: float, value: float) -> bool:
    if math.isnan(value):
        return math.isnan(shown)
    return shown == value or (math.isinf(value) and shown == math.copysign(_LARGEST, value))
