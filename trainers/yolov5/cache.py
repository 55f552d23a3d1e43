"""The resized images of a split in one memory-mapped file, built once and shared by all trainings.

The file: the images' bytes, a digest of 16 bytes for each image, and a seal of 32 over the digests. The seal and some
images are checked whenever the file is opened, all of them once per study.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from ..printable import printable
from ..progress import shown
from .decode import read
from .resize import fitted, resized
from .text import BadFileError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .resize import Shrink
    from .split import Split

log = logging.getLogger(__name__)

_LAYOUT = 2  # number of the file layout and of the arithmetic that fills it: raise it when either changes
_DIGEST, _SEAL = 16, 32  # bytes
_CHUNK, _PAGE = 1 << 24, 4096  # bytes
_GLANCE = 64  # images that are checked at least when a file is opened


class ImageCache:
    """Images of a split as `(3, h, w)` uint8 RGB arrays, their long side `img` pixels.

    The arrays lie in a read-only mapping of the file: processes share its pages, it may be larger than the memory,
    and opening it costs milliseconds.
    """

    def __init__(self, pixels: NDArray[np.uint8], shapes: NDArray[np.int64]) -> None:
        self.shapes = shapes  # (N, 2) height, width
        self.pixels = pixels  # (bytes,) of all images, plane after plane
        self._ends = ends_of(shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        height, width = map(int, self.shapes[index])
        end = int(self._ends[index])
        return self.pixels[end - 3 * height * width : end].reshape(3, height, width)


def read_ahead(images: ImageCache) -> None:
    """Read the whole file once, in order, so that its pages are in memory when they are needed."""
    for start in range(0, images.pixels.size, _CHUNK):
        images.pixels[start : start + _CHUNK : _PAGE].max()


def fitted_shapes(split: Split, img: int) -> NDArray[np.int64]:
    """Return the (N, 2) heights and widths of a split's images with a long side of `img` pixels."""
    return np.array([fitted(height, width, img) for height, width in split.sizes.tolist()], np.int64)


def ends_of(shapes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each image's bytes end when they lie one after the other; the last is the size of all."""
    return np.cumsum(3 * shapes.prod(axis=1))


def cache_bytes(split: Split, img: int) -> int:
    """Return the size of a split's cache file."""
    return int(ends_of(fitted_shapes(split, img))[-1]) + _DIGEST * len(split) + _SEAL


def cache_name(split: Split, *, img: int, shrink: Shrink) -> str:
    """Name the cache of a split after its images, by path, size and time of change."""
    digest = hashlib.sha256(f"{_LAYOUT} {img} {shrink}".encode())
    for path in split.images:
        stat = path.stat()
        digest.update(f"\0{path}\0{stat.st_size}\0{stat.st_mtime_ns}".encode("utf-8", "surrogateescape"))
    return f"{digest.hexdigest()[:20]}-{img}-{shrink}.rgb"


def open_cache(
    split: Split, folder: Path, *, img: int, shrink: Shrink, name: str = "", thorough: bool = False
) -> ImageCache:
    """Open the cache of a split under `folder`, building it if it isn't there, or is damaged.

    Several processes may do so at once: each fills a file of its own, and the last to finish takes the name.

    Args:
        split: Whose images to hold. A changed image (by size or time) makes another file.
        folder: Created when missing.
        img: Long side of the resized images in pixels.
        shrink: How images larger than `img` are made smaller; smaller ones grow bilinearly.
        name: From `cache_name` where it is known, so that no image file is touched.
        thorough: Whether to check every image of a file that is there; otherwise the seal and some of them.

    Raises:
        BadFileError: An image no longer decodes.
        ValueError: The disk has too little room.
        OSError: The folder can't be written or the disk is full. Whatever is raised, nothing is left behind.
    """
    shapes = fitted_shapes(split, img)
    path = folder / (name or cache_name(split, img=img, shrink=shrink))
    if not _sound(path, shapes, thorough=thorough):
        log.info("resizing %d images to %d pixels, once, into %s", len(split), img, printable(path))
        folder.mkdir(parents=True, exist_ok=True)
        require_room(folder, cache_bytes(split, img))
        unfinished = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
        try:
            _fill(unfinished, split, shapes, shrink)
            _name(unfinished, path, shapes)
        finally:
            unfinished.unlink(missing_ok=True)
    return ImageCache(map_bytes(path, int(ends_of(shapes)[-1])), shapes)


def require_room(folder: Path, size: int) -> None:
    """Raise ValueError unless the disk of an existing folder has room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ValueError(
            f"cache: expected {gigabytes(size)} for resized images free on the disk of {folder}, got "
            f"{gigabytes(free)}; make room, choose another folder (--cache-dir) or decode as you go (--cache none)"
        )


def gigabytes(size: float) -> str:
    """Write a number of bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def map_bytes(path: Path, size: int) -> NDArray[np.uint8]:  # (size,)
    """Map the first bytes of a file for reading; a private writable mapping has to fit into memory, this not."""
    return np.memmap(path, np.uint8, mode="r", shape=(size,)).view(np.ndarray)


def _name(unfinished: Path, path: Path, shapes: NDArray[np.int64]) -> None:
    try:
        unfinished.replace(path)
    except PermissionError:  # Windows: another process was faster and has the file mapped
        if not _sound(path, shapes, thorough=False):
            raise
    if os.name == "posix":  # the name too shall outlive a loss of power
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _sound(path: Path, shapes: NDArray[np.int64], *, thorough: bool) -> bool:
    """Whether the file is there and what was written; damage is told."""
    ends = ends_of(shapes)
    pixels, size = int(ends[-1]), int(ends[-1]) + _DIGEST * len(shapes) + _SEAL
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return False
    if found != size:
        log.warning("%s is damaged: expected %d bytes, got %d; building it anew", path, size, found)
        return False
    mapped = map_bytes(path, size)
    digests = mapped[pixels:-_SEAL]
    if _seal(digests) != mapped[-_SEAL:].tobytes():
        log.warning("%s is damaged: its seal does not fit; building it anew", path)
        return False

    def fits(index: int) -> bool:
        image = mapped[int(ends[index - 1]) if index else 0 : int(ends[index])]
        return _digest(image) == digests[_DIGEST * index : _DIGEST * (index + 1)].tobytes()

    chosen = range(0, len(shapes), 1 if thorough else max(len(shapes) // _GLANCE, 1))
    with ThreadPoolExecutor(_threads()) as threads:
        checked = shown(threads.map(fits, chosen), len(chosen), "checking the resized images")
        broken = [index for index, good in zip(chosen, checked, strict=True) if not good]
    if broken:
        log.warning("%s is damaged: %d images are not what was written; building it anew", path, len(broken))
    return not broken


def _digest(pixels: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(pixels.data).digest()[:_DIGEST]


def _seal(digests: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(digests.data).digest()


def _threads() -> int:
    return min(8, os.cpu_count() or 1)


def _fill(path: Path, split: Split, shapes: NDArray[np.int64], shrink: Shrink) -> None:
    """Write all images, the digests and the seal, down to the disk; threads share the work."""
    ends = ends_of(shapes)
    digests = np.zeros((len(shapes), _DIGEST), np.uint8)
    turn = threading.Lock()
    with path.open("wb") as file:

        def write(index: int) -> None:
            planes = planes_of(split, index, shapes, shrink)
            digests[index] = np.frombuffer(_digest(planes.reshape(-1)), np.uint8)
            with turn:  # Windows has no write at a place
                file.seek(int(ends[index]) - planes.size)
                file.write(planes.data)

        with ThreadPoolExecutor(_threads()) as threads:
            for _ in shown(threads.map(write, range(len(shapes))), len(shapes), "resizing images, once"):
                pass
        file.seek(int(ends[-1]))
        file.write(digests.data)
        file.write(_seal(digests.reshape(-1)))
        file.flush()
        os.fsync(file.fileno())  # before the name: after a loss of power a file is whole or not there


def planes_of(split: Split, index: int, shapes: NDArray[np.int64], shrink: Shrink) -> NDArray[np.uint8]:
    """Decode and resize one image of a split, (3, h, w).

    Raises:
        BadFileError: It no longer decodes, or has another size than when the dataset was read.
    """
    path = split.images[index]
    try:
        image = read(path)
    except BadFileError as error:
        raise BadFileError(f"{printable(path)}: {error}; repair or remove it") from error
    if image.shape[:2] != tuple(split.sizes[index]):
        height, width = split.sizes[index]
        raise BadFileError(
            f"{printable(path)}: expected {width}x{height} pixels as when the dataset was read, got "
            f"{image.shape[1]}x{image.shape[0]}; start again"
        )
    height, width = map(int, shapes[index])
    return np.ascontiguousarray(resized(image, height, width, shrink).transpose(2, 0, 1))
