"""What the smaller commands are asked, and what only the command line knows of the others: `--json`, a file's place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypevo.problem.fitness import DEFAULT_FITNESS
from hypevo.problem.options import PLACES, RUNNING, SEARCH, Checked, argument, option, option_name
from hypevo.problem.settings import (
    ConfirmSettings,
    EvolveSettings,
    OnDevice,
    Stored,
    StudySettings,
    Trained,
)
from hypevo.protocol import InputError

_ONLY = "Name of the study; the only one in --storage by default."
_RANK = "Rank by another expression of the recorded metrics, without training; the study's own by default."


@dataclass(frozen=True, kw_only=True)
class Answer(Checked):
    """How the result is printed."""

    json: bool = option(False, "Print one JSON object on standard output.")


@dataclass(frozen=True, kw_only=True)
class OfStudy(Stored):
    """Which study."""

    study: str | None = option(None, _ONLY, PLACES)


@dataclass(frozen=True, kw_only=True)
class Check(EvolveSettings):
    """The options of `hypevo check`: those of `hypevo evolve`, and one of its own."""

    estimate: float = option(
        10.0,
        "Seconds to spend on timing some batches, to estimate how long the evolution will take; 0: no estimate.",
        RUNNING,
        least=0,
    )


@dataclass(frozen=True, kw_only=True)
class Confirm(ConfirmSettings, Answer):
    """The options of `hypevo confirm`."""


@dataclass(frozen=True, kw_only=True)
class Import(StudySettings, Answer):
    """The options of `hypevo import`: those that make a study."""

    csv: Path = argument("An evolve.csv, YOLOv5's own too.")


@dataclass(frozen=True, kw_only=True)
class Val(Trained, OnDevice, Answer):
    """The options of `hypevo val`."""


@dataclass(frozen=True, kw_only=True)
class Fetch(Trained):
    """The options of `hypevo fetch`."""

    into: Path | None = option(
        None, "Folder to fetch into instead of $HYPEVO_CACHE or the user's cache.", PLACES
    )


@dataclass(frozen=True, kw_only=True)
class Status(OfStudy, Answer):
    """The options of `hypevo status`."""

    watch: int | None = option(None, "Refresh every N seconds while a driver runs the study.", least=1)

    fitness: str | None = option(None, _RANK, SEARCH)


@dataclass(frozen=True, kw_only=True)
class Fidelity(OfStudy, Answer):
    """The options of `hypevo fidelity`."""


@dataclass(frozen=True, kw_only=True)
class Export(OfStudy):
    """The options of `hypevo export`."""

    fitness: str | None = option(None, _RANK, SEARCH)

    minimal: bool = option(
        False,
        "Write hyp_minimal.yaml instead: the winner, with genes put back to their defaults as long as that is expected "
        "to cost less than the noise.",
    )
    confirm: bool = option(
        False,
        "With --minimal: train it against the winner, and give genes their evolved values again until no loss is "
        "shown.",
    )
    seeds: int | None = option(None, "Fresh seeds of --confirm, 2 or more; 5 by default.", least=2)
    device: str | None = option(None, "Where --confirm trains: auto, the default, cpu, mps, 0, or 0,1,2.")
    slots_per_device: int | None = option(None, "Trainings of --confirm at once on each device.", least=1)
    out: Path | None = option(None, "Folder to write into; runs/evolve/STUDY by default.", PLACES)
    format: str = option(
        "hypevo",
        "hypevo: evolve.csv, yaml files, picture; yolov5: the winner's weights as YOLOv5 loads them, with --repo; "
        "ultralytics: best_hyperparameters.yaml.",
        choices=("hypevo", "ultralytics", "yolov5"),
    )
    repo: str = option("", "The YOLOv5 checkout that writes the weights of --format yolov5.")
    python: str = option("", "The Python of --repo; that of the environment in its folder by default.")
    weights: Path | None = option(
        None, "A checkpoint of the built-in trainer for --format yolov5, instead of the winner's."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minimal and self.format != "hypevo":
            raise InputError(f"--minimal: expected --format hypevo with it, got --format {self.format}")
        of_confirm = [
            name for name in ("seeds", "device", "slots_per_device") if getattr(self, name) is not None
        ]
        if self.confirm and not self.minimal:
            raise InputError("--confirm: expected --minimal with it; `hypevo confirm` judges the winner")
        if of_confirm and not self.confirm:
            raise InputError(f"{option_name(of_confirm[0])}: expected --confirm with it, which trains")
        if self.confirm and self.fitness is not None:
            raise InputError(
                "--confirm: expected no --fitness with it; trainings are judged by the study's own"
            )
        if self.fitness is not None and self.weights is not None:
            raise InputError("--fitness: expected no --weights with it, which are taken whatever they score")
        if self.format == "yolov5" and not self.repo:
            raise InputError(
                "--format yolov5: expected --repo with it, the YOLOv5 checkout that writes the file"
            )
        given = [name for name in ("repo", "python", "weights") if getattr(self, name)]
        if self.format != "yolov5" and given:
            raise InputError(f"--{given[0]}: expected --format yolov5 with it, got --format {self.format}")


@dataclass(frozen=True, kw_only=True)
class Plot(Stored):
    """The options of `hypevo plot`."""

    source: str | None = argument(
        "A study's name, or any evolve.csv, YOLOv5's own too; the only study in --storage by default.",
        default=None,
    )
    out: Path | None = option(
        None,
        "Folder for the pictures, or the file of evolve.png alone; by default that of the csv, or the study's.",
        PLACES,
    )
    space: Path | None = option(None, "Space file with the bounds and the frozen genes of a csv.", SEARCH)
    fitness: str | None = option(
        None,
        f"What to rank by, an expression of metrics; by default the study's own, for a csv {DEFAULT_FITNESS}.",
        SEARCH,
    )


@dataclass(frozen=True, kw_only=True)
class Report(Stored):
    """The options of `hypevo report`."""

    study: str | None = argument(_ONLY, default=None)
    out: Path | None = option(
        None, "File of the page, or a folder for it; report.html in the study's folder by default.", PLACES
    )
    fitness: str | None = option(None, _RANK, SEARCH)


@dataclass(frozen=True, kw_only=True)
class Describe(Checked):
    """What `hypevo trainer` is asked."""

    trainer: str = argument(
        "yolov5, trainers.external.ultralytics, … or your own module:function.",
        default="yolov5",
    )
    options: Mapping[str, Any] = field(default_factory=dict, metadata={"hidden": True})


@dataclass(frozen=True, kw_only=True)
class Ui(Stored):
    """The options of `hypevo ui`."""

    mlflow_port: int = option(5000, "Port of MLflow's page.", PLACES, least=1)
    dashboard_port: int = option(8080, "Port of optuna-dashboard.", PLACES, least=1)
