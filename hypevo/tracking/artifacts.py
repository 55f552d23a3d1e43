"""Which files of a training's folder go with its run in MLflow."""

from __future__ import annotations

from pathlib import Path, PurePath

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
