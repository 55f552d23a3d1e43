"""MLflow's view of a study: one parent run, one child run per trial. The only file that imports mlflow.

Trials are brought up to date from their folders by a thread of its own, so that a slow or absent server
never delays a training; what could not be delivered is delivered by the next start. Runs are addressed by their
ids through `MlflowClient`, never through MLflow's global active run.
"""

from __future__ import annotations

import getpass
import hashlib
import logging
import os
import posixpath
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# One try instead of MLflow's four minutes of retrying: the outbox has its own patience, and a request for a new run
# that is repeated blindly makes two.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from hypevo.problem.metrics import column
from hypevo.protocol import Failure, InputError
from hypevo.tracking.outbox import Outbox, Refused
from hypevo.trainings.record import Record, Result

EXPERIMENT = "hypevo"
PARENT, TRIAL, STUDY, STATE = "mlflow.parentRunId", "hypevo.trial", "hypevo.study", "hypevo.state"
WEIGHTS = "weights"
_STEP = "epoch"  # logged with every step: the last one tells how far a run has come
_PRIVATE = ("epochs.jsonl", "trial.json")  # the folder's bookkeeping: already in the run as metrics and tags
# What a store that is away, or no store, raises.
_FAILURES = (MlflowException, SQLAlchemyError, OSError, ImportError)
_REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE")
_SERVERS = ("postgresql", "mysql", "mssql")  # databases that MLflow can be given instead of its server
_HOUR = 3600.0  # seconds
_PORTION = 100  # items MLflow takes in one batch
_LONGEST_NAME, _LONGEST_VALUE = 250, 5000  # characters MLflow takes for sure

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

    def check(self) -> None:
        """See that the store answers, without making one.

        Raises:
            InputError: it is there and cannot be opened, or cannot be reached.
        """
        path = self.local_database
        if path is None or path.exists():
            self.client()

    def client(self) -> MlflowClient:
        """A client of a store that answers; a local one is made if it is not there.

        Raises:
            InputError: the store cannot be opened or reached.
        """
        path = self.local_database
        with self.answering():
            if path is not None and not path.exists():
                _create_database(path)
            if self.uri.startswith(_SERVERS):
                # MLflow itself would try for two minutes.
                create_engine(self.uri, poolclass=NullPool).connect().close()
            client = MlflowClient(self.uri)
            client.search_experiments(max_results=1)
        return client

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turn the failures of a store that is needed now into an `InputError`."""
        try:
            yield
        except _FAILURES as error:
            raise InputError(
                f"MLflow at {self.uri} does not answer: {_line(error)}\n"
                f"Start the server, or set MLFLOW_TRACKING_URI to a store that can be reached"
            ) from error


class Tracker:
    """Keeps one study's runs in step with its trial folders."""

    def __init__(self, study: str, store: Store, *, weights: bool = False) -> None:
        self.study = study
        self.store = store
        self.parent = ""  # the run id of the study, empty for a single training
        self.experiment_id = ""
        self._client = store.client()
        self._adopted: str | None = None
        self._dataset: list[DatasetInput] = []
        self._weights = weights
        self._runs: dict[int, str] = {}  # trial number -> run id
        self._open: set[int] = set()  # trials whose run says RUNNING
        self._bare: set[int] = set()  # trials whose run has no parameters yet
        self._unsure = False  # the answer to the last request for a new run was lost
        self._refused: set[int] = set()  # trials whose run MLflow will not change, as one that was deleted
        self._last_step: dict[str, int] = {}  # run id -> last epoch logged
        self._outbox = Outbox("MLflow", self._send)

    def open(
        self,
        known: str | None,
        *,
        experiment: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        dataset: str | None,
        fingerprint: str = "",
    ) -> str:
        """Open the study's parent run: the `known` one, or the one that `mlflow run` made, or a new one.

        Returns:
            Its id.

        Raises:
            InputError: MLflow does not answer, or refuses.
        """
        launched = os.environ.pop("MLFLOW_RUN_ID", None)
        with self.store.answering():
            parent = self._reopen(known) or self._reopen(launched) or self._create_parent(experiment)
            if launched not in (None, parent):
                note = f"Continued the study «{self.study}»: see run {parent}."
                self._client.set_tag(launched, "hypevo.continues", parent)
                self._client.set_tag(launched, "mlflow.note.content", note)
            run = self._client.get_run(parent)
            self.parent, self.experiment_id = parent, run.info.experiment_id
            self._dataset = _inputs(dataset, fingerprint)
            new = [Param(key, _text(value)) for key, value in params.items() if key not in run.data.params]
            all_tags = {STUDY: self.study, STATE: "running", **tags}
            self._log(parent, params=new, tags=[RunTag(key, value) for key, value in all_tags.items()])
            self._client.update_run(parent, name=f"evolve {self.study}")
            if run.inputs is None or not run.inputs.dataset_inputs:
                self._client.log_inputs(parent, self._dataset)
            self._find_children()
        self._outbox.start()
        return parent

    def open_single(self, experiment: str, dataset: str | None, fingerprint: str = "") -> None:
        """Begin without a parent, for one training; the run that `mlflow run` made becomes its run."""
        with self.store.answering():
            launched = self._reopen(os.environ.pop("MLFLOW_RUN_ID", None))
            self._dataset = _inputs(dataset, fingerprint)
            if launched is None:
                self.experiment_id = self._experiment(experiment)
            else:
                self.experiment_id = self._client.get_run(launched).info.experiment_id
                self._adopted = launched
        self._outbox.start()

    def run_id(self, number: int) -> str | None:
        """The run of a trial, once it exists."""
        return self._runs.get(number)

    def needs(self, number: int) -> bool:
        """Whether the run of a finished trial is missing or still open."""
        return number not in self._runs or number in self._open

    def news(self) -> list[str]:
        """What a user should know of the deliveries, each sentence once."""
        return self._outbox.news()

    def update(self, record: Record) -> None:
        """Bring the run of a trial up to date, soon."""
        self._outbox.put(("trial", record.number), record, urgent=True)

    def attach(self, files: Iterable[Path], folder: str | None = None) -> None:
        """Store files as artifacts of the parent run, soon; only their latest content counts."""
        for path in files:
            self._outbox.put(("file", path), folder)

    def progress(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log metrics of the study itself, soon; a step that the parent run has already is left out."""
        self._outbox.put(("progress", step), dict(metrics))

    def add_view(self, name: str, value: str) -> bool:
        """Save a chart view with the experiment; False if MLflow refuses it."""
        try:
            self._client.set_experiment_tag(self.experiment_id, name, value)
        except _FAILURES:
            return False
        return True

    def close(self, status: str, state: str, patience: float = 30.0) -> int:
        """Deliver what is left, for `patience` seconds while the store is away, and end the parent run.

        Returns:
            How many trials are not delivered; the next start finds their runs open, or missing.
        """
        left = self._outbox.close(patience)
        undelivered = {number for kind, number in left if kind == "trial"}
        with suppress(*_FAILURES):
            for number in sorted(self._open - undelivered):  # interrupted: the next start opens them again
                self._client.set_tag(self._runs[number], STATE, Failure.INTERRUPTED.value)
                self._client.set_terminated(self._runs[number], status_of(Failure.INTERRUPTED))
            self._client.set_tag(self.parent, STATE, state)
            self._client.set_terminated(self.parent, status)
        return len(undelivered)

    def stop(self) -> None:
        """Send nothing more, and leave the runs as they are: the next start delivers, and perhaps it has begun."""
        self._outbox.stop()

    def drain(self, patience: float = 30.0) -> int:
        """Deliver what is left, for `patience` seconds at most while the store is away; returns how much is not."""
        return len(self._outbox.close(patience))

    # -- in the outbox's thread -----------------------------------------------------------------------------

    def _send(self, key: tuple[str, Any], item: Any) -> None:
        kind, which = key
        try:
            if kind == "trial":
                self._deliver(item)
            elif kind == "progress":
                self._log_progress(which, item)
            elif which.exists():
                self._client.log_artifact(self.parent, str(which), item)
        except MlflowException as error:
            if error.error_code in _REFUSALS:
                self._refused.update({which} if kind == "trial" else ())
                raise Refused(f"{kind} {which}: {_line(error)}") from error
            raise

    def _deliver(self, record: Record) -> None:
        details = record.details
        if not details or record.number in self._refused:
            return  # its folder is being made anew for another attempt, which comes here next; or its run was deleted
        result = record.result  # before the epochs: when there is a result, all of them are there
        epochs = record.epochs
        run = self._child(record.number, details)
        for epoch in epochs:
            if epoch.step > self._logged(run):
                values = {_key(name): value for name, value in epoch.metrics.items()}
                values |= {_STEP: float(epoch.step)}  # last: with it, all is there
                self._log(run, metrics=[Metric(k, v, epoch.time_ms, epoch.step) for k, v in values.items()])
                self._last_step[run] = epoch.step
        if result is None:
            if record.number not in self._open:
                self._client.update_run(run, status="RUNNING")
                self._client.set_tag(run, STATE, "running")
                self._open.add(record.number)
        elif record.number in self._open:
            reported = epochs[-1].metrics if epochs and details.get("attempt", 1) == 1 else {}
            self._finish(run, record.folder, result, reported)
            self._open.discard(record.number)

    def _log_progress(self, step: int, metrics: Mapping[str, float]) -> None:
        if step > self._logged(self.parent):
            now = round(time.time() * 1000)
            values = {**metrics, _STEP: float(step)}
            self._log(self.parent, metrics=[Metric(k, v, now, step) for k, v in values.items()])
            self._last_step[self.parent] = step

    def _finish(self, run: str, folder: Path, result: Result, reported: Mapping[str, float]) -> None:
        """End a run; `reported` is what it shows so far, empty if that may be of an earlier attempt."""
        final = dict(result.metrics) | ({} if result.fitness is None else {"fitness": result.fitness})
        if any(reported.get(name) != value for name, value in final.items()):
            step = self._logged(run) + 1  # the same at every try to send it
            self._log(run, metrics=[Metric(_key(k), v, result.time_ms, step) for k, v in final.items()])
        for path in self._artifacts(folder):
            inside = path.relative_to(folder).parent
            self._client.log_artifact(run, str(path), None if inside == Path() else inside.as_posix())
        state = "complete" if result.failure is None else result.failure.value
        tags = {STATE: state, "hypevo.seconds": f"{result.seconds:.1f}"} | (
            {"hypevo.reason": result.reason} if result.reason else {}
        )
        self._log(run, tags=[RunTag(key, value) for key, value in tags.items()])
        self._client.set_terminated(run, status_of(result.failure), end_time=result.time_ms)

    def _artifacts(self, folder: Path) -> list[Path]:
        """The files of a trial's folder that go with its run; the driver may be deleting weights meanwhile."""
        entries = [
            entry for entry in sorted(folder.iterdir())
            if not entry.name.startswith(".") and entry.name not in _PRIVATE
            and (self._weights or entry.name != WEIGHTS)
        ]  # fmt: skip
        inside = [path for entry in entries if entry.is_dir() for path in sorted(entry.rglob("*"))]
        return [path for path in [*entries, *inside] if path.is_file() and not path.is_symlink()]

    # -- runs -----------------------------------------------------------------------------------------------

    def _child(self, number: int, details: Mapping[str, Any]) -> str:
        """The run of a trial, made if it is not there, with its parameters."""
        if number not in self._runs and self._unsure:
            self._find_children()
        tags = {
            STUDY: self.study,
            TRIAL: str(number),
            STATE: "running",
            "mlflow.user": _user(),
            "mlflow.source.name": "hypevo",
            **details.get("tags", {}),
        }
        if self.parent:
            tags[PARENT] = self.parent
        run = self._runs.get(number, self._adopted)
        if run is None:
            name = f"trial {number:04d}" if self.parent else self.study
            begun = details.get("time_ms")
            self._unsure = True
            created = self._client.create_run(self.experiment_id, start_time=begun, tags=tags, run_name=name)
            self._unsure = False
            run = str(created.info.run_id)
        if number not in self._runs:
            self._runs[number] = run
            self._open.add(number)
            self._bare.add(number)
        if number in self._bare:
            known = self._client.get_run(run).data.params if self._adopted else {}
            params = {**details["hyp"], **details.get("params", {})}
            new = [Param(key, _text(value)) for key, value in params.items() if key not in known]
            self._client.log_inputs(run, self._dataset)  # first: parameters are the sign that all is there
            self._log(run, params=new, tags=[RunTag(key, value) for key, value in tags.items()])
            self._bare.discard(number)
        return run

    def _log(
        self,
        run: str,
        *,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
    ) -> None:
        """`log_batch` in portions that MLflow takes."""
        tags = [RunTag(tag.key, tag.value[:_LONGEST_VALUE]) for tag in tags]
        for start in range(0, max(len(metrics), len(params), len(tags)), _PORTION):
            part = slice(start, start + _PORTION)
            self._client.log_batch(run, metrics=metrics[part], params=params[part], tags=tags[part])

    def _find_children(self) -> None:
        """Learn which trials have a run already: a crash may have left one open that no trial knows of."""
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id],
                f"tags.`{PARENT}` = '{self.parent}'",
                max_results=1000,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            for run in page:
                number = run.data.tags.get(TRIAL, "")
                if number.isdecimal():
                    self._take_up(int(number), run)
            token = page.token
            if not token:
                return

    def _take_up(self, number: int, run: Run) -> None:
        if self._runs.setdefault(number, run.info.run_id) != run.info.run_id:
            self._client.delete_run(run.info.run_id)  # made twice: the answer to the first request was lost
            return
        ended = RunStatus.is_terminated(RunStatus.from_string(run.info.status))
        if not ended or run.data.tags.get(STATE) == Failure.INTERRUPTED:
            self._open.add(number)
        if not run.data.params:
            self._bare.add(number)

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
        except MlflowException as error:
            if error.error_code in _REFUSALS:  # of another store, or deleted: the folders will fill a new one
                return None
            raise
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
    name = posixpath.normpath(
        name if name in ("fitness", "lr") else column(name)
    )  # MLflow takes them for paths
    return name.lstrip("./")[:_LONGEST_NAME] or "_"


def _inputs(source: str | None, fingerprint: str) -> list[DatasetInput]:
    """What MLflow shows as the dataset of a run; without a fingerprint of its content, that of the data.yaml."""
    if source is None:
        return []
    path = Path(source)
    if not fingerprint:
        fingerprint = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "embedded"
    dataset = Dataset(name=path.stem, digest=fingerprint[:8], source_type="local", source=source)
    return [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]


def _create_database(path: Path) -> None:
    """Make a new database under another name and move it into place: a crash must not leave half a schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    for left in path.parent.glob(f".{path.name}.*"):
        if left == temporary or time.time() - left.stat().st_mtime > _HOUR:  # of a start that was killed
            left.unlink(missing_ok=True)
    try:
        MlflowClient(f"sqlite:///{temporary}").search_experiments(max_results=1)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return  # another driver was faster
        except OSError:  # a file system without hard links
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _text(value: Any) -> str:
    return (repr(value) if isinstance(value, float) else str(value))[:_LONGEST_VALUE]


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]


def _user() -> str:
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return "unknown"
