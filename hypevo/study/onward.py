"""The commands that go on from a study, with its own names, files and options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypevo.problem.options import option_name
from hypevo.problem.settings import BUILT_IN, EMBEDDED, Stored
from hypevo.study.exports import HYP
from hypevo.study.interchange import BEST_HYPERPARAMETERS, CHECKOUT, ULTRALYTICS
from hypevo.study.opening import study_folder
from hypevo.study.storage import load_plan, trained_by

if TYPE_CHECKING:
    import optuna

_KEPT = (
    "data",
    "weights",
    "model",
    "repo",
    "python",
    "img",
    "batch",
    "epochs",
)  # what a person types of a detector's


def onward(study: optuna.Study, storage: str) -> dict[str, list[str]]:
    """What can be done next with a study that has a best trial: what it is for, and the words of the command.

    Raises:
        InputError: The study's folder is another study's now.
    """
    plan, folder = load_plan(study), study_folder(study, Path("runs/evolve"))
    where = [] if storage == Stored().storage else ["--storage", storage]
    which = ["--study", study.study_name, *where]
    hyp = str(folder / HYP)
    found = {
        "does the winner win": ["hypevo", "confirm", *which],
        "train with it": ["hypevo", "train", "--hyp", hyp, *_options(plan.trainer, trained_by(study))],
    }
    given = {name: str(value) for name, value in plan.settings.items() if value not in ("", None)}
    if given.get("data") in (None, EMBEDDED):
        return found  # other programs do not have the embedded dataset
    if plan.trainer in (BUILT_IN, CHECKOUT):
        options = [("--data", "data"), ("--weights", "weights"), ("--img", "img"), ("--epochs", "epochs")]
        words = [
            word for name, key in options if key in given for word in (name, _from_elsewhere(given[key]))
        ]
        anchors = "anchors" in plan.hyp and "weights" in given
        note = (
            " (first delete the line «anchors» from a copy: there it drops those of the weights)"
            if anchors
            else ""
        )
        found[f"in YOLOv5{note}"] = ["python", "train.py", "--hyp", str(Path(hyp).resolve()), *words]
    if plan.trainer == ULTRALYTICS:
        options = [("model", "weights"), ("data", "data"), ("imgsz", "img"), ("epochs", "epochs")]
        words = [f"{name}={given[key]}" for name, key in options if key in given]
        found["for Ultralytics"] = ["hypevo", "export", "--format", "ultralytics", *which]
        found["then"] = ["yolo", "train", f"cfg={folder / BEST_HYPERPARAMETERS}", *words]
    return found


def _from_elsewhere(value: str) -> str:
    """A file's whole path, since the command is typed in another folder; what is no file is left as it is."""
    return str(Path(value).resolve()) if Path(value).is_file() else value


def _options(trainer: str, values: dict[str, Any]) -> list[str]:
    """The trainer and its options as they are typed; of a detector's the ones that a person types."""
    known = trainer in (BUILT_IN, CHECKOUT, ULTRALYTICS)
    named = [] if trainer == BUILT_IN else ["--trainer", trainer]
    if trainer == BUILT_IN and values.get("data") in (None, EMBEDDED):
        return named
    kept = {
        name: one for name, one in values.items() if one not in ("", None) and (not known or name in _KEPT)
    }
    if trainer == BUILT_IN and "weights" in kept:
        kept.pop("model", None)
    return [*named, *(word for name, one in kept.items() for word in (option_name(name), _typed(one)))]


def _typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
