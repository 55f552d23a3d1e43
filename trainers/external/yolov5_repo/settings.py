"""What a study with a YOLOv5 checkout fixes for all its trainings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...checkout import checkout, python_for

EMBEDDED = "digits"


def _option(default: Any, text: str, *, changes_results: bool = True) -> Any:
    return field(default=default, metadata={"help": text, "changes_results": changes_results})


def _set_by_prepare(text: str) -> Any:
    return field(default="", metadata={"help": text, "hidden": True, "changes_results": False})


@dataclass(frozen=True)
class Settings:
    """What `train.py` is started with.

    Raises:
        ValueError: There is no checkout, no Python for it, or an option that no training can run with.
    """

    repo: str = _option("yolov5", "folder of the checkout")
    data: str = _option("coco128.yaml", "--data of train.py, or `digits`: the embedded dataset")
    weights: str = _option("", "--weights of train.py (default yolov5s.pt; none with --model)")
    model: str = _option("", "--cfg of train.py, to train from scratch: yolov5n.yaml")
    epochs: int = _option(10, "--epochs of train.py")
    img: int = _option(640, "--imgsz of train.py, multiple of 32")
    batch: int = _option(16, "--batch-size of train.py")
    optimizer: str = _option("SGD", "--optimizer of train.py: SGD, Adam or AdamW")
    workers: int = _option(8, "--workers of train.py", changes_results=False)
    cache: str = _option("", "--cache of train.py: ram or disk", changes_results=False)
    take: str = _option(
        "last", "epoch whose metrics a training returns: last (as YOLOv5's evolution) or best"
    )
    extra: str = _option("", "more options of train.py, as one text")
    python: str = _option(
        "",
        "the Python that runs it; by default that of the environment in the checkout (.venv, venv), else hypevo's own",
        changes_results=False,
    )
    source: str = _set_by_prepare("data.yaml whose paths are absolute")
    start: str = _set_by_prepare("the weights, as a file that is here")

    def __post_init__(self) -> None:
        folder = checkout(self.repo)
        derived = {
            "repo": str(folder),
            "python": python_for(folder, self.python),
            "weights": self.weights or ("" if self.model else "yolov5s.pt"),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        for name, choices in (
            ("optimizer", ("SGD", "Adam", "AdamW")),
            ("cache", ("", "ram", "disk")),
            ("take", ("last", "best")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name}: expected {' or '.join(filter(None, choices))}, got {getattr(self, name)!r}"
                )
        for name, low in (("epochs", 1), ("batch", 1), ("img", 32), ("workers", 0)):
            if getattr(self, name) < low:
                raise ValueError(f"{name}: expected {low} or more, got {getattr(self, name)}")
        if self.img % 32:
            lower = self.img // 32 * 32
            raise ValueError(f"img: expected a multiple of 32, got {self.img}; use {lower} or {lower + 32}")

    @property
    def folder(self) -> Path:
        """The checkout."""
        return Path(self.repo)
