"""Where `mlflow run ADDRESS` has cloned this project: a temporary folder, in which nobody looks for results."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypevo.protocol import Finding


def lost_places(places: Mapping[str, str | Path], folder: Path) -> list[Finding]:
    """Warn of places that lie in a clone, where the next `mlflow run` finds none of them.

    Args:
        places: By the parameter of MLproject, `out`.
        folder: The working directory.
    """
    clones = (
        Path(tempfile.gettempdir()).resolve() / tempfile.gettempprefix()
    )  # as `mkdtemp`, which MLflow calls
    if "MLFLOW_RUN_ID" not in os.environ or not str(folder).startswith(str(clones)):
        return []
    lost = [
        name for name, place in places.items() if "://" not in str(place) and not Path(place).is_absolute()
    ]
    if not lost:
        return []
    given = " ".join(f"-P {name}=/a/folder/of/yours/{Path(places[name]).name}" for name in lost)
    said = f"this runs in a temporary clone, {folder}; what it writes there is not found by the next run: give {given}"
    return [Finding("warning", said)]
