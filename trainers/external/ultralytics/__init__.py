"""Ultralytics' YOLO (YOLOv8 to YOLO26, RT-DETR) as the trainer: a program of the user's environment, never imported.

    hypevo evolve --trainer trainers.external.ultralytics --weights yolo11n.pt --data coco8.yaml --epochs 30

The genes are those of its own tuner. In a training its trackers are off, and it neither installs nor fetches anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ... import Report
    from ..epochs import Fitness

__all__ = [
    "FITNESS",
    "METRICS",
    "SPACE",
    "Settings",
    "check",
    "fingerprint",
    "prepare",
    "train",
    "validate",
    "versions",
]

_BOXES = ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95")
_LOSSES = ("box_loss", "cls_loss", "dfl_loss")
_SECOND = {"segment": "_mask", "pose": "_pose"}  # what these tasks measure besides boxes
_FITNESS = "0.1*mAP_0.5{0} + 0.9*mAP_0.5:0.95{0}"


def METRICS(settings: Settings) -> tuple[str, ...]:  # noqa: N802 - a trainer's METRICS may be a function
    """The metrics of the task."""
    if settings.task == "classify":
        return ("accuracy_top1", "accuracy_top5")
    second = _SECOND.get(settings.task)
    return (*_BOXES, *(name + second for name in _BOXES)) if second else (*_BOXES, *_LOSSES)


def FITNESS(settings: Settings) -> str:  # noqa: N802 - the same
    """What its own tuner maximises in YOLOv5's weights: of boxes, and of masks or poses where there are some."""
    if settings.task == "classify":
        return "(accuracy_top1 + accuracy_top5) / 2"
    return " + ".join(_FITNESS.format(kind) for kind in ("", _SECOND.get(settings.task)) if kind is not None)


def SPACE(settings: Settings, cache: Path) -> dict[str, dict[str, Any]]:  # noqa: N802 - the same
    """The genes of the installed version's own tuner, with its bounds and its own defaults."""
    from .preflight import space

    return space(settings, cache)


def train(
    hyp: Mapping[str, Any],
    *,
    out: Path,
    seed: int,
    device: str,
    report: Report,
    settings: Settings,
    fitness: Fitness | None = None,
) -> dict[str, float]:
    """Run `yolo train` once and return the metrics of its last epoch, or of the fittest.

    Raises:
        RuntimeError: It failed, or ended without results.
        ValueError: The data or the weights cannot be used.
    """
    from .training import train as run

    return run(hyp, out=out, seed=seed, device=device, report=report, settings=settings, fitness=fitness)


def validate(settings: Settings, *, device: str = "cpu") -> dict[str, float]:
    """Return what `yolo val` measures of the settings' weights on the validation images of their dataset."""
    from .training import validate as run

    return run(settings, device)


def check(
    settings: Settings,
    hyp: Mapping[str, Any],
    space: Mapping[str, Mapping[str, Any]],
    cache: Path | None = None,
) -> list[tuple[str, str]]:
    """Return findings before a search starts; the installed version is asked, nothing is trained or fetched."""
    from .preflight import check as run

    return run(settings, hyp, space, cache)


def prepare(settings: Settings, cache: Path) -> Settings:
    """Have Ultralytics fetch what is not here, and write a data.yaml with absolute paths for all trainings."""
    from .preflight import prepare as run

    return run(settings, cache)


def fingerprint(settings: Settings) -> str:
    """Identify the content of the dataset of prepared settings, wherever it lies."""
    from ..dataset import fingerprint as run

    return run(Path(settings.source))


def versions(settings: Settings) -> dict[str, str]:
    """The versions of ultralytics and of what it runs on."""
    from ...interpreter import versions as run

    return run(settings.interpreter, ("ultralytics", "torch", "torchvision", "numpy"))
