"""What a study with Ultralytics fixes for all its trainings."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...interpreter import environment_python, given_python

EMBEDDED = "digits"
TASKS = ("detect", "segment", "pose", "obb", "classify")
_OURS = {  # what hypevo says itself, and must not be said twice
    "project": "the trial's folder is hypevo's: --out",
    "name": "the trial's folder is hypevo's: --out",
    "exist_ok": "the trial's folder is hypevo's: --out",
    "seed": "it is --seed",
    "device": "it is --device",
    "resume": "the same command goes on with the same study",
    "data": "it is --data",
    "model": "it is --model, or --weights for a checkpoint",
    "pretrained": "it is --weights",
    "epochs": "it is --epochs",
    "imgsz": "it is --img",
    "batch": "it is --batch",
    "optimizer": "it is --optimizer",
    "task": "it is --task",
    "mode": "hypevo trains",
}


def _option(default: Any, text: str, *, changes_results: bool = True, choices: tuple[str, ...] = ()) -> Any:
    return field(
        default=default, metadata={"help": text, "changes_results": changes_results, "choices": choices}
    )


def _set_by_prepare(text: str) -> Any:
    return field(default="", metadata={"help": text, "hidden": True, "changes_results": False})


@dataclass(frozen=True)
class Settings:
    """The options of `yolo train` that are not hyperparameters.

    Raises:
        ValueError: An option has a value that no training can run with.
    """

    data: str = _option("", "data.yaml of the dataset, as `yolo` takes it, or `digits`: the embedded one")
    model: str = _option("", "network to train from scratch: yolo11n.yaml, a yaml of your own")
    weights: str = _option("", "checkpoint to fine-tune: yolo11n.pt, one of your own")
    task: str = _option("detect", "what the network does", choices=TASKS)
    epochs: int = _option(10, "epochs of a training")
    img: int = _option(640, "longest image side in pixels, multiple of 32")
    batch: int = _option(16, "images of a training batch")
    optimizer: str = _option("SGD", "SGD, MuSGD, Adam, AdamW, NAdam, RAdam, RMSProp; never auto")
    workers: int = _option(8, "processes that load images", changes_results=False)
    cache: str = _option(
        "", "keep decoded images: ram or disk", changes_results=False, choices=("", "ram", "disk")
    )
    amp: bool = _option(True, "mixed precision on CUDA")
    fraction: float = _option(1.0, "part of the training images to use, above 0 to 1")
    patience: int = _option(100, "epochs without a gain after which a training ends early; 0: never")
    take: str = _option("last", "epoch whose metrics a training returns", choices=("last", "best"))
    extra: str = _option("", 'more options of `yolo train`, as one text: "cos_lr=True freeze=10"')
    python: str = _option(
        "",
        "the Python that has ultralytics, or its environment's folder; that of `yolo` on the PATH by default",
        changes_results=False,
    )
    source: str = _set_by_prepare("data.yaml whose paths are absolute")
    start: str = _set_by_prepare("the weights, as a file that is here")

    def __post_init__(self) -> None:
        if self.python:
            object.__setattr__(self, "python", given_python(self.python))
        if self.model.endswith((".pt", ".pth")):
            raise ValueError(f"model: {self.model} is a checkpoint; expected it as --weights {self.model}")
        for name, choices in (("task", TASKS), ("cache", ("", "ram", "disk")), ("take", ("last", "best"))):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name}: expected {' or '.join(filter(None, choices))}, got {getattr(self, name)!r}"
                )
        if self.optimizer.lower() in ("", "auto"):
            raise ValueError(
                "optimizer: with auto, Ultralytics ignores lr0 and momentum, which are searched; expected a name: "
                "SGD, AdamW"
            )
        for name, low in (("epochs", 1), ("batch", 1), ("img", 32), ("workers", 0), ("patience", 0)):
            if getattr(self, name) < low:
                raise ValueError(f"{name}: expected {low} or more, got {getattr(self, name)}")
        if self.img % 32:
            lower = self.img // 32 * 32
            raise ValueError(f"img: expected a multiple of 32, got {self.img}; use {lower} or {lower + 32}")
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction: expected more than 0, up to 1, got {self.fraction}")
        self.more()

    @property
    def lacks(self) -> str:
        """What a training needs and was not given; empty when it can begin. Genes and metrics can be told without."""
        if not self.data:
            return "data: expected a data.yaml or `digits`, got nothing"
        if not self.model and not self.weights:
            return (
                "weights: expected a checkpoint to fine-tune (--weights yolo11n.pt), or a network to train from "
                "scratch (--model yolo11n.yaml); got neither"
            )
        return ""

    def more(self) -> dict[str, str]:
        """The options in `extra`, by name.

        Raises:
            ValueError: One is not written as name=value, or is hypevo's to say.
        """
        options: dict[str, str] = {}
        for word in shlex.split(self.extra):
            name, equals, value = word.removeprefix("--").partition("=")
            if not equals or not name.isidentifier():
                raise ValueError(f"extra: expected name=value, as in cos_lr=True; got {word}")
            if name in _OURS:
                raise ValueError(f"extra: {name} is not given there; {_OURS[name]}")
            options[name] = value
        return options

    @property
    def interpreter(self) -> str:
        """The Python that has ultralytics.

        Raises:
            ValueError: None was given, and there is no `yolo` on the PATH.
        """
        if self.python:
            return self.python
        yolo = shutil.which("yolo")
        if yolo is None:
            raise ValueError(
                "python: there is no `yolo` on the PATH; expected --python with the environment that has "
                "ultralytics (one without it: pip install ultralytics)"
            )
        return _python_of(Path(yolo))


def _python_of(program: Path) -> str:
    """The Python that a console script runs with: named in its first line, or in the folder beside it."""
    with program.open("rb") as file:
        first = file.readline(4096)
    if first.startswith(b"#!"):
        python = Path(first[2:].decode("utf-8", "replace").strip())
        if python.name.startswith("python") and python.is_file():
            return str(python)
    for folder in (program.parent, program.resolve().parent):
        found = environment_python(folder.parent)
        if found is not None:
            return str(found)
    raise ValueError(f"python: cannot tell the Python of {program}; expected it as --python")
