"""Checkpoints of detectors: read official YOLOv5 files and our own, write our own, start from either."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..printable import printable
from .model import Detector
from .pickled import MOST_GROWTH, detector
from .settings import SIZES
from .text import BadFileError, require_file
from .unpack import ALWAYS_FINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_DETECT = "model.24."
_LANDMARKS = {  # tensors that every detector has, and their shapes; None is any size from 1 on
    "model.0.conv.weight": (None, 3, 6, 6),
    f"{_DETECT}anchors": (3, None, 2),
    f"{_DETECT}m.0.weight": (None, None, 1, 1),
}
_PLAIN = frozenset(
    {torch.float16, torch.bfloat16, torch.float32, torch.float64}
    | {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
)
_MOST_ANCHORS = 100  # per level
_LARGEST_ANCHOR = 1000  # cells; of 32 pixels on the coarsest level


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
    try:
        require_file(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"weights: {printable(path)} does not exist") from None
    except BadFileError as error:
        raise ValueError(f"weights: {printable(path)}: {error}") from None
    state, names = detector(path)
    odd = [name for name, shape in _LANDMARKS.items() if not _has_shape(state.get(name), shape)]
    if odd:
        raise ValueError(
            f"weights: {printable(path)} holds no YOLOv5 detector of three levels (no fitting tensor {odd[0]}); "
            f"expected yolov5n.pt, s, m, l or x of release 6 or 7, or weights trained here"
        )
    _require_values(state, path)
    checkpoint = Checkpoint({name: _float32(tensor) for name, tensor in state.items()}, names)
    for name, tensor in checkpoint.state.items():
        if not tensor.isfinite().all():
            raise ValueError(
                f"weights: {printable(path)} is of a training that diverged: {printable(name)} holds NaN or infinity"
            )
    _require_anchors(checkpoint, path)
    return checkpoint


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
    fitting = {name: state[name] for name in own if _fits(state.get(name), own[name])}
    model.load_state_dict(fitting, strict=False)
    return len(fitting), len(own)


def transferable(checkpoint: Checkpoint, *, size: str, classes: int, anchors: int) -> tuple[int, int]:
    """Return what `start_detector` would about the tensors, without their numbers."""
    with torch.device("meta"):
        own = Detector(size or checkpoint.size, classes, anchors).state_dict()
    state = _offered(checkpoint, anchors)
    return sum(_fits(state.get(name), tensor) for name, tensor in own.items()), len(own)


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
    return model, *transfer(_offered(checkpoint, anchors), model)


def _offered(checkpoint: Checkpoint, anchors: int) -> dict[str, Tensor]:
    """Return the tensors that a detector with so many anchors per level can take."""
    if checkpoint.anchors.shape[1] == anchors:
        return checkpoint.state
    return {name: tensor for name, tensor in checkpoint.state.items() if not name.startswith(_DETECT)}


def _fits(tensor: Tensor | None, own: Tensor) -> bool:
    return tensor is not None and tensor.shape == own.shape


def _require_values(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that hold no plain numbers, or claim more of them than the file has."""
    claimed, most = 0, max(ALWAYS_FINE, MOST_GROWTH * path.stat().st_size)
    for name, tensor in state.items():
        if tensor.device.type != "cpu" or tensor.layout != torch.strided or tensor.dtype not in _PLAIN:
            raise ValueError(
                f"weights: {printable(path)}: {printable(name)} is a {_kind(tensor)} tensor; expected plain numbers"
            )
        claimed += tensor.nbytes
        if tensor.nbytes > tensor.untyped_storage().nbytes() or claimed > most:
            raise ValueError(
                f"weights: {printable(path)} is damaged: {printable(name)} claims more values than the file holds"
            )


def _kind(tensor: Tensor) -> str:
    if tensor.is_meta:
        return "meta"
    if tensor.layout != torch.strided:
        return "sparse"
    return "quantised" if tensor.is_quantized else "complex" if tensor.is_complex() else str(tensor.dtype)


def _require_anchors(checkpoint: Checkpoint, path: Path) -> None:
    """Refuse anchors that no detector can have."""
    anchors, width = checkpoint.anchors, checkpoint.state[f"{_DETECT}m.0.weight"].shape[0]
    count = anchors.shape[1]
    if count > _MOST_ANCHORS or width % count or checkpoint.classes < 1:
        raise ValueError(
            f"weights: {printable(path)} is damaged: {count} anchors per level do not fit "
            f"an output layer of {width} channels"
        )
    if not ((anchors > 0) & (anchors <= _LARGEST_ANCHOR)).all():
        raise ValueError(
            f"weights: {printable(path)} is damaged: expected anchors of up to {_LARGEST_ANCHOR} cells, "
            f"got {anchors.min():g} to {anchors.max():g}"
        )


def _float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _float16(tensor: Tensor) -> Tensor:
    return tensor.half().contiguous() if tensor.is_floating_point() else tensor


def _has_shape(tensor: Tensor | None, shape: tuple[int | None, ...]) -> bool:
    """Whether a tensor has this shape, None standing for any size from 1 on."""
    if tensor is None or tensor.dim() != len(shape):
        return False
    return all(have == want if want else have > 0 for have, want in zip(tensor.shape, shape, strict=True))
