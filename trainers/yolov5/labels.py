"""YOLO label files: where an image's is, and what its rows say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..printable import printable
from .decode import BadFileError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_MOST_BYTES = 10_000_000


class Labels(NamedTuple):
    """The labels of one image, in the order of their rows."""

    boxes: NDArray[np.float32]  # (n, 5) class, centre x, centre y, width, height; normalised
    polygons: tuple[
        NDArray[np.float32] | None, ...
    ]  # per box its (m, 2) outline, None where the row was a box
    duplicates: int  # rows dropped because they repeat an earlier one


def label_path(image: Path) -> Path:
    """Return `…/labels/….txt` for `…/images/….jpg`; without an `images` folder, the file beside the image."""
    parts = list(image.parts)
    folders = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    return type(image)(*parts).with_suffix(".txt")


def read_labels(path: Path, classes: int) -> Labels:
    """Read rows `class x y w h` (a box) or `class x1 y1 x2 y2 x3 y3 …` (a polygon), all normalised to 0…1.

    A missing or empty file means background.

    Raises:
        ValueError: A class that the dataset doesn't have; names file and line.
        BadFileError: A row that is no label; names the line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        data = b""
    if len(data) > _MOST_BYTES:
        raise BadFileError(f"longer than {_MOST_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFileError("not a text file") from None
    boxes: list[tuple[float, ...]] = []
    polygons: list[NDArray[np.float32] | None] = []
    seen: set[tuple[float, ...]] = set()
    duplicates = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        row = _numbers(line, number)
        if row[0] >= classes:
            raise ValueError(
                f"{printable(path)}, line {number}: class {row[0]:.0f}, but the data.yaml names {classes} classes "
                f"(0 to {classes - 1}); correct the label or add the class"
            )
        if row in seen:
            duplicates += 1
            continue
        seen.add(row)
        polygon = None if len(row) == 5 else np.array(row[1:], np.float32).reshape(-1, 2)
        boxes.append(row if polygon is None else (row[0], *_bounding_box(polygon)))
        polygons.append(polygon)
    return Labels(np.array(boxes, np.float32).reshape(-1, 5), tuple(polygons), duplicates)


def _numbers(line: str, number: int) -> tuple[float, ...]:
    try:
        row = tuple(float(word) for word in line.split())
    except ValueError:
        raise BadFileError(
            f"line {number} holds something that is no number: {line.strip()[:60]!r}"
        ) from None
    if len(row) != 5 and (len(row) < 7 or len(row) % 2 == 0):
        raise BadFileError(
            f"line {number} has {len(row)} columns, expected 5 (class x y w h) "
            "or a class and at least 3 points (class x1 y1 x2 y2 x3 y3 …)"
        )
    if not row[0].is_integer() or row[0] < 0:
        raise BadFileError(f"line {number} starts with {row[0]:g}, expected a class number")
    outside = [value for value in row[1:] if not 0 <= value <= 1]
    if outside:
        raise BadFileError(f"line {number} holds {outside[0]:g}, expected coordinates from 0 to 1")
    return row


def _bounding_box(polygon: NDArray[np.float32]) -> tuple[float, ...]:
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    return (*((low + high) / 2).tolist(), *(high - low).tolist())
