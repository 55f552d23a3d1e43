"""One training of a checkout, and one validation by its own val.py."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ...checkout import QUIET, ask_checkout
from ...interpreter import FOREIGN
from ..epochs import chosen, follow
from ..results import read_results
from .preflight import prepare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ... import Report
    from ..epochs import Fitness
    from .settings import Settings

RESULTS = "results.csv"
_ANCHORS = 3  # of each level of every published network


def train(
    hyp: Mapping[str, Any],
    *,
    out: Path,
    seed: int,
    device: str,
    report: Report,
    settings: Settings,
    fitness: Fitness | None,
) -> dict[str, float]:
    """Train once; `trainers.external.yolov5_repo.train` says what the arguments mean."""
    if not settings.source:
        settings = prepare(settings, out / "cache")
    (out / RESULTS).unlink(missing_ok=True)
    epochs = follow(
        command_line(settings, hyp, out, seed, device),
        rows=lambda ended: read_results(out, RESULTS, {}, ended=ended),
        report=report,
        cwd=settings.folder,
        variables=FOREIGN | QUIET,
    )
    if not epochs:
        raise RuntimeError("train.py ended without results")
    return chosen(epochs, settings.take, fitness)


def command_line(settings: Settings, hyp: Mapping[str, Any], out: Path, seed: int, device: str) -> list[str]:
    """The words that start a training; the hyp file is written."""
    options = {
        "hyp": write_hyp(hyp, out),
        "data": settings.source,
        "weights": settings.start,
        **({"cfg": settings.model} if settings.model else {}),
        "epochs": settings.epochs,
        "imgsz": settings.img,
        "batch-size": settings.batch,
        "optimizer": settings.optimizer,
        "workers": settings.workers,
        **({"cache": settings.cache} if settings.cache else {}),
        "seed": seed,
        "device": device_option(device),
        "project": out,
        "name": ".",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    script = str(settings.folder / "train.py")
    return [settings.python, script, *words, "--noplots", "--exist-ok", *shlex.split(settings.extra)]


def device_option(device: str) -> str:
    """The option `--device`; empty on CUDA.

    CUDA_VISIBLE_DEVICES shows the process one GPU. Given an index, YOLOv5 sets that variable to it, and leaves the GPU.
    """
    return "" if device.startswith("cuda") else device


def write_hyp(hyp: Mapping[str, Any], out: Path) -> Path:
    """Write the hyp file, and return it.

    Three anchors are what every published network has: that value is left out, as YOLOv5's own hyp files do. Named, it
    would have YOLOv5 throw away the anchors of the weights.
    """
    kept = {name: value for name, value in hyp.items() if name != "anchors" or round(value) != _ANCHORS}
    out.mkdir(parents=True, exist_ok=True)
    path = out / "hyp_given.yaml"
    path.write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")
    return path


def validate(settings: Settings, device: str) -> dict[str, float]:
    """What the checkout's val.py measures of the settings' weights."""
    with tempfile.TemporaryDirectory() as temporary:
        question = {
            "data": settings.source,
            "weights": settings.start,
            "imgsz": settings.img,
            "batch_size": settings.batch,
            "workers": settings.workers,
            "device": device_option(device),
            "project": temporary,
        }
        numbers = ask_checkout(settings.folder, settings.python, _VALIDATE, question)
    return dict(zip(("precision", "recall", "mAP_0.5", "mAP_0.5:0.95"), numbers, strict=True))


_VALIDATE = """
import pathlib
import val
given = {name: value for name, value in question.items() if name != "project"}
half = question["device"] == ""
results = val.run(**given, half=half, plots=False, project=pathlib.Path(question["project"]), name=".", exist_ok=True)
answer([float(number) for number in results[0][:4]])
"""
