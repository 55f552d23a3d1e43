"""The description of a study's run in MLflow: ours is kept up to date, a user's stays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from mlflow import MlflowClient

from hypevo.tracking.address import EXPERIMENT
from hypevo.tracking.names import text
from hypevo.tracking.titles import NOTE

ABOUT = """\
Searches for the hyperparameters of detector trainings, by hypevo.

- **A study** is a run «evolve NAME»: its description says how it stands and how to go on, and has links to its charts.
- **Below it** are its trials, «017 · 0.3412» with the fitness, a star for the best, then confirmations and trainings
  that repeat a trial. A failed trial's description says why.
- **To compare trials**, open the charts, or tick runs and press «Compare».
- **To compare studies**, filter by `metrics.best_trial >= 0`, which only a study's run has, and sort by fitness.

docs/mlflow.md in hypevo's repository says more.
"""
_OURS = "hypevo.note"  # tag: digest of the description as we wrote it


def introduce(client: MlflowClient, experiment: str) -> None:
    """Have our experiment say what is in it, where it was made by `mlflow run` or an older version."""
    found = client.get_experiment(experiment)
    if found.name == EXPERIMENT and NOTE not in found.tags:
        client.set_experiment_tag(experiment, NOTE, ABOUT)


def describe(client: MlflowClient, run: str, note: str) -> None:
    """Have a run say what it is, in Markdown, unless a user has written something there."""
    tags, note = client.get_run(run).data.tags, text(note)
    if NOTE not in tags or tags.get(_OURS) == _digest(tags[NOTE]):
        client.set_tag(run, _OURS, _digest(note))
        client.set_tag(run, NOTE, note)


def change_description(client: MlflowClient, run: str, change: Callable[[str], str]) -> None:
    """Change a run's description, if it is ours."""
    note = client.get_run(run).data.tags.get(NOTE)
    if note is not None:
        describe(client, run, change(note))


def _digest(note: str) -> str:
    return hashlib.sha256(note.encode("utf-8")).hexdigest()[:16]
