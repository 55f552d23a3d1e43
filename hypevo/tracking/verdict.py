"""A confirmation's verdict in MLflow: in its own run, and in that of the study that it is shown below."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from mlflow.entities import Metric, Run

from hypevo.tracking.description import change_description, describe
from hypevo.tracking.names import plain_name, text
from hypevo.tracking.outbox import Tell
from hypevo.tracking.patience import patiently
from hypevo.tracking.runs import PARENT, Runs
from hypevo.tracking.store import Store

_COUNTED = "seeds"  # a metric that every verdict has


@dataclass(frozen=True)
class Above:
    """The study's run, below which its confirmations are shown.

    Attributes:
        run: Its id.
        experiment: The name of its experiment: MLflow's pages nest runs within one.
    """

    run: str
    experiment: str

    @property
    def tags(self) -> dict[str, str]:
        """What a run has that is shown below it."""
        return {PARENT: self.run}


@dataclass(frozen=True)
class Verdict:
    """What MLflow gets of a verdict.

    Attributes:
        title: The new name of the confirmation's run.
        metrics: By name; a verdict that cannot tell has nan.
        tags: Of the confirmation's run.
        note: Its description.
        files: To be stored with it, if they are there.
        above: The study's run; None where it is gone.
        study_tags: Its new tags.
        study_note: Makes its new description of the one that it has.
    """

    title: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    note: str
    files: tuple[Path, ...]
    above: Above | None
    study_tags: Mapping[str, str]
    study_note: Callable[[str], str]

    def write(self, runs: Runs) -> None:
        """Write it; it bears repetition."""
        run = runs.client.get_run(runs.parent)
        self._log_metrics(runs, run)
        runs.log(runs.parent, tags=self.tags)
        describe(runs.client, runs.parent, self.note)
        for path in filter(Path.is_file, self.files):  # a picture that could not be written is said elsewhere
            runs.log_file(runs.parent, path, PurePath(path.name))
        runs.client.update_run(runs.parent, name=text(self.title))
        if self.above is not None:
            runs.log(self.above.run, tags=self.study_tags)
            change_description(runs.client, self.above.run, self.study_note)

    def _log_metrics(self, runs: Runs, run: Run) -> None:
        """Log what differs from the verdict before, each one at a step of its own: the curves are over verdicts."""
        shown = run.data.metrics
        new = {plain_name(name): value for name, value in self.metrics.items()}
        new = {name: value for name, value in new.items() if name in shown or math.isfinite(value)}
        if all(name in shown and _same(shown[name], value) for name, value in new.items()):
            return
        history = runs.client.get_metric_history(run.info.run_id, _COUNTED)
        step, now = 1 + max((point.step for point in history), default=0), round(time.time() * 1000)
        points = [Metric(name, value, now, step) for name, value in new.items()]
        runs.client.log_batch(run.info.run_id, metrics=points)


def found_above(store: Store, run: str, tell: Tell) -> Above | None:
    """The study's run; None when it was deleted, or is in another store.

    Raises:
        InputError: MLflow stays away, or refuses.
    """

    def attempt() -> Above | None:
        client = store.connect()
        there = Runs(client, "", "").get(run)
        if there is None:
            return None
        return Above(run, client.get_experiment(there.info.experiment_id).name)

    return patiently(attempt, store.uri, tell)


def _same(shown: float, value: float) -> bool:
    return shown == value or (math.isnan(shown) and math.isnan(value))
