"""The commands that go on from a study, with its own names, files and options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypevo.problem.fitness import DEFAULT_FITNESS
from hypevo.problem.options import option_name
from hypevo.problem.settings import BUILT_IN, EMBEDDED, Stored
from hypevo.study.account import changes
from hypevo.study.exports import HYP
from hypevo.study.interchange import BEST_HYPERPARAMETERS, CHECKOUT, ULTRALYTICS
from hypevo.study.opening import study_folder
from hypevo.study.standing import Standing, standing
from hypevo.study.storage import load_plan, trained_by
from hypevo.trainings.resolve import resolve

if TYPE_CHECKING:
    import optuna

_OURS = (BUILT_IN, CHECKOUT, ULTRALYTICS)
_WHAT = ("data", "weights", "model", "repo", "python")  # what is trained, which no default stands for


def onward(study: optuna.Study, storage: str) -> dict[str, list[str]]:
    """What can be done next with a study that has a best trial: what it is for, and the words of the command.

    Where the best is the default, or has its verdict, there is nothing to confirm.

    Raises:
        InputError: The study's folder is another study's now.
    """
    plan, folder = load_plan(study), study_folder(study, Path("runs/evolve"))
    where = [] if storage == Stored().storage else ["--storage", storage]
    which = ["--study", study.study_name, *where]
    hyp = str(folder / HYP)
    stands, found = standing(study), {}
    if stands.best is not None and changes(plan, stands.best) and not _judged(stands):
        found["does the winner win"] = ["hypevo", "confirm", *which]
    found["train with it"] = [
        *("hypevo", "train", "--hyp", hyp, *trainer_words(plan.trainer)),
        *option_words(plan.trainer, trained_by(study)),
        *fitness_words(plan.trainer, plan.fitness),
    ]
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


def _judged(stands: Standing) -> bool:
    """Whether the last confirmation was of the best trial."""
    verdicts = (stands.verdict or {}).get("verdicts", ())
    return stands.best is not None and any(
        one.get("candidate") == f"trial {stands.best.number}" for one in verdicts
    )


def fitness_words(trainer: str, fitness: str) -> list[str]:
    """How a study's fitness is typed; nothing where one of our trainers has it anyway."""
    return [] if trainer in _OURS and fitness == DEFAULT_FITNESS else ["--fitness", fitness]


def trainer_words(trainer: str) -> list[str]:
    """How a trainer is typed; nothing for the one that is taken anyway."""
    return [] if trainer == BUILT_IN else ["--trainer", trainer]


def option_words(trainer: str, values: Mapping[str, Any]) -> list[str]:
    """A trainer's options as they are typed: of our own trainers those that differ from what they have anyway."""
    kept = {name: one for name, one in values.items() if one not in ("", None)}
    if trainer in _OURS:
        kept = _telling(trainer, kept)
    if trainer == BUILT_IN and "weights" in kept:
        kept.pop("model", None)
    return [word for name, one in kept.items() for word in (option_name(name), _typed(one))]


def _telling(trainer: str, values: Mapping[str, Any]) -> dict[str, Any]:
    found = resolve(trainer)  # ours are cheap to import
    embedded = trainer == BUILT_IN and values.get("data") in (None, EMBEDDED)
    what = {} if embedded else {name: values[name] for name in _WHAT if name in values}
    usual = found.settings(what)
    shown = {one.field for one in found.options}
    return {
        name: value
        for name, value in values.items()
        if name in what or (name in shown and value != getattr(usual, name))
    }


def _typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
