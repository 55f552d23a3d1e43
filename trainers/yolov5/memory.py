"""What a training will take of disk, memory and GPU, known before it starts, and where its images come from."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from .cache import cache_bytes, gigabytes
from .mosaic import RIM
from .render import CANVASES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from .settings import Settings
    from .split import Split

_SHARE = (
    0.75  # of the machine's memory that image files may fill before decoding as they go is the better way
)
_CONTEXT = 900_000_000  # bytes that CUDA, cuDNN and their workspaces take


@dataclass(frozen=True)
class Room:
    """What there is, in bytes."""

    disk: int  # free
    memory: int | None  # of the machine or of the container; None where the system does not say

    @classmethod
    def at(cls, folder: Path) -> Room:
        """Look at this machine and at the disk that a folder, perhaps a future one, lies on."""
        while not folder.exists():
            folder = folder.parent
        return cls(shutil.disk_usage(folder).free, machine_memory())


def images_bytes(train: Split, val: Split, img: int) -> int:
    """Return the size of both files of resized images."""
    return cache_bytes(train, img) + cache_bytes(val, img)


def chosen(cache: str, size: int, missing: int, room: Room) -> str:
    """Decide `auto`: files, where they fit on the disk and into most of the memory; else `none`.

    Args:
        cache: As in the settings; what is no `auto` stays.
        size: Bytes of the files.
        missing: Bytes of those that are still to be written.
        room: Of this machine.
    """
    if cache != "auto":
        return cache
    fits = missing <= room.disk and (room.memory is None or size <= _SHARE * room.memory)
    return "disk" if fits else "none"


def memory_findings(
    settings: Settings, train: Split, val: Split, classes: int, missing: int, room: Room, device: str | None
) -> Iterator[tuple[str, str]]:
    """Say what a training takes and what there is; what cannot fit is an error.

    Args:
        settings: Of the training, its model's size named.
        train: Training images.
        val: Validation images.
        classes: Number of classes.
        missing: Bytes of image files that are still to be written.
        room: Of this machine.
        device: Where the training will run, where that is known.
    """
    size = images_bytes(train, val, settings.img)
    policy = chosen(settings.cache, size, missing, room)
    memory = "unknown" if room.memory is None else gigabytes(room.memory)
    gpu, cpu = (training_bytes(settings, classes, half=half) for half in (settings.amp, False))
    where = f"decoded as they are asked for (files would take {gigabytes(size)})"
    if policy != "none":
        where = f"in files of {gigabytes(size)}, {gigabytes(missing)} still to write"
    yield (
        "note",
        f"memory: resized images {where}, --cache {policy}; {gigabytes(room.disk)} of the disk free, RAM {memory}; "
        f"a batch of {settings.batch} at {settings.img} takes about {gigabytes(gpu)} of a GPU or "
        f"{gigabytes(cpu)} of RAM on a CPU (estimated)",
    )
    if policy != "none" and missing > room.disk:
        yield (
            "error",
            f"cache: expected {gigabytes(missing)} for resized images free on the disk, got "
            f"{gigabytes(room.disk)}; make room, choose another folder (--cache-dir) or decode as you go "
            "(--cache none)",
        )
    if policy == "ram" and room.memory is not None and size > room.memory:
        yield (
            "error",
            f"cache: expected {gigabytes(size)} of RAM for resized images (--cache ram), got {memory}; "
            "use --cache disk or none",
        )
    yield from _batch_findings(settings, gpu, cpu, room, device)


def _batch_findings(
    settings: Settings, gpu: int, cpu: int, room: Room, device: str | None
) -> Iterator[tuple[str, str]]:
    if device is None:
        return
    place = torch.device(f"cuda:{device}" if device.isdecimal() else device)
    if place.type == "cuda":
        needed, there, what = gpu, torch.cuda.get_device_properties(place).total_memory, f"memory on {place}"
    elif place.type == "cpu" and room.memory is not None:
        needed, there, what = cpu, room.memory, "RAM"
    else:
        return
    if needed > there:
        yield (
            "error",
            f"batch: expected about {gigabytes(needed)} of {what} for {settings.batch} images at {settings.img} "
            f"pixels, got {gigabytes(there)}; use a smaller --batch, --img or --model",
        )


def training_bytes(settings: Settings, classes: int, *, half: bool) -> int:
    """Estimate the peak memory of a training step, from tensors without content; nothing is computed.

    Args:
        settings: Batch, image size, optimizer and, named, the model's size.
        classes: Number of classes.
        half: Whether convolutions run in 16 bits, as mixed precision on a GPU has it.
    """
    from .model import Detector

    img, batch = settings.img, settings.batch
    with torch.device("meta"):
        model = Detector(settings.model, classes)
        images = torch.empty(2, 3, img, img)  # one of 32 pixels has no variance for the batch norms
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, Tensor] = {}  # by storage: what the backward pass will read

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.train()(images)
    activations = sum(tensor.untyped_storage().nbytes() for key, tensor in kept.items() if key not in own)
    weights = sum(parameter.nbytes for parameter in model.parameters())
    copies = 4 if settings.optimizer == "SGD" else 5  # weights, gradients, momenta, average
    pixels = 3 * img * img * batch
    canvas = 12 * (2 * img + 2 * RIM) ** 2
    canvases = min(canvas * batch, CANVASES) if half else canvas
    step = copies * weights + activations // 2 * batch // (2 if half else 1)
    return step + 12 * pixels + 2 * canvases + (_CONTEXT if half else _CONTEXT // 2)


def machine_memory() -> int | None:
    """Return the memory of the machine, or of the container if that is less, in bytes; None if nobody says."""
    limits = [_limit(Path("/sys/fs/cgroup/memory.max")), _physical()]
    return min((limit for limit in limits if limit), default=None)


def _limit(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such file, or «max»
        return None


def _physical() -> int | None:
    if sys.platform == "win32":
        import ctypes

        kilobytes = ctypes.c_ulonglong()
        known = ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
        return 1024 * kilobytes.value if known else None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
