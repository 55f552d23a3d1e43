"""The tensors in a checkpoint file, by name, read without running anything that the file asks for."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..printable import printable
from .unpack import ALWAYS_FINE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_GROWTH = 10  # times its size that a large file may unpack to; PyTorch packs nothing
# An official file holds objects of these modules. None is imported: a stand-in takes each class's place.
_INERT = ("models.yolo.", "models.common.", "torch.nn.modules.", "numpy.", "pathlib.")
# What PyTorch's unpickler was seen to raise on files with altered bytes.
_DAMAGE = (
    *(RuntimeError, pickle.UnpicklingError, EOFError, LookupError, TypeError, AttributeError),
    *(ValueError, OverflowError, AssertionError),
)
_CLASSES = (  # what the name of a pickled class tells of a file, the most telling first
    ("ultralytics.nn.tasks.SegmentationModel", "an Ultralytics segmentation model (YOLOv8 or later)"),
    ("ultralytics.nn.tasks.ClassificationModel", "an Ultralytics classification model (YOLOv8 or later)"),
    ("ultralytics.nn.tasks.PoseModel", "an Ultralytics pose model (YOLOv8 or later)"),
    ("ultralytics.nn.tasks.OBBModel", "an Ultralytics model of turned boxes (YOLOv8 or later)"),
    ("ultralytics.", "an Ultralytics model (YOLOv8 or later, or a YOLOv5u)"),
    ("models.yolo.Segment", "a YOLOv5 segmentation model"),
    ("models.yolo.ClassificationModel", "a YOLOv5 classification model"),
    ("models.common.Classify", "a YOLOv5 classification model"),
    ("models.yolo.IDetect", "a YOLOv7 detector"),
    ("models.yolo.IAuxDetect", "a YOLOv7 detector"),
    ("models.yolo.DDetect", "a YOLOv9 detector"),
    ("models.yolo.DualDDetect", "a YOLOv9 detector"),
    ("models.common.Focus", "a YOLOv5 detector of release 5 or earlier"),
    ("torchvision.", "a torchvision model"),
)
_TENSORS = (  # the same of the name of a tensor
    (r"\.proto\.cv1\.", "a YOLOv5 segmentation model"),
    (r"\.dfl\.conv\.weight$", "an Ultralytics model (YOLOv8 or later, or a YOLOv5u)"),
    (r"^model\.\d+\.linear\.weight$", "a YOLOv5 classification model"),
    (r"^model\.0\.conv\.conv\.weight$", "a YOLOv5 detector of release 5 or earlier"),
    (r"^model\.33\.anchors$", "a YOLOv5 detector of four levels (P6)"),
)
_MOST_DEPTH = 50  # modules inside each other; a YOLOv5 has 6
_MOST_MODULES = 20_000  # yolov5x has 600


def detector(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Find the tensors and the names of the classes; averaged weights go before the weights.

    Raises:
        ValueError: It is no checkpoint, asks for a class or function outside the allowed ones, or is the checkpoint
            of something that is known and no YOLOv5 detector.
    """
    content = _unpickled(path)
    holder = _mapping(content)
    models = (holder.get("ema"), holder.get("model"), content)
    model = next((m for m in models if isinstance(m, _StandIn) or _mapping(m)), None)
    names: Any
    if isinstance(model, _StandIn):
        try:
            state, names = dict(_tensors(model)), getattr(model, "names", ())
        except _TooMuchError as error:
            raise ValueError(f"weights: {printable(path)} holds no YOLOv5 detector: {error}") from None
    else:
        tensors = _mapping(model).items()
        state = {
            name: tensor for name, tensor in tensors if isinstance(name, str) and isinstance(tensor, Tensor)
        }
        names = holder.get("names", ())
    kind = next((kind for pattern, kind in _TENSORS if any(re.search(pattern, name) for name in state)), None)
    if kind is not None:
        raise _other(path, kind)
    return state, _names(names)


def _other(path: Path, kind: str) -> ValueError:
    return ValueError(
        f"weights: {printable(path)} is {kind}; expected a YOLOv5 detector: yolov5n.pt, s, m, l or x "
        "of release 6 or 7, or weights trained here"
    )


def _unpickled(path: Path) -> Any:
    """Load the file with PyTorch's restricted unpickler, known foreign classes replaced by stand-ins."""
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(
                f"weights: {printable(path)} is no checkpoint (expected a zip file as torch.save writes it)"
            )
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            size = sum(entry.file_size for entry in entries)
    except zipfile.BadZipFile as error:
        raise ValueError(f"weights: {printable(path)} is damaged or no checkpoint") from error
    if size > max(ALWAYS_FINE, MOST_GROWTH * path.stat().st_size):
        raise ValueError(
            f"weights: {printable(path)} would grow to {size / 1e9:.1f} GB, as no checkpoint does; not loaded"
        )
    if any("/code/" in entry.filename for entry in entries):
        raise _other(path, "a TorchScript export")
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        kind = next((kind for part, kind in _CLASSES if any(name.startswith(part) for name in foreign)), None)
        refused = sorted(name for name in foreign if not name.startswith(_INERT))
        if not refused and kind is None:
            stand_ins: list[Any] = [(_StandIn, name) for name in foreign]
            with torch.serialization.safe_globals(stand_ins):
                return torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        raise ValueError(f"weights: {printable(path)} is damaged or no checkpoint") from error
    if kind is not None:
        raise _other(path, kind)
    raise ValueError(
        f"weights: {printable(path)} wants to import {', '.join(map(printable, refused))}, which no detector needs; "
        f"nothing was loaded, nothing was run"
    )


class _StandIn:
    """Takes the attributes of an object whose class is not needed, and does nothing."""

    def __init__(self, *_: object):
        pass

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _TooMuchError(ValueError):
    """Modules that no detector has."""


def _tensors(model: _StandIn) -> Iterator[tuple[str, Tensor]]:
    """Walk the attributes in which a pickled module keeps its tensors and children."""
    waiting = [(model, "", 0)]
    count = 0
    while waiting:
        module, prefix, depth = waiting.pop()
        count += 1
        if depth > _MOST_DEPTH:
            raise _TooMuchError(
                f"its modules lie in each other more than {_MOST_DEPTH} deep, or in themselves"
            )
        if count > _MOST_MODULES:
            raise _TooMuchError(f"it has more than {_MOST_MODULES:,} modules")
        for kind in ("_parameters", "_buffers"):
            for name, tensor in _mapping(getattr(module, kind, None)).items():
                if isinstance(name, str) and isinstance(tensor, Tensor):
                    yield f"{prefix}{name}", tensor.detach()
        children = _mapping(getattr(module, "_modules", None)).items()
        waiting += [
            (child, f"{prefix}{name}.", depth + 1)
            for name, child in children
            if isinstance(name, str) and isinstance(child, _StandIn)
        ]


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _names(names: Any) -> tuple[str, ...]:
    values = list(names.values()) if isinstance(names, Mapping) else names
    return (
        tuple(printable(v) for v in values if isinstance(v, str | int))
        if isinstance(values, list | tuple)
        else ()
    )
