"""The description of a study's run in MLflow: ours is kept up to date, a user's stays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from mlflow import MlflowClient

from hypevo.tracking.names import text
from hypevo.tracking.titles import NOTE

_OURS = "hypevo.note"  # tag: digest of the description as we wrote it


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
