"""What a study fixes for all its trainings: the dataset, the starting weights and the budget."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIZES = {  # depth and width multiples of the detector
    "p": (0.33, 0.125),
    "n": (0.33, 0.25),
    "s": (0.33, 0.50),
    "m": (0.67, 0.75),
    "l": (1.0, 1.0),
    "x": (1.33, 1.25),
}
LAYERS, LEARNING = (
    25,
    frozenset(range(25)) - {11, 12, 15, 16, 19, 22},
)  # of the detector; those with parameters
EMBEDDED = "digits"
EMBEDDED_WEIGHTS = Path(__file__).parents[1] / "digits.pt"
GENES = (  # hyperparameters that a training reads; `anchors` may be left out, `iou_t` has no effect
    *("lr0", "lrf", "momentum", "weight_decay", "warmup_epochs", "warmup_momentum", "warmup_bias_lr"),
    *("box", "cls", "cls_pw", "obj", "obj_pw", "iou_t", "anchor_t", "fl_gamma"),
    *("hsv_h", "hsv_s", "hsv_v", "degrees", "translate", "scale", "shear", "perspective"),
    *("flipud", "fliplr", "mosaic", "mixup", "copy_paste", "anchors"),
)
CACHES = ("auto", "disk", "ram", "none")
OPTIONAL_GENES = ("anchors", "iou_t")
_SCENARIOS = {  # (epochs, img, batch, warmup_floor) where the user gives none
    # A trial of seconds on a CPU: 42 iterations, of which the usual floor would make a warm-up all through.
    True: (6, 160, 16, 0),  # the embedded dataset
    False: (10, 640, 16, 100),
}


def _option(default: Any, text: str, *, changes_results: bool = True) -> Any:
    return field(default=default, metadata={"help": text, "changes_results": changes_results})


def _set_by_prepare(text: str) -> Any:
    return field(default="", metadata={"help": text, "hidden": True, "changes_results": False})


@dataclass(frozen=True)
class Settings:
    """The options of a training that are not hyperparameters.

    Options left out (their defaults) that depend on the dataset are decided when the settings are made: an
    instance always holds concrete values.

    Raises:
        ValueError: An option has a value that no training can run with.
    """

    data: str = _option(EMBEDDED, "data.yaml of the dataset, or `digits`: the embedded one")
    split: str = _option("val", "images that are validated, by their key in the data.yaml: val or test")
    weights: str = _option("", "checkpoint to fine-tune: yolov5*.pt or our own (embedded dataset: its own)")
    model: str = _option("", f"model size, {' '.join(SIZES)} (default: that of the weights)")
    epochs: int = _option(0, "epochs of a training (default 10; embedded dataset 6)")
    schedule_epochs: int = _option(
        0,
        "epochs that the learning rate's schedule is made for, of which a training runs the first `epochs`; "
        "0: as many as it runs",
    )
    img: int = _option(0, "longest image side in pixels, multiple of 32 (default 640; embedded dataset 160)")
    batch: int = _option(0, "images of a training batch (default 16)")
    val_batch: int = _option(0, "images of a validation batch (default 2 × batch; `val`: batch, at least 32)")
    optimizer: str = _option("SGD", "SGD, Adam or AdamW")
    cos_lr: bool = _option(False, "let the learning rate fall along a cosine instead of a line")
    label_smoothing: float = _option(0.0, "label smoothing of the class loss, 0 to 1")
    warmup_floor: int = _option(
        -1,
        "shortest warm-up in iterations; 0: as long as warmup_epochs says (default 100; embedded dataset 0)",
    )
    autoanchor: bool = _option(True, "replace anchors that fit the labels badly")
    freeze_norm: bool = _option(
        False,
        "keep the checkpoint's batch-norm statistics; those of a few images replace them otherwise, which costs a "
        "short fine-tuning more than it can gain",
    )
    freeze_layers: str = _option(
        "",
        "layers whose parameters stay as they are: 10 for the first ten, the backbone, or numbers as in 0,1,2; their "
        "batch-norm statistics still follow the images, unless freeze_norm",
    )
    val_every: int = _option(1, "validate every N epochs; 0: after the last one only")
    report_epoch: str = _option("last", "epoch whose metrics the training returns: last (as YOLOv5) or best")
    pictures: bool = _option(
        True, "draw the first training and validation batch at the end", changes_results=False
    )
    amp: bool = _option(True, "mixed precision (float16) on CUDA")
    bfloat16: bool = _option(False, "mixed precision on a CPU, a third faster where it has the instructions")
    deterministic: bool = _option(
        False,
        "on a GPU, only operations that repeat to the last digit, at a cost in speed; a CPU always repeats",
    )
    strict: bool = _option(
        False, "make skipped images and labels an error instead of a warning", changes_results=False
    )
    cache: str = _option(
        "auto",
        "resized images: disk (files that all trainings map), ram (the same, read into memory at the start), "
        "none (decoded as they are asked for), auto (disk where they fit on it and into memory, else none)",
        changes_results=False,
    )
    cache_folder: str = _set_by_prepare("folder of what trainings share (default: each training's own)")
    prepared: str = _set_by_prepare("names of what lies ready in cache_folder")

    def __post_init__(self) -> None:
        embedded = self.data == EMBEDDED
        epochs, img, batch, warmup_floor = _SCENARIOS[embedded]
        weights = str(EMBEDDED_WEIGHTS) if embedded and not self.model else ""
        scenario = {"epochs": epochs, "img": img, "batch": batch, "weights": weights}
        for name, value in scenario.items():
            object.__setattr__(self, name, getattr(self, name) or value)
        if not self.cache:  # as studies recorded it whose settings knew only a folder
            object.__setattr__(self, "cache", "auto")
        if self.warmup_floor == -1:  # zero is a floor too
            object.__setattr__(self, "warmup_floor", warmup_floor)
        object.__setattr__(self, "freeze_layers", str(self.freeze_layers))  # Python and yaml give a number
        self._check()

    def _check(self) -> None:
        if not self.data:
            raise ValueError("data: expected a data.yaml or `digits`, got nothing")
        if not self.weights and not self.model:
            raise ValueError(
                "weights: none given; name a checkpoint to fine-tune (weights=yolov5s.pt), "
                "or a model size to train from scratch (model=s)"
            )
        if self.freeze_norm and not self.weights:
            raise ValueError(
                "freeze_norm: expected weights with it, got none: only a checkpoint has statistics"
            )
        self._check_layers()
        _check_choice("model", self.model, ("", *SIZES))
        _check_choice("optimizer", self.optimizer, ("SGD", "Adam", "AdamW"))
        _check_choice("split", self.split, ("val", "test"))
        _check_choice("cache", self.cache, CACHES)
        _check_choice("report_epoch", self.report_epoch, ("last", "best"))
        lowest = {"epochs": 1, "batch": 1, "val_batch": 0, "img": 32, "warmup_floor": 0, "val_every": 0}
        for name, low in lowest.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name}: expected {low} or more, got {getattr(self, name)}")
        if self.img % 32:
            lower, upper = self.img // 32 * 32, self.img // 32 * 32 + 32
            raise ValueError(f"img: expected a multiple of 32, got {self.img}; use {lower} or {upper}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing: expected 0 to below 1, got {self.label_smoothing}")
        if self.schedule_epochs and self.schedule_epochs < self.epochs:
            raise ValueError(
                f"schedule_epochs: expected {self.epochs} (epochs) or more, or 0 for a schedule of just these, "
                f"got {self.schedule_epochs}"
            )

    def _check_layers(self) -> None:
        given = self.freeze_layers
        if given and not re.fullmatch(r"[0-9]{1,2}(,[0-9]{1,2})*", given):
            raise ValueError(
                f"freeze_layers: expected how many of the first layers, or their numbers as in 0,1,2; got {given!r}"
            )
        frozen = self.frozen_layers
        if not frozen < frozenset(range(LAYERS)) or frozen >= LEARNING:
            raise ValueError(
                f"freeze_layers: expected layers that leave one to train, of 0 to {LAYERS - 1}; got {given}"
            )
        if frozen and not self.weights:
            raise ValueError(
                "freeze_layers: expected weights with it, got none: layers that know nothing would stay so"
            )

    @property
    def frozen_layers(self) -> frozenset[int]:
        """Numbers of the layers that do not learn: one number is how many of the first, several are these."""
        numbers = [int(number) for number in self.freeze_layers.split(",")] if self.freeze_layers else [0]
        return frozenset(numbers if len(numbers) > 1 else range(numbers[0]))

    @property
    def schedule_length(self) -> int:
        """Epochs at whose end the learning rate would have fallen to its last value."""
        return self.schedule_epochs or self.epochs

    def validates(self, epoch: int) -> bool:
        """Whether the 0-based epoch ends with a validation; the last one always does."""
        due = self.val_every > 0 and (epoch + 1) % self.val_every == 0
        return due or epoch + 1 == self.epochs

    def validation_batch(self, *, training: bool) -> int:
        """Images of a validation batch: who shares a rectangle with whom moves the metrics, so it matters.

        Twice the training batch; without a training the batch itself, but no less than the 32 of published
        numbers.
        """
        return self.val_batch or (2 * self.batch if training else max(self.batch, 32))


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        near = difflib.get_close_matches(value, choices, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{name}: expected one of {', '.join(filter(None, choices))}, got {value!r}{hint}")
