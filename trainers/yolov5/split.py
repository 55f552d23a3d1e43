"""The usable images of one part of a dataset with their labels, in memory and in a file."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_DIGEST = hashlib.sha256().digest_size  # bytes before the content


@dataclass(frozen=True)
class Split:
    """The usable images of one part of a dataset and their labels; all tuples run over the images."""

    images: tuple[Path, ...]
    sizes: NDArray[np.int64]  # (N, 2) native height, width, after EXIF rotation
    boxes: tuple[NDArray[np.float32], ...]  # (n, 5) class, centre x, centre y, width, height; normalised
    polygons: tuple[tuple[NDArray[np.float32] | None, ...], ...]  # per box (m, 2) x, y, normalised, or None
    warnings: tuple[
        str, ...
    ]  # how many lack a label file; files skipped and rows dropped, each with its reason
    skipped: int = 0  # how many files
    unlabelled: tuple[int, ...] = ()  # indices of the images that have no label file; an empty one is a file

    def __len__(self) -> int:
        return len(self.images)


def save_split(path: Path, split: Split) -> None:
    """Write a split, whole or not at all."""
    outlines = [outline for outlines in split.polygons for outline in outlines]
    arrays = {
        "images": _bytes(map(str, split.images)),
        "sizes": split.sizes,
        "boxes": np.concatenate([np.zeros((0, 5), np.float32), *split.boxes]),
        "boxes_in_image": np.array([len(boxes) for boxes in split.boxes], np.int64),
        "points": np.concatenate([np.zeros((0, 2), np.float32), *(o for o in outlines if o is not None)]),
        "points_in_outline": np.array([0 if o is None else len(o) for o in outlines], np.int64),
        "warnings": _bytes(split.warnings),
        "skipped": np.array(split.skipped),
        "unlabelled": np.array(split.unlabelled, np.int64),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
    try:
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]  # numpy's stub takes its flag for one of them
        with unfinished.open("wb") as file:
            file.write(hashlib.sha256(content.getvalue()).digest())
            file.write(content.getvalue())
            file.flush()
            os.fsync(file.fileno())  # else a crash of the machine may leave the name without the content
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_split(path: Path) -> Split | None:
    """Read what `save_split` wrote; None if there is no such file, or it isn't as it was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    content = data[_DIGEST:]
    if data[:_DIGEST] != hashlib.sha256(content).digest():
        log.warning("%s is damaged; the dataset is read again", printable(path))
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = dict(file)
    in_image, in_outline = arrays["boxes_in_image"], arrays["points_in_outline"]
    points = _pieces(arrays["points"], in_outline)
    outlines = [outline if len(outline) else None for outline in points]
    ends = np.cumsum(in_image).tolist()
    return Split(
        images=tuple(map(Path, _texts(arrays["images"]))),
        sizes=arrays["sizes"],
        boxes=tuple(_pieces(arrays["boxes"], in_image)),
        polygons=tuple(
            tuple(outlines[end - count : end]) for end, count in zip(ends, in_image.tolist(), strict=True)
        ),
        warnings=tuple(_texts(arrays["warnings"])),
        skipped=int(arrays["skipped"]),
        unlabelled=tuple(arrays["unlabelled"].tolist()),
    )


def _pieces(rows: NDArray[np.float32], counts: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    return np.split(rows, np.cumsum(counts)[:-1]) if len(counts) else []


def _bytes(texts: Iterable[str]) -> NDArray[np.uint8]:
    """Keep texts, paths that are no valid Unicode among them, without numpy's padding to the longest."""
    return np.frombuffer("\0".join(texts).encode("utf-8", "surrogateescape"), np.uint8)


def _texts(stored: NDArray[np.uint8]) -> list[str]:
    text = stored.tobytes().decode("utf-8", "surrogateescape")
    return text.split("\0") if text else []
