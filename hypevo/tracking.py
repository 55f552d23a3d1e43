"""MLflow's view of a study: one parent run, one child run per trial. The only file that imports mlflow.

Trials are brought up to date from their folders (`hypevo.record`) by a thread of its own, so that a slow or absent
server never delays a training; what could not be delivered is delivered by the next start. Runs are addressed by their
ids through `MlflowClient`, never through MLflow's global active run.
"""

from __future__ import annotations

import getpass
import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Two quick tries instead of MLflow's four minutes of retrying: the thread below has its own patience.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus, RunTag
from mlflow.exceptions import MlflowException

from hypevo.protocol import Failure, InputError
from hypevo.record import Record, Result
from hypevo.results import column

EXPERIMENT = "hypevo"
PARENT, TRIAL, STUDY, STATE = "mlflow.parentRunId", "hypevo.trial", "hypevo.study", "hypevo.state"
WEIGHTS = "weights"
_STEP = "epoch"  # logged with every step: the last one tells how far a run has come
_PRIVATE = ("epochs.jsonl", "trial.json")  # the folder's bookkeeping: already in the run as metrics and tags
_FAILURES = (MlflowException, OSError)  # what a server or an artifact store that is away raises

for noisy in ("mlflow", "alembic"):
    logging.getLogger(noisy).setLevel(logging.WARNING)


@dataclass(frozen=True)
class Store:
    """Where MLflow keeps things."""

    uri: str

    @classmethod
    def default(cls) -> Store:
        """MLFLOW_TRACKING_URI, else what MLflow itself defaults to: `mlflow.db` in the working directory."""
        return cls(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}")

    @property
    def local_database(self) -> Path | None:
        """The SQLite file, if that is what it is."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None

    def client(self) -> MlflowClient:
        """A client of a store that answers.

        Raises:
            InputError: the store cannot be opened or reached.
        """
        path = self.local_database
        try:
            if path is not None and not path.exists():
                _create_database(path)
            client = MlflowClient(self.uri)
            client.search_experiments(max_results=1)
        except _FAILURES as error:
            reason = str(error).strip().split("\n")[0][:300]
            raise InputError(
                f"MLflow at {self.uri} does not answer: {reason}\n"
                f"Start the server, or set MLFLOW_TRACKING_URI to a store that can be reached"
            ) from error
        return client


class Tracker:
    """Keeps one study's runs in step with its trial folders."""

    def __init__(self, study: str, store: Store, *, weights: bool = False) -> None:
        self.study = study
        self.store = store
        self.trouble = ""  # the last error while the store is away, else empty
        self.parent = ""  # the run id of the study, empty for a single training
        self.experiment_id = ""
        self._client = store.client()
        self._adopted: str | None = None
        self._dataset: list[DatasetInput] = []
        self._weights = weights
        self._runs: dict[int, str] = {}  # trial number -> run id
        self._open: set[int] = set()  # trials whose run says RUNNING
        self._last_step: dict[str, int] = {}  # run id -> last epoch logged
        self._pending: dict[int, Record] = {}
        self._progress: dict[int, dict[str, float]] = {}  # step of the study -> metrics of the parent run
        self._files: dict[Path, str | None] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)

    def open(
        self,
        known: str | None,
        *,
        experiment: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        dataset: str | None,
    ) -> str:
        """Open the study's parent run: the `known` one, or the one that `mlflow run` made, or a new one.

        Returns:
            Its id.
        """
        launched = os.environ.pop("MLFLOW_RUN_ID", None)
        parent = self._reopen(known) or self._reopen(launched) or self._create_parent(experiment)
        if launched not in (None, parent):
            note = f"Continued the study «{self.study}»: see run {parent}."
            self._client.set_tag(launched, "hypevo.continues", parent)
            self._client.set_tag(launched, "mlflow.note.content", note)
        run = self._client.get_run(parent)
        self.parent, self.experiment_id = parent, run.info.experiment_id
        self._dataset = _dataset(dataset) if dataset else []
        new = [Param(key, _text(value)) for key, value in params.items() if key not in run.data.params]
        all_tags = {STUDY: self.study, STATE: "running", **tags}
        self._client.log_batch(
            parent, params=new, tags=[RunTag(key, value) for key, value in all_tags.items()]
        )
        self._client.update_run(parent, name=f"evolve {self.study}")
        if run.inputs is None or not run.inputs.dataset_inputs:
            self._client.log_inputs(parent, self._dataset)
        self._find_children(parent)
        self._thread.start()
        return parent

    def open_single(self, experiment: str, dataset: str | None) -> None:
        """Begin without a parent, for one training; the run that `mlflow run` made becomes its run."""
        launched = self._reopen(os.environ.pop("MLFLOW_RUN_ID", None))
        self._dataset = _dataset(dataset) if dataset else []
        if launched is None:
            self.experiment_id = self._experiment(experiment)
        else:
            self.experiment_id = self._client.get_run(launched).info.experiment_id
            self._adopted = launched
        self._thread.start()

    def run_id(self, number: int) -> str | None:
        """The run of a trial, once it exists."""
        return self._runs.get(number)

    def needs(self, number: int) -> bool:
        """Whether the run of a finished trial is missing or still open."""
        return number not in self._runs or number in self._open

    def update(self, record: Record) -> None:
        """Bring the run of a trial up to date, soon."""
        with self._changed:
            self._pending[record.number] = record
            self._changed.notify()

    def attach(self, files: Iterable[Path], folder: str | None = None) -> None:
        """Store files as artifacts of the parent run, soon; only their latest content counts."""
        with self._changed:
            self._files.update(dict.fromkeys(files, folder))
            self._changed.notify()

    def progress(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log metrics of the study itself, soon; a step that the parent run has already is left out."""
        with self._changed:
            self._progress[step] = dict(metrics)
            self._changed.notify()

    def add_view(self, name: str, value: str) -> bool:
        """Save a chart view with the experiment; False if MLflow refuses it."""
        try:
            self._client.set_experiment_tag(self.experiment_id, name, value)
        except _FAILURES:
            return False
        return True

    def close(self, status: str, state: str) -> int:
        """Deliver what is left and end the parent run. Returns how many trials could not be delivered."""
        undelivered = self.drain()
        with suppress(*_FAILURES):
            for number in sorted(
                self._open - self._pending.keys()
            ):  # interrupted: the next start opens them again
                self._client.set_tag(self._runs[number], STATE, Failure.INTERRUPTED.value)
                self._client.set_terminated(self._runs[number], status_of(Failure.INTERRUPTED))
            self._client.set_tag(self.parent, STATE, state)
            self._client.set_terminated(self.parent, status)
        return undelivered

    def drain(self, patience: float = 30.0) -> int:
        """Deliver what is left, for `patience` seconds at most while the store is away; returns what is not."""
        with self._changed:
            self._closing = True
            self._deadline = time.monotonic() + patience
            self._changed.notify()
        self._thread.join()
        return len(self._pending)

    # -- the thread -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        pause = 1.0
        while True:
            with self._changed:
                while not (self._pending or self._progress or self._files or self._closing):
                    self._changed.wait()
                record = self._pending.pop(next(iter(self._pending))) if self._pending else None
                files, progress = {}, {}
                if record is None:  # trials first
                    files, self._files = self._files, {}
                    progress, self._progress = self._progress, {}
                    if not files and not progress:
                        return
            try:
                if record is not None:
                    self._deliver(record)
                for step in sorted(progress):
                    self._log_progress(step, progress[step])
                for path, folder in files.items():
                    if path.exists():
                        self._client.log_artifact(self.parent, str(path), folder)
            except _FAILURES as error:
                self.trouble = str(error).strip().split("\n")[0][:300]
                with self._changed:
                    if record is not None:
                        self._pending.setdefault(record.number, record)
                    self._files = {**files, **self._files}
                    self._progress = {**progress, **self._progress}
                    if self._closing and time.monotonic() > self._deadline:
                        return
                    self._changed.wait(pause)
                pause = min(60.0, pause * 2)
            else:
                self.trouble, pause = "", 1.0

    def _deliver(self, record: Record) -> None:
        run = self._runs.get(record.number) or self._create_child(record)
        epochs = [epoch for epoch in record.epochs if epoch.step > self._logged(run)]
        for epoch in epochs:
            values = {
                _STEP: float(epoch.step),
                **{_key(name): value for name, value in epoch.metrics.items()},
            }
            self._client.log_batch(
                run, metrics=[Metric(k, v, epoch.time_ms, epoch.step) for k, v in values.items()]
            )
            self._last_step[run] = epoch.step
        result = record.result
        if result is None:
            if record.number not in self._open:
                self._client.update_run(run, status="RUNNING")
                self._client.set_tag(run, STATE, "running")
                self._open.add(record.number)
        elif record.number in self._open:
            self._finish(run, record, result)
            self._open.discard(record.number)

    def _log_progress(self, step: int, metrics: Mapping[str, float]) -> None:
        if step > self._logged(self.parent):
            now = round(time.time() * 1000)
            values = {_STEP: float(step), **metrics}
            self._client.log_batch(self.parent, metrics=[Metric(k, v, now, step) for k, v in values.items()])
            self._last_step[self.parent] = step

    def _finish(self, run: str, record: Record, result: Result) -> None:
        final = dict(result.metrics) | ({} if result.fitness is None else {"fitness": result.fitness})
        reported = record.epochs[-1].metrics if record.epochs else {}
        if any(reported.get(name) != value for name, value in final.items()):
            step = self._logged(run) + 1
            self._client.log_batch(
                run, metrics=[Metric(_key(k), v, result.time_ms, step) for k, v in final.items()]
            )
        for path in sorted(record.folder.rglob("*")):
            inside = path.relative_to(record.folder)
            wanted = self._weights or inside.parts[0] != WEIGHTS
            if path.is_file() and wanted and not path.name.startswith(".") and path.name not in _PRIVATE:
                folder = None if inside.parent == Path() else inside.parent.as_posix()
                self._client.log_artifact(run, str(path), folder)
        state = "complete" if result.failure is None else result.failure.value
        tags = {STATE: state, "hypevo.seconds": f"{result.seconds:.1f}"} | (
            {"hypevo.reason": result.reason} if result.reason else {}
        )
        self._client.log_batch(run, tags=[RunTag(key, value[:5000]) for key, value in tags.items()])
        self._client.set_terminated(run, status_of(result.failure), end_time=result.time_ms)

    # -- runs -----------------------------------------------------------------------------------------------

    def _create_child(self, record: Record) -> str:
        details = record.details
        tags = {
            STUDY: self.study,
            TRIAL: str(record.number),
            STATE: "running",
            "mlflow.user": _user(),
            "mlflow.source.name": "hypevo",
            **details.get("tags", {}),
        }
        if self.parent:
            tags[PARENT] = self.parent
        run = self._adopted
        if run is None:
            name = f"trial {record.number:04d}" if self.parent else self.study
            begun = details.get("time_ms")
            created = self._client.create_run(self.experiment_id, start_time=begun, tags=tags, run_name=name)
            run = str(created.info.run_id)
        self._runs[record.number] = run
        self._open.add(record.number)
        self._last_step[run] = -1
        params = {**details["hyp"], **details.get("params", {})}
        known = self._client.get_run(run).data.params if self._adopted else {}
        new = [Param(key, _text(value)) for key, value in params.items() if key not in known]
        self._client.log_batch(run, params=new, tags=[RunTag(key, value) for key, value in tags.items()])
        self._client.log_inputs(run, self._dataset)
        return run

    def _find_children(self, parent: str) -> None:
        """Learn which trials have a run already: a crash may have left one open that no trial knows of."""
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id], f"tags.`{PARENT}` = '{parent}'", max_results=1000, page_token=token
            )
            for run in page:
                number = run.data.tags.get(TRIAL, "")
                if number.isdecimal():
                    self._runs[int(number)] = run.info.run_id
                    if not RunStatus.is_terminated(RunStatus.from_string(run.info.status)):
                        self._open.add(int(number))
            token = page.token
            if not token:
                return

    def _logged(self, run: str) -> int:
        """The last epoch that a run holds; -1 for none."""
        if run not in self._last_step:
            history = self._client.get_metric_history(run, _STEP)
            self._last_step[run] = max((metric.step for metric in history), default=-1)
        return self._last_step[run]

    def _reopen(self, run: str | None) -> str | None:
        if run is None:
            return None
        try:
            self._client.update_run(run, status="RUNNING")
        except MlflowException:  # of another store, or deleted: the folders will fill a new one
            return None
        return run

    def _create_parent(self, experiment: str) -> str:
        tags = {"mlflow.user": _user(), "mlflow.source.name": "hypevo"}
        name = f"evolve {self.study}"
        return str(
            self._client.create_run(self._experiment(experiment), tags=tags, run_name=name).info.run_id
        )

    def _experiment(self, name: str) -> str:
        """The id of an experiment, made if it is not there."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            if self.store.local_database is None:
                return self._client.create_experiment(name)  # a server knows its own artifact store
            place = self.store.local_database.resolve().parent / "mlruns" / name
            return self._client.create_experiment(name, artifact_location=place.as_uri())
        if found.lifecycle_stage != "active":
            raise InputError(
                f"MLflow's experiment «{name}» is deleted; restore it, or name another with --experiment"
            )
        return str(found.experiment_id)


def status_of(failure: Failure | None) -> str:
    """MLflow's run status of a trial: pruned and interrupted trials are KILLED, other failures FAILED."""
    if failure is None:
        return "FINISHED"
    return "KILLED" if failure in (Failure.PRUNED, Failure.INTERRUPTED) else "FAILED"


def _key(name: str) -> str:
    """A metric's name in MLflow: metrics and losses under their prefixes, the rest as it is."""
    return name if name in ("fitness", "lr") else column(name)


def _dataset(source: str) -> list[DatasetInput]:
    """What MLflow shows as the dataset of a run; the digest is that of the data.yaml."""
    path = Path(source)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8] if path.is_file() else "embedded"
    dataset = Dataset(name=path.stem, digest=digest, source_type="local", source=source)
    return [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]


def _create_database(path: Path) -> None:
    """Make a new database under another name and move it into place: a crash must not leave half a schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        MlflowClient(f"sqlite:///{temporary}").search_experiments(max_results=1)
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _user() -> str:
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return "unknown"
