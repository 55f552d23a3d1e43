"""A YOLOv5 checkout of the user's own as the trainer: its `train.py` is started as a program, with our hyperparameters.

    hypevo evolve --trainer trainers.external.yolov5_repo --repo ~/yolov5 --data coco128.yaml --weights yolov5s.pt

Names of data and networks mean what they mean to the checkout; a path that exists here is that path. Its installs and
its look for newer commits are off.
"""

from __future__ import annotations

import tempfile
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

SPACE = "yolov5"
FITNESS = "0.1*mAP_0.5 + 0.9*mAP_0.5:0.95"
METRICS = ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95", "box_loss", "obj_loss", "cls_loss")


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
    """Run `train.py` once and return the metrics of its last epoch, or of the fittest.

    Raises:
        RuntimeError: It failed, or ended without results.
        ValueError: The data or the weights cannot be used.
    """
    from .training import train as run

    return run(hyp, out=out, seed=seed, device=device, report=report, settings=settings, fitness=fitness)


def check(
    settings: Settings,
    hyp: Mapping[str, Any],
    space: Mapping[str, Mapping[str, Any]],
    cache: Path | None = None,
) -> list[tuple[str, str]]:
    """Return findings before a search starts; the checkout is asked, nothing is trained and nothing fetched."""
    from .preflight import check as run

    return run(settings, hyp, space, cache)


def prepare(settings: Settings, cache: Path) -> Settings:
    """Have the checkout fetch what is not here, and write a data.yaml with absolute paths for all trainings."""
    from .preflight import prepare as run

    return run(settings, cache)


def fingerprint(settings: Settings) -> str:
    """Identify the content of the dataset of prepared settings, wherever it lies."""
    from ..dataset import fingerprint as run

    return run(Path(settings.source))


def versions(settings: Settings) -> dict[str, str]:
    """The commit of the checkout and the versions of its packages."""
    from .installed import versions_of

    return versions_of(settings)


def validate(settings: Settings, *, device: str = "cpu") -> dict[str, float]:
    """Return what the checkout's val.py measures of the settings' weights on their dataset."""
    from .preflight import prepare as prepared
    from .training import validate as run

    with tempfile.TemporaryDirectory() as temporary:
        return run(settings if settings.source else prepared(settings, Path(temporary)), device)
