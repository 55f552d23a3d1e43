"""Every usable image of a part of a dataset, with its labels."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .decode import SUFFIXES, BadFileError, measure
from .labels import Labels, label_path, read_labels
from .progress import shown
from .split import Split, read_split, save_split

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .data_yaml import DataConfig, Part

_LONGEST_LIST = 500_000_000  # bytes
_RULES = 1  # number of the rules by which files are accepted: raise it when they change


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
        ValueError: A label's class isn't among the dataset's; nothing usable is left; or, with `strict`,
            something had to be skipped.
        FileNotFoundError: A source doesn't exist.
    """
    sources = config.train if part == "train" else config.val
    images, no_images = _list_images(sources, config.root)
    classes = len(config.names)
    kept = memory / f"{_fingerprint(images, classes)}.labels.npz" if memory else None
    if kept and kept.exists():
        split = read_split(kept)
    else:
        split = _examined(images, classes)
        if kept:
            save_split(kept, split)
    split = replace(split, warnings=(*no_images, *split.warnings), skipped=len(no_images) + split.skipped)
    where = ", ".join(map(str, sources))
    if not len(split):
        raise ValueError(_summary(f"{part}: no usable image in {where}", split.warnings))
    if strict and split.skipped:
        message = f"{part}: {split.skipped} file(s) unusable in {where}"
        raise ValueError(_summary(message, split.warnings[: split.skipped]))
    return split


def _list_images(sources: Iterable[Path], root: Path) -> tuple[list[Path], list[str]]:
    """Return the image paths that folders (searched through) and .txt lists name, and what isn't an image.

    In a list, `./` means the list's own folder; other relative paths are looked for there, then under `root`,
    then in the working directory.
    """
    paths: list[Path] = []
    for source in sources:
        if source.is_dir():
            paths += sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        elif source.is_file():
            if source.stat().st_size > _LONGEST_LIST:
                raise ValueError(f"{source}: expected a list of images of at most {_LONGEST_LIST:,} bytes")
            lines = (line.strip() for line in source.read_text(encoding="utf-8-sig").splitlines())
            paths += [_listed(line, source.parent, root) for line in lines if line]
        else:
            raise FileNotFoundError(f"no {source}; expected a folder of images or a .txt list of them")
    return (
        [path for path in paths if path.suffix.lower() in SUFFIXES],
        [f"{path} skipped: no image format" for path in paths if path.suffix.lower() not in SUFFIXES],
    )


def _fingerprint(images: Iterable[Path], classes: int) -> str:
    """Identify images and labels by path, size and time of change, and what is said of them by the rules."""
    digest = hashlib.sha256(f"{_RULES} {classes}".encode())
    for image in images:
        for path in (image, label_path(image)):
            try:
                status = path.stat()
                state = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
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
        f"{label_path(item.path)}: {item.labels.duplicates} duplicate row(s) dropped"
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
    )


def _examine(path: Path, *, classes: int) -> _Image | str:
    """Return the image with its labels, or why it can't be used."""
    try:
        labels = read_labels(label_path(path), classes)
    except BadFileError as error:
        return f"{path} skipped: its labels {label_path(path)}: {error}"
    try:
        return _Image(path, measure(path), labels)
    except BadFileError as error:
        return f"{path} skipped: {error}"


def _summary(message: str, reasons: Sequence[str]) -> str:
    shown = "".join(f"\n  {reason}" for reason in reasons[:5])
    more = f"\n  and {len(reasons) - 5} more" if len(reasons) > 5 else ""
    return message + shown + more


def _listed(line: str, folder: Path, root: Path) -> Path:
    if line.startswith("./"):
        return folder / line[2:]
    candidates = [folder / line, root / line, Path(line).absolute()]
    return next((path for path in candidates if path.exists()), candidates[0])
