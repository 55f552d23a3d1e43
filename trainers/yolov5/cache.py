"""The resized images of a split in one memory-mapped file, built once and shared by all trainings."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from ..printable import printable
from .decode import read
from .progress import shown
from .resize import area, bilinear, fitted
from .text import BadFileError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from .split import Split

log = logging.getLogger(__name__)

Shrink = Literal["bilinear", "area"]

_LAYOUT = 1  # number of the file layout and of the arithmetic that fills it: raise it when either changes


class ImageCache:
    """Images of a split as `(3, h, w)` uint8 RGB tensors, their long side `img` pixels.

    The tensors lie in a private mapping of the file: processes share its pages, and writing to a tensor
    changes no file. Opening costs milliseconds.
    """

    def __init__(self, pixels: Tensor, shapes: NDArray[np.int64]) -> None:
        self.shapes = shapes  # (N, 2) height, width
        self._pixels = pixels  # (bytes,) of all images, plane after plane
        self._ends = np.cumsum(3 * shapes.prod(axis=1))

    def __len__(self) -> int:
        return len(self.shapes)

    def near(self, device: torch.device) -> ImageCache:
        """Return the images in the device's memory if they take an eighth of what is free, else as they are."""
        if device.type != "cuda" or self._pixels.nbytes > torch.cuda.mem_get_info(device)[0] / 8:
            return self
        return ImageCache(self._pixels.to(device), self.shapes)

    def __getitem__(self, index: int) -> Tensor:
        height, width = map(int, self.shapes[index])
        end = int(self._ends[index])
        return self._pixels[end - 3 * height * width : end].view(3, height, width)


def open_cache(split: Split, folder: Path, *, img: int, shrink: Shrink) -> ImageCache:
    """Open the cache of a split under `folder`, building it if it isn't there.

    Several processes may do so at once: each fills a file of its own, and the last to finish takes the name.

    Args:
        split: Whose images to hold. A changed image (by size or time) makes another file.
        folder: Created when missing.
        img: Long side of the resized images in pixels.
        shrink: How images larger than `img` are made smaller; smaller ones grow bilinearly.

    Raises:
        BadFileError: An image no longer decodes.
        OSError: The folder can't be written or the disk is full. In both cases nothing is left behind.
    """
    shapes = np.array([fitted(height, width, img) for height, width in split.sizes.tolist()], np.int64)
    path = folder / f"{_fingerprint(split, img, shrink)}-{img}-{shrink}.rgb"
    if not path.exists():
        log.info("resizing %d images to %d pixels, once, into %s", len(split), img, printable(path))
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
        try:
            _fill(unfinished, split, shapes, shrink)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    size = int(3 * shapes.prod(axis=1).sum())
    return ImageCache(torch.from_numpy(np.memmap(path, np.uint8, mode="c", shape=(size,))), shapes)


def _fingerprint(split: Split, img: int, shrink: Shrink) -> str:
    digest = hashlib.sha256(f"{_LAYOUT} {img} {shrink}".encode())
    for path in split.images:
        stat = path.stat()
        digest.update(f"\0{path}\0{stat.st_size}\0{stat.st_mtime_ns}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:20]


def _fill(path: Path, split: Split, shapes: NDArray[np.int64], shrink: Shrink) -> None:
    """Write all images one after the other, as planes of red, green and blue; threads share the work."""
    ends = np.cumsum(3 * shapes.prod(axis=1))
    with path.open("wb") as file:
        descriptor = file.fileno()

        def write(index: int) -> None:
            height, width = map(int, shapes[index])
            try:
                image = read(split.images[index])
            except BadFileError as error:
                raise BadFileError(
                    f"{printable(split.images[index])}: {error}; repair or remove it"
                ) from error
            planes = _resized(image, height, width, shrink).transpose(2, 0, 1)
            data = memoryview(planes.tobytes())
            offset = int(ends[index]) - len(data)
            while data:  # a write may stop early: Linux writes at most 2 GiB at once
                written = os.pwrite(descriptor, data, offset)
                data, offset = data[written:], offset + written

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
            for _ in shown(threads.map(write, range(len(shapes))), len(shapes), "resizing images, once"):
                pass


def _resized(image: NDArray[np.uint8], height: int, width: int, shrink: Shrink) -> NDArray[np.uint8]:
    if image.shape[:2] == (height, width):
        return image
    smaller = height < image.shape[0] or width < image.shape[1]
    return (area if smaller and shrink == "area" else bilinear)(image, height, width)
