"""A YOLOv5 checkout of the user's own as the trainer: its `train.py` is started as a program, with our hyperparameters.

hypevo evolve --trainer trainers.external.yolov5_repo:train --repo ~/yolov5 --data coco128.yaml --weights yolov5s.pt
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .command import write_hyp
from .epochs import follow
from .results import read_results

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .. import Report

SPACE = "yolov5"
FITNESS = "0.1*mAP_0.5 + 0.9*mAP_0.5:0.95"
METRICS = ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95", "box_loss", "obj_loss", "cls_loss")


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Settings:
    """What `train.py` is started with.

    Raises:
        ValueError: There is no `train.py` in the checkout.
    """

    repo: str = _option("yolov5", "folder of the checkout")
    data: str = _option("coco128.yaml", "--data of train.py")
    weights: str = _option("yolov5s.pt", "--weights of train.py")
    epochs: int = _option(10, "--epochs of train.py")
    img: int = _option(640, "--imgsz of train.py")
    batch: int = _option(16, "--batch-size of train.py")
    optimizer: str = _option("SGD", "--optimizer of train.py")
    extra: str = _option("", "more options of train.py, as one text")

    def __post_init__(self) -> None:
        if not (Path(self.repo).expanduser() / "train.py").is_file():
            raise ValueError(f"repo: expected a YOLOv5 checkout; there is no train.py in {self.repo}")


def train(
    hyp: Mapping[str, float], *, out: Path, seed: int, device: str, report: Report, settings: Settings
) -> dict[str, float]:
    """Run `train.py` once and return the metrics of its last epoch.

    Raises:
        RuntimeError: It failed, or ended without results.
    """
    options = {
        "hyp": write_hyp(hyp, out / "hyp_given.yaml"),
        "data": _found(settings.data),
        "weights": _found(settings.weights),
        "epochs": settings.epochs,
        "imgsz": settings.img,
        "batch-size": settings.batch,
        "optimizer": settings.optimizer,
        "seed": seed,
        "device": "0" if device.startswith("cuda") else device,
        "project": out,
        "name": "train",
    }
    script = Path(settings.repo).expanduser().resolve() / "train.py"
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, str(script), *words, "--noplots", "--exist-ok", *shlex.split(settings.extra)]
    epochs = follow(
        command, rows=lambda ended: read_results(out, "train/results.csv", {}, ended=ended), report=report
    )
    if not epochs:
        raise RuntimeError("train.py ended without results")
    return epochs[-1]


def _found(name: str) -> str:
    """A path that exists here as an absolute one; other names are for the checkout to find."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name
