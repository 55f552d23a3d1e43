"""MLflow's store: where it is, whether it answers, its experiments; a local one is made whole or not at all."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from mlflow import MlflowClient
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from hypevo.messages import hidden
from hypevo.protocol import InputError
from hypevo.tracking.address import default_address
from hypevo.tracking.description import ABOUT
from hypevo.tracking.failures import FAILURES, explained
from hypevo.tracking.names import file_path
from hypevo.tracking.titles import NOTE

_SERVERS = ("postgresql", "mysql", "mssql")  # databases that MLflow can be given instead of its server
_HOUR = 3600.0  # seconds

for noisy in ("mlflow", "alembic"):
    logging.getLogger(noisy).setLevel(logging.WARNING)
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = (
    "true"  # they stand among the results, with their password
)


@dataclass(frozen=True)
class Store:
    """Where MLflow keeps things."""

    uri: str

    @classmethod
    def default(cls) -> Store:
        """The store of the working directory and of MLflow's own variables."""
        return cls(default_address())

    @property
    def local_database(self) -> Path | None:
        """The SQLite file, if that is what it is.

        Raises:
            InputError: it is a database in memory, which keeps nothing.
        """
        if not self.uri.startswith("sqlite:"):
            return None
        try:
            name = make_url(self.uri).database
        except ArgumentError as error:
            raise InputError(explained(error, self.uri)) from error
        if not name or name == ":memory:":
            raise InputError(
                f"MLFLOW_TRACKING_URI: expected a store that lasts, as sqlite:///mlflow.db; got «{self.uri}»"
            )
        return Path(name)

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
        with self.answering():
            return self.connect()

    def connect(self) -> MlflowClient:
        """As `client`, with whatever MLflow raises."""
        path = self.local_database
        if path is not None and not path.exists():
            _create_database(path, self.uri)
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
        except FAILURES as error:
            raise InputError(explained(error, self.uri)) from error

    def experiment(self, client: MlflowClient, name: str) -> str:
        """The id of an experiment, made if it is not there.

        Raises:
            InputError: it was deleted.
        """
        found = client.get_experiment_by_name(name)
        if found is None:
            about = {NOTE: ABOUT}
            if self.local_database is None:
                return client.create_experiment(name, tags=about)  # a server knows its own artifact store
            place = (
                self.local_database.resolve().parent / "mlruns" / file_path(PurePath(name.replace("..", "_")))
            )
            return client.create_experiment(name, artifact_location=place.as_uri(), tags=about)
        if found.lifecycle_stage != "active":
            raise InputError(
                f"MLflow's experiment «{name}» at {hidden(self.uri)} is deleted; "
                f"restore it, or name another with --experiment"
            )
        return str(found.experiment_id)


def _create_database(path: Path, uri: str) -> None:
    """Make a new database under another name and move it into place: a crash must not leave half a schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    for left in path.parent.glob(f".{path.name}.*"):
        if left == temporary or time.time() - left.stat().st_mtime > _HOUR:  # of a start that was killed
            left.unlink(missing_ok=True)
    try:
        head, _, tail = uri.rpartition(path.name)  # whatever the address quotes of the folder stays quoted
        client = MlflowClient(f"{head}{temporary.name}{tail}")
        client.search_experiments(max_results=1)
        client._tracking_client.store.engine.dispose()  # Windows moves and deletes no file that is open
        try:
            os.link(temporary, path)
        except FileExistsError:
            return  # another driver was faster
        except OSError:  # a file system without hard links
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
