"""The commands that go on from a study, with its own names, files and options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypevo.problem.fitness import DEFAULT_FITNESS
from hypevo.problem.options import option_name
from hypevo.problem.settings import BUILT_IN, EMBEDDED, Stored
from hypevo.study.chosen import Chosen
from hypevo.study.interchange import BEST_HYPERPARAMETERS, CHECKOUT, ULTRALYTICS
from hypevo.study.opening import study_folder
from hypevo.study.storage import load_plan
from hypevo.trainings.resolve import resolve

if TYPE_CHECKING:
    import optuna

_OURS = (BUILT_IN, CHECKOUT, ULTRALYTICS)
_WHAT = ("data", "weights", "model", "repo", "python")  # what is trained, which no default stands for


def onward(study: optuna.Study, storage: str, winner: Chosen) -> dict[str, list[str]]:
    """What can be done next with a study that has a best trial: what it is for, and the words of the command.

    Where the best is the default, or has its verdict, there is nothing to confirm. `winner` is what to train with.

    Raises:
        InputError: The study's folder is another study's now.
    """
    plan, which = load_plan(study), study_words(study, storage)
    found: dict[str, list[str]] = {}
    if winner.asks:
        found["does the winner win"] = ["hypevo", "confirm", *which]
    if winner.file is None:
        return found
    hyp = winner.file
    found[f"train with {winner.said}"] = train_words(plan.trainer, hyp, winner.settings, plan.fitness)
    given = {name: str(value) for name, value in winner.settings.items() if value not in ("", None)}
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
        found[f"in YOLOv5{note}"] = ["python", "train.py", "--hyp", str(hyp.resolve()), *words]
    if plan.trainer == ULTRALYTICS and winner.is_best:  # export writes the best trial
        options = [("model", "weights"), ("data", "data"), ("imgsz", "img"), ("epochs", "epochs")]
        words = [f"{name}={given[key]}" for name, key in options if key in given]
        found["for Ultralytics"] = ["hypevo", "export", "--format", "ultralytics", *which]
        cfg = study_folder(study, Path("runs/evolve")) / BEST_HYPERPARAMETERS
        found["then"] = ["yolo", "train", f"cfg={cfg}", *words]
    return found


def study_words(study: optuna.Study, storage: str) -> list[str]:
    """How a study is typed."""
    where = [] if storage == Stored().storage else ["--storage", storage]
    return ["--study", study.study_name, *where]


def train_words(trainer: str, hyp: Path, settings: Mapping[str, Any], fitness: str) -> list[str]:
    """How a training with a hyp file is typed.

    Args:
        trainer: Its full name.
        hyp: The file.
        settings: The trainer's.
        fitness: What is maximised.
    """
    return [
        *("hypevo", "train", *trainer_words(trainer), "--hyp", str(hyp)),
        *option_words(trainer, settings),
        *fitness_words(trainer, fitness),
    ]


def _from_elsewhere(value: str) -> str:
    """A file's whole path, since the command is typed in another folder; what is no file is left as it is."""
    return str(Path(value).resolve()) if Path(value).is_file() else value


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
