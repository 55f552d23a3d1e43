"""Which files of a training's folder go with its run in MLflow, and how."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePath

from mlflow import MlflowClient

from hypevo.tracking.names import file_path
from hypevo.trainings.record import WEIGHTS

_PRIVATE = ("epochs.jsonl", "trial.json")  # the folder's bookkeeping: already in the run as metrics and tags


def artifacts(folder: Path, *, weights: bool) -> list[tuple[Path, PurePath]]:
    """The files of a trial's folder, each with its path in the run; the driver may be deleting weights meanwhile."""
    entries = [
        entry for entry in sorted(folder.iterdir())
        if not entry.name.startswith(".") and entry.name not in _PRIVATE
        and (weights or entry.name != WEIGHTS)
    ]  # fmt: skip
    inside = [path for entry in entries if entry.is_dir() for path in sorted(entry.rglob("*"))]
    files = (path for path in [*entries, *inside] if path.is_file() and not path.is_symlink())
    return [(path, path.relative_to(folder)) for path in files]


def store_file(client: MlflowClient, run: str, path: Path, inside: PurePath) -> None:
    """Store a file with a run as `inside`, under a name that every store takes."""
    target = file_path(inside)
    folder = None if target.parent == PurePath() else target.parent.as_posix()
    if target.name == path.name:
        client.log_artifact(run, str(path), folder)
        return
    with tempfile.TemporaryDirectory() as temporary:  # MLflow takes the name from the file
        copy = Path(temporary) / target.name
        shutil.copyfile(path, copy)
        client.log_artifact(run, str(copy), folder)
