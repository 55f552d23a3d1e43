"""A study's winner in the files of other programs: weights for YOLOv5, hyperparameters for Ultralytics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypevo.files import write_atomically
from hypevo.protocol import InputError
from hypevo.results.hyp_file import yaml_value
from hypevo.study.attributes import metrics_of
from hypevo.study.chosen import chosen
from hypevo.study.exports import trained_with
from hypevo.study.opening import TRIALS, study_folder
from hypevo.study.rescore import Ranked, load_ranked
from hypevo.study.storage import METRICS, finished, load_plan
from hypevo.study.tally import Tally
from hypevo.trainings import child

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

ULTRALYTICS, BUILT_IN, CHECKOUT = (
    "trainers.external.ultralytics:train",
    "trainers.yolov5:train",
    "trainers.external.yolov5_repo:train",
)
BEST_HYPERPARAMETERS = "best_hyperparameters.yaml"  # as Ultralytics' tuner calls it


def export_ultralytics(
    storage: str,
    study: str | None,
    folder: Path | None,
    fitness: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write the winner as Ultralytics' tuner writes its own: `yolo train cfg=best_hyperparameters.yaml` reads it.

    Raises:
        InputError: no such study, nothing has finished in it, or its genes are another trainer's.
    """
    ranked, best = _winner(storage, study, fitness, tell)
    found = ranked.study
    plan = load_plan(found)
    if plan.trainer != ULTRALYTICS:
        raise InputError(
            f"--format ultralytics: study «{found.study_name}» was trained by {plan.trainer}, whose hyperparameters "
            "mean other things; expected a study of trainers.external.ultralytics"
        )
    _tell_another(ranked, best, tell)
    metrics = metrics_of(best, found.user_attrs.get(METRICS, ()))
    lines = [
        f"# hypevo: study «{found.study_name}», {len(finished(found))} trials",
        *([f"# Ranked by another fitness: {ranked.other_fitness}"] if ranked.other_fitness else []),
        f"# Best fitness={best.value:.5f} observed at trial {best.number}",
        f"# Best fitness metrics are { ({name: round(value, 5) for name, value in metrics.items()}) }",
        "",
        *(f"{name}: {yaml_value(value)}" for name, value in trained_with(best, plan).items()),
    ]
    path = ranked.place(folder) / BEST_HYPERPARAMETERS
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "\n".join(lines) + "\n")
    return path


def export_yolov5(
    storage: str,
    study: str | None,
    folder: Path | None,
    call: Callable[..., Any],
    *,
    repo: str,
    python: str = "",
    weights: Path | None = None,
    fitness: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Path, str]:
    """Have a checkout write weights that its own programs load: those of the winner, or a file's.

    Args:
        storage: Where the study is.
        study: Its name; the only one when left out.
        folder: Where to write; beside the given weights, or into the study's folder, when left out.
        call: Runs a function in a process of its own, with its arguments.
        repo: The checkout.
        python: Its Python.
        weights: A checkpoint of the built-in trainer, instead of the winner's.
        fitness: Whose winner; the study's own unless given.
        tell: Told what a user should know of a ranking by another fitness.

    Returns:
        The file, and what it holds, in words.

    Raises:
        InputError: there are no such weights, or the checkout cannot write them.
    """
    if weights is None:
        ranked, best = _winner(storage, study, fitness, tell)
        found = ranked.study
        weights = _weights_of(found, best, study_folder(found, Path("runs/evolve")))
        _tell_another(ranked, best, tell)
        place = ranked.place(folder)
        place.mkdir(parents=True, exist_ok=True)
        target = place / f"{found.study_name}-yolov5.pt"
    else:
        target = (folder or weights.parent) / f"{weights.stem}-yolov5.pt"
    said: str = call(child.export_weights, BUILT_IN, weights, target, {"repo": repo, "python": python})
    return target, said


def _winner(
    storage: str, study: str | None, fitness: str | None, tell: Callable[[str], None]
) -> tuple[Ranked, FrozenTrial]:
    ranked = load_ranked(storage, study, fitness)
    for note in ranked.notes:
        tell(note)
    best = Tally(finished(ranked.study)).best
    if best is None:
        raise InputError(f"study «{ranked.study.study_name}» has no finished trial yet")
    return ranked, best


def _tell_another(ranked: Ranked, best: FrozenTrial, tell: Callable[[str], None]) -> None:
    """Say so where a confirmation leaves something else to train with than the best trial."""
    if ranked.other_fitness:
        return
    try:
        winner = chosen(ranked.study)
    except InputError:  # the folder is another study's now
        return
    if winner is not None and not winner.is_best:
        tell(
            f"this is trial {best.number}, the best of the search; `hypevo status` says to train with {winner.said}"
        )


def _weights_of(study: optuna.Study, best: FrozenTrial, home: Path) -> Path:
    """The weights that the winner's metrics were measured with."""
    plan = load_plan(study)
    folder = home / TRIALS / f"{best.number:04d}" / "weights"
    if plan.trainer == CHECKOUT:
        raise InputError(
            f"--format yolov5: study «{study.study_name}» was trained by a checkout; its weights are YOLOv5's own "
            f"already, in {folder}"
        )
    if plan.trainer != BUILT_IN:
        raise InputError(
            f"--format yolov5: study «{study.study_name}» was trained by {plan.trainer}; expected one of the built-in "
            "trainer, or one of its checkpoints with --weights"
        )
    name = "best.pt" if plan.settings.get("report_epoch") == "best" else "last.pt"
    if not (folder / name).is_file():
        raise InputError(
            f"--format yolov5: the winner, trial {best.number}, has no weights any more ({folder / name}); make them "
            f"again with `hypevo train --from-trial {best.number} --from-study {study.study_name}`, then give them "
            "with --weights"
        )
    return folder / name
