"""Every usable image of a part of a dataset, with its labels."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..printable import printable
from ..progress import shown
from .decode import measure
from .labels import Labels, label_path, read_labels
from .listing import list_images
from .split import Split, read_split, save_split
from .text import BadFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from .data_yaml import DataConfig, Part

_RULES = 3  # number of the rules by which files are accepted: raise it when they change


def scan(config: DataConfig, part: Part, *, strict: bool = False, memory: Path | None = None) -> Split:
    """Find the images of a part, read their labels and make sure that the images decode.

    Files with a bad row and images that don't decode are left out with a warning. Threads share the work.

    Args:
        config: The dataset.
        part: Which images.
        strict: Whether a skipped file is an error.
        memory: Folder that keeps results: while the files stay as they are (by size and time), later scans
            read none of them.

    Raises:
        ValueError: A label's class isn't among the dataset's; nothing usable or no label at all is left; or, with
            `strict`, something had to be skipped.
        FileNotFoundError: A source doesn't exist.
    """
    sources = config.train if part == "train" else config.val
    called = "train" if part == "train" else config.split  # as the data.yaml has it
    listing = list_images(sources, config.root)
    classes = len(config.names)
    kept = memory / f"{_fingerprint(listing.images, classes)}.labels.npz" if memory else None
    split = read_split(kept) if kept else None
    if split is None:
        split = _examined(listing.images, classes)
        if kept:
            save_split(kept, split)
    where = ", ".join(map(printable, sources))
    reasons = (*listing.refused, *split.warnings)
    skipped = len(listing.refused) + split.skipped
    if not len(split):
        others = ", ".join(f"{count} × {ending}" for ending, count in listing.others.most_common(5))
        found = f"; passed over there: {others}" if others and not listing.images else ""
        raise ValueError(_summary(f"{called}: no usable image in {where}{found}", reasons))
    if strict and skipped:
        raise ValueError(_summary(f"{called}: {skipped} file(s) unusable in {where}", reasons[:skipped]))
    if not any(map(len, split.boxes)):
        raise ValueError(_summary(_nothing(split, called), reasons))
    return replace(split, warnings=(*_missing(split, called), *listing.remarks, *reasons), skipped=skipped)


def _missing(split: Split, part: str) -> list[str]:
    """Say how many images have no label file, if any."""
    if not split.unlabelled:
        return []
    return [
        f"{len(split.unlabelled)} of {len(split)} {part} images have no label file in "
        f"{_label_folders(split, split.unlabelled)}; they are taken for background"
    ]


def _nothing(split: Split, part: str) -> str:
    """Say why a part has no labels."""
    missing = set(split.unlabelled)
    if len(missing) == len(split):
        return (
            f"{part}: none of the {len(split)} images has a label file in {_label_folders(split, missing)}; "
            "expected …/labels/….txt for …/images/….jpg, or the .txt beside the image"
        )
    empty = _label_folders(split, set(range(len(split))) - missing)
    beside = f", {len(missing)} image(s) have none" if missing else ""
    return (
        f"{part}: no labels: all {len(split) - len(missing)} label file(s) in {empty} are empty{beside}; "
        "expected rows `class x y w h`"
    )


def _label_folders(split: Split, images: Iterable[int]) -> str:
    counts = Counter(printable(label_path(split.images[index]).parent) for index in images)
    most = ", ".join(folder for folder, _ in counts.most_common(3))
    return most if len(counts) <= 3 else f"{most} and {len(counts) - 3} more folders"


def _fingerprint(images: Iterable[Path], classes: int) -> str:
    """Identify images and labels by path, size and time of change, and what is said of them by the rules."""
    digest = hashlib.sha256(f"{_RULES} {classes}".encode())
    for image in images:
        for path in (image, label_path(image)):
            try:
                status = path.stat()
                state = f"{status.st_size} {status.st_mtime_ns}"
            except (OSError, ValueError):  # ValueError: a name that no file can have
                state = "missing"
            digest.update(f"\0{path}\0{state}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:20]


class _Image(NamedTuple):
    path: Path
    size: tuple[int, int]
    labels: Labels


def _examined(images: Sequence[Path], classes: int) -> Split:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        found = list(
            shown(threads.map(partial(_examine, classes=classes), images), len(images), "reading the dataset")
        )
    usable = [item for item in found if isinstance(item, _Image)]
    skipped = [item for item in found if isinstance(item, str)]
    repeats = [
        f"{printable(label_path(item.path))}: {item.labels.duplicates} duplicate row(s) dropped"
        for item in usable
        if item.labels.duplicates
    ]
    return Split(
        images=tuple(item.path for item in usable),
        sizes=np.array([item.size for item in usable], np.int64).reshape(-1, 2),
        boxes=tuple(item.labels.boxes for item in usable),
        polygons=tuple(item.labels.polygons for item in usable),
        warnings=(*skipped, *repeats),
        skipped=len(skipped),
        unlabelled=tuple(index for index, item in enumerate(usable) if not item.labels.found),
    )


def _examine(path: Path, *, classes: int) -> _Image | str:
    """Return the image with its labels, or why it can't be used."""
    try:
        labels = read_labels(label_path(path), classes)
    except BadFileError as error:
        return f"{printable(path)} skipped: its labels {printable(label_path(path))}: {error}"
    try:
        return _Image(path, measure(path), labels)
    except BadFileError as error:
        return f"{printable(path)} skipped: {error}"


def _summary(message: str, reasons: Sequence[str]) -> str:
    shown = "".join(f"\n  {reason}" for reason in reasons[:5])
    more = f"\n  and {len(reasons) - 5} more" if len(reasons) > 5 else ""
    return message + shown + more
