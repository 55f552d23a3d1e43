"""One training with Ultralytics, and one validation: the command line, and what its columns are called."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ...interpreter import FOREIGN, ask
from ...printable import printable
from ..program import run
from ..results_csv import FITNESS, ResultsCsv
from .installed import QUIET
from .preflight import prepare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ... import Report
    from .settings import Settings

CONFIG = "ultralytics"  # folder of the trial's own settings file of Ultralytics
_CLASSIFY = {"accuracy_top1": 0.5, "accuracy_top5": 0.5}
_NAMES = {"mAP50": "mAP_0.5", "mAP50-95": "mAP_0.5:0.95"}
_KINDS = {"B": "", "M": "_mask", "P": "_pose"}
_COLUMN = re.compile(r"(?:metrics|val)/(?P<name>.+?)(?:\((?P<kind>[BMP])\))?")

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
    hyp: Mapping[str, object], *, out: Path, seed: int, device: str, report: Report, settings: Settings
) -> dict[str, float]:
    """Train once; `trainers.external.ultralytics.train` says what the arguments mean."""
    if not settings.source:
        settings = prepare(settings, out / "cache")
    results = ResultsCsv(out / "results.csv", metric_name, report)
    run(command_line(settings, hyp, out, seed, device), variables=variables(out), look=results.look)
    return results.result(settings.take, _CLASSIFY if settings.task == "classify" else FITNESS)


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
    return {metric_name(name): value for name, value in found.items() if name != "fitness"}


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


def metric_name(column: str) -> str:
    """The metric that a column of results.csv holds; empty for one that holds none.

    `metrics/mAP50(B)` is `mAP_0.5`, of masks (M) `mAP_0.5_mask`, of poses (P) `mAP_0.5_pose`; losses of the
    validation lose their prefix, those of the training keep it.
    """
    column = column.strip()
    if column in ("", "epoch", "time"):
        return ""
    found = _COLUMN.fullmatch(column)
    if found is None:
        return printable(column)
    name = printable(found["name"])
    return _NAMES.get(name, name) + _KINDS[found["kind"] or "B"]
