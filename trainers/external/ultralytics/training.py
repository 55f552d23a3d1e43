"""One training with Ultralytics, and one validation: the command line, and what its columns are called."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ...interpreter import FOREIGN, ask
from ..epochs import chosen, follow
from ..results import plain_name, read_results
from .installed import QUIET
from .preflight import prepare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ... import Report
    from ..epochs import Fitness
    from .settings import Settings

CONFIG = "ultralytics"  # folder of the trial's own settings file of Ultralytics
RESULTS = "results.csv"
COLUMNS = {  # of masks (M) and poses (P); those of boxes are known to `plain_name`
    f"metrics/{theirs}({kind})": ours + suffix
    for kind, suffix in (("M", "_mask"), ("P", "_pose"))
    for theirs, ours in (
        ("precision", "precision"),
        ("recall", "recall"),
        ("mAP50", "mAP_0.5"),
        ("mAP50-95", "mAP_0.5:0.95"),
    )
}

# In the settings file every tracker, the upload of statistics and all advice are off.
_ALONE = """
from ultralytics import settings
settings.update({name: False for name, value in settings.items() if value is True})
"""
_YOLO = """
from ultralytics.cfg import entrypoint
entrypoint()
"""
_VALIDATE = """
from ultralytics import YOLO
results = YOLO(question.pop("weights")).val(**question)
answer({name: float(value) for name, value in results.results_dict.items()})
"""


def train(
    hyp: Mapping[str, object],
    *,
    out: Path,
    seed: int,
    device: str,
    report: Report,
    settings: Settings,
    fitness: Fitness | None,
) -> dict[str, float]:
    """Train once; `trainers.external.ultralytics.train` says what the arguments mean."""
    if not settings.source:
        settings = prepare(settings, out / "cache")
    (out / RESULTS).unlink(missing_ok=True)
    epochs = follow(
        command_line(settings, hyp, out, seed, device),
        rows=lambda ended: read_results(out, RESULTS, COLUMNS, ended=ended),
        report=report,
        variables=variables(out),
    )
    if not epochs:
        raise RuntimeError("yolo train ended without results")
    return chosen(epochs, settings.take, fitness)


def validate(settings: Settings, device: str) -> dict[str, float]:
    """Measure the settings' weights; `trainers.external.ultralytics.validate` says what it returns."""
    with tempfile.TemporaryDirectory() as temporary:
        if not settings.source:
            settings = prepare(settings, Path(temporary))
        question = {
            "weights": settings.start,
            "data": settings.source,
            "imgsz": settings.img,
            "batch": settings.batch,
            "workers": settings.workers,
            "plots": False,
            "project": temporary,
            "name": ".",
            "exist_ok": True,
            **device_option(device),
        }
        found = ask(settings.interpreter, _ALONE + _VALIDATE, question, variables=variables(Path(temporary)))
    return {
        COLUMNS.get(name) or plain_name(name): value for name, value in found.items() if name != "fitness"
    }


def command_line(
    settings: Settings, hyp: Mapping[str, object], out: Path, seed: int, device: str
) -> list[str]:
    """The words that start a training."""
    options: dict[str, object] = {
        "model": settings.model or settings.start,
        **({"pretrained": settings.start} if settings.model and settings.start else {}),
        "data": settings.source,
        "epochs": settings.epochs,
        "imgsz": settings.img,
        "batch": settings.batch,
        "optimizer": settings.optimizer,
        "workers": settings.workers,
        "cache": settings.cache or False,
        "amp": settings.amp,
        "fraction": settings.fraction,
        "patience": settings.patience,
        "plots": False,
        **hyp,
        **settings.more(),
        "seed": seed,
        "project": out,
        "name": ".",
        "exist_ok": True,
        **device_option(device),
    }
    words = [f"{name}={value}" for name, value in options.items()]
    return [settings.interpreter, "-c", _ALONE + _YOLO, settings.task, "train", *words]


def variables(folder: Path) -> dict[str, str]:
    """What a process of Ultralytics finds in its environment: a settings file of its own, no installs, no fetching."""
    return FOREIGN | QUIET | {"YOLO_CONFIG_DIR": str(folder / CONFIG), "MPLBACKEND": "agg"}


def device_option(device: str) -> dict[str, str]:
    """The option `device`; none on CUDA, where CUDA_VISIBLE_DEVICES shows one GPU and `device=0` would override it."""
    return {} if device.startswith("cuda") else {"device": device}
