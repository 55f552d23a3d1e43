"""The mark of the best trial in MLflow: a tag to filter by and a star in its run's name, which move with the best."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.entities import Run

from hypevo.tracking.titles import starred, unstarred

BEST = "hypevo.best"  # tag of the best trial so far


class Crown:
    """Knows which run bears the mark."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._borne_by: dict[str, None] = {}  # more than one only where a driver died between two calls

    def found(self, run: Run) -> None:
        """Take note of a run that may bear the mark from an earlier driver."""
        if BEST in run.data.tags:
            self._borne_by[run.info.run_id] = None

    def give(self, run: str | None) -> None:
        """Mark a run, if it is not, and no other one."""
        for other in [other for other in self._borne_by if other != run]:
            before = self._client.get_run(other)
            if before.info.lifecycle_stage == "active" and BEST in before.data.tags:
                self._client.update_run(other, name=unstarred(before.info.run_name))
                self._client.delete_tag(other, BEST)
            del self._borne_by[other]
        if run is None:
            return
        name = self._client.get_run(run).info.run_name
        if run not in self._borne_by or name != starred(name):
            self._client.set_tag(run, BEST, "true")
            self._client.update_run(run, name=starred(name))
            self._borne_by[run] = None
