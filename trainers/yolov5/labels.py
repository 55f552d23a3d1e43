"""YOLO label files: where an image's is, and what its rows say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..printable import printable
from .text import BadFileError, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_MOST_BYTES = 10_000_000
_HIGHEST = np.nextafter(np.float32(1), np.float32(2))  # where a label tool's float32 arithmetic may end


class Labels(NamedTuple):
    """The labels of one image, in the order of their rows."""

    boxes: NDArray[np.float32]  # (n, 5) class, centre x, centre y, width, height; normalised
    polygons: tuple[
        NDArray[np.float32] | None, ...
    ]  # per box its (m, 2) outline, None where the row was a box
    duplicates: int  # rows dropped because they repeat an earlier one
    found: bool  # whether there is a label file


def label_path(image: Path) -> Path:
    """Return `…/labels/….txt` for `…/images/….jpg`; without an `images` folder, the file beside the image."""
    parts = list(image.parts)
    folders = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    return type(image)(*parts).with_suffix(".txt")


def read_labels(path: Path, classes: int) -> Labels:
    """Read rows `class x y w h` (a box) or `class x1 y1 x2 y2 x3 y3 …` (a polygon), all normalised to 0…1.

    A missing or empty file means background. Numbers are rounded to float32; what then lies one step above 1 is
    taken for 1. Rows are the same if their classes and boxes are.

    Raises:
        ValueError: A class that the dataset doesn't have; names file and line.
        BadFileError: A row that is no label; names the line. Or it is no file of text.
    """
    try:
        text = read_text(path, _MOST_BYTES)
        found = True
    except FileNotFoundError:
        text, found = "", False
    rows = [_row(line, number) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    for row in rows:
        if row.values[0] >= classes:
            raise ValueError(
                f"{printable(path)}, line {row.line}: class {row.values[0]:.15g}, "
                f"but the data.yaml names {classes} classes (0 to {classes - 1}); correct the label or add the class"
            )
    coordinates = _coordinates(rows)
    boxes: dict[tuple[float, ...], NDArray[np.float32] | None] = {}
    end = 0
    for row in rows:
        start, end = end, end + len(row.values) - 1
        values = coordinates[start:end]
        polygon = None if len(values) == 4 else values.reshape(-1, 2)
        box = values.tolist() if polygon is None else _bounding_box(polygon)
        boxes.setdefault((row.values[0], *box), polygon)
    return Labels(
        boxes=np.array(list(boxes), np.float32).reshape(-1, 5),
        polygons=tuple(boxes.values()),
        duplicates=len(rows) - len(boxes),
        found=found,
    )


class _Row(NamedTuple):
    line: int  # counted from 1
    values: list[float]  # the class, then coordinates


def _row(text: str, line: int) -> _Row:
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        raise BadFileError(f"line {line} holds something that is no number: {text.strip()[:60]!r}") from None
    if len(values) != 5 and (len(values) < 7 or len(values) % 2 == 0):
        raise BadFileError(
            f"line {line} has {len(values)} columns, expected 5 (class x y w h) "
            "or a class and at least 3 points (class x1 y1 x2 y2 x3 y3 …)"
        )
    if not values[0].is_integer() or values[0] < 0:
        raise BadFileError(f"line {line} starts with {values[0]:g}, expected a class number")
    return _Row(line, values)


def _coordinates(rows: Sequence[_Row]) -> NDArray[np.float32]:
    """Return the coordinates of all rows, one after the other, each from 0 to 1."""
    given = [value for row in rows for value in row.values[1:]]
    with np.errstate(over="ignore"):
        values = np.array(given, np.float32)
    outside = ~((values >= 0) & (values <= _HIGHEST))
    if outside.any():
        first = int(outside.argmax())
        lines = [row.line for row in rows for _ in row.values[1:]]
        raise BadFileError(f"line {lines[first]} holds {given[first]:.9g}, expected coordinates from 0 to 1")
    return np.abs(np.minimum(values, np.float32(1)))  # abs: no -0


def _bounding_box(polygon: NDArray[np.float32]) -> tuple[float, ...]:
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    return (*((low + high) / 2).tolist(), *(high - low).tolist())
