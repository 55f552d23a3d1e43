"""Checkpoints: read official YOLOv5 files without running anything; write our own; start from either."""

from __future__ import annotations

import math
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .model import Detector
from .settings import SIZES
from .unpack import ALWAYS_FINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# An official file holds objects of these modules. None is imported: a stand-in takes each class's place.
_INERT = ("models.yolo.", "models.common.", "torch.nn.modules.", "numpy.", "pathlib.")
# What PyTorch's unpickler was seen to raise on files with altered bytes.
_DAMAGE = (
    *(RuntimeError, pickle.UnpicklingError, EOFError, LookupError, TypeError, AttributeError),
    *(ValueError, OverflowError, AssertionError),
)
_MOST_GROWTH = 10  # times its size that a large file may unpack to; PyTorch packs nothing
_DETECT = "model.24."
_LANDMARKS = {  # tensors that every detector has, and their shapes; None is any size from 1 on
    "model.0.conv.weight": (None, 3, 6, 6),
    f"{_DETECT}anchors": (3, None, 2),
    f"{_DETECT}m.0.weight": (None, None, 1, 1),
}


@dataclass(frozen=True)
class Checkpoint:
    """A detector's tensors (float32, by name) and the names of its classes."""

    state: dict[str, Tensor]
    names: tuple[str, ...]

    @property
    def anchors(self) -> Tensor:
        """Anchors in cells, (3, anchors per level, 2)."""
        return self.state[f"{_DETECT}anchors"]

    @property
    def classes(self) -> int:
        """Number of classes, from the width of the output layer."""
        return self.state[f"{_DETECT}m.0.weight"].shape[0] // self.anchors.shape[1] - 5

    @property
    def size(self) -> str:
        """Size of the detector, from the width of its first layer."""
        channels = self.state["model.0.conv.weight"].shape[0]
        for size, (_, width) in SIZES.items():
            if channels == math.ceil(64 * width / 8) * 8:
                return size
        raise ValueError(
            f"weights: expected a detector of size {', '.join(SIZES)}, got one of {channels} channels"
        )


def load_checkpoint(path: Path) -> Checkpoint:
    """Read an official `yolov5*.pt` or a file written by `save_checkpoint`, executing nothing.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no detector, or asks for a class or function outside the allowed ones.
    """
    if not path.is_file():
        raise FileNotFoundError(f"weights: {path} does not exist")
    content = _unpickle(path)
    state, names = _detector(content)
    odd = [name for name, shape in _LANDMARKS.items() if not _has_shape(state.get(name), shape)]
    if odd:
        raise ValueError(
            f"weights: {path} holds no YOLOv5 detector of three levels (no fitting tensor {odd[0]}); "
            f"expected yolov5n.pt, s, m, l or x of release 6 or 7, or weights trained here"
        )
    for name, tensor in state.items():
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"weights: {path} is damaged: {name} claims more values than the file holds")
        if not tensor.isfinite().all():
            raise ValueError(f"weights: {path} is of a training that diverged: {name} holds NaN or infinity")
    return Checkpoint({name: _float32(tensor) for name, tensor in state.items()}, names)


def save_checkpoint(path: Path, model: Detector, names: Sequence[str]) -> None:
    """Write the detector in half precision, through a temporary name, for `torch.load(weights_only=True)`."""
    state = portable_state(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    torch.save({"model": state, "names": list(names)}, unfinished)
    unfinished.replace(path)


def portable_state(model: Detector) -> dict[str, Tensor]:
    """Return the detector's tensors by name, in half precision and on the CPU.

    A tensor saved from a GPU asks for that GPU when it is loaded; these load where there is none.
    """
    return {name: _float16(tensor).cpu() for name, tensor in model.state_dict().items()}


def transfer(state: Mapping[str, Tensor], model: Detector) -> tuple[int, int]:
    """Copy the tensors whose name and shape the model shares.

    Returns:
        How many were copied, of how many the model has.
    """
    own = model.state_dict()
    fitting = {
        name: tensor for name, tensor in state.items() if name in own and tensor.shape == own[name].shape
    }
    model.load_state_dict(fitting, strict=False)
    return len(fitting), len(own)


def start_detector(
    checkpoint: Checkpoint | None, *, size: str, classes: int, anchors: int
) -> tuple[Detector, int, int]:
    """Build a detector with the checkpoint's tensors where they fit.

    A checkpoint with another number of anchors per level gives no part of the output layer.

    Args:
        checkpoint: Where to start from; None starts from scratch.
        size: Size of the detector; empty takes the checkpoint's.
        classes: Number of classes.
        anchors: Anchors per level.

    Returns:
        The detector, how many tensors come from the checkpoint, and how many it has.
    """
    if checkpoint is None:
        model = Detector(size, classes, anchors)
        return model, 0, len(model.state_dict())
    model = Detector(size or checkpoint.size, classes, anchors)
    state = checkpoint.state
    if checkpoint.anchors.shape[1] != anchors:
        state = {name: tensor for name, tensor in state.items() if not name.startswith(_DETECT)}
    return model, *transfer(state, model)


def _unpickle(path: Path) -> Any:
    """Load the file with PyTorch's restricted unpickler, known foreign classes replaced by stand-ins."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"weights: {path} is no checkpoint (expected a zip file as torch.save writes it)")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise ValueError(f"weights: {path} is damaged or no checkpoint") from error
    if size > max(ALWAYS_FINE, _MOST_GROWTH * path.stat().st_size):
        raise ValueError(
            f"weights: {path} would grow to {size / 1e9:.1f} GB, as no checkpoint does; not loaded"
        )
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        refused = sorted(name for name in foreign if not name.startswith(_INERT))
        if not refused:
            stand_ins: list[Any] = [(_StandIn, name) for name in foreign]
            with torch.serialization.safe_globals(stand_ins):
                return torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        raise ValueError(f"weights: {path} is damaged or no checkpoint") from error
    raise ValueError(
        f"weights: {path} wants to import {', '.join(refused)}, which no detector needs; "
        f"nothing was loaded, nothing was run"
    )


class _StandIn:
    """Takes the attributes of an object whose class is not needed, and does nothing."""

    def __init__(self, *_: object):
        pass

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def _detector(content: Any) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Find the tensors and class names in a loaded file; averaged weights go before the weights."""
    content = _mapping(content)
    model = content.get("ema") or content.get("model") or content
    if isinstance(model, _StandIn):
        return dict(_tensors(model, "")), _names(getattr(model, "names", ()))
    state = {name: tensor for name, tensor in _mapping(model).items() if isinstance(tensor, Tensor)}
    return state, _names(content.get("names", ()))


def _tensors(module: _StandIn, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Walk the attributes in which a pickled module keeps its tensors and children."""
    for kind in ("_parameters", "_buffers"):
        for name, tensor in _mapping(getattr(module, kind, None)).items():
            if isinstance(tensor, Tensor):
                yield f"{prefix}{name}", tensor.detach()
    for name, child in _mapping(getattr(module, "_modules", None)).items():
        if isinstance(child, _StandIn):
            yield from _tensors(child, f"{prefix}{name}.")


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _names(names: Any) -> tuple[str, ...]:
    values = names.values() if isinstance(names, Mapping) else names
    return tuple(map(str, values)) if isinstance(values, Iterable) else ()


def _float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _float16(tensor: Tensor) -> Tensor:
    return tensor.half().contiguous() if tensor.is_floating_point() else tensor


def _has_shape(tensor: Tensor | None, shape: tuple[int | None, ...]) -> bool:
    """Whether a tensor has this shape, None standing for any size from 1 on."""
    if tensor is None or tensor.dim() != len(shape):
        return False
    return all(have == want if want else have > 0 for have, want in zip(tensor.shape, shape, strict=True))
