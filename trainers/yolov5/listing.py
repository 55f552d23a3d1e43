"""The image files that the sources of a dataset name: folders, searched through, and lists."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..printable import printable
from .decode import SUFFIXES
from .labels import label_path
from .text import BadFileError, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_LIST = 500_000_000  # bytes
_LONGEST_PATH = 4096  # characters
_MOST_WAYS = 40  # by which one folder may be reached through links


@dataclass
class Listing:
    """What the sources name."""

    images: list[Path] = field(default_factory=list)  # of each source in order, those of a folder sorted
    refused: list[str] = field(default_factory=list)  # a sentence for each entry that can be no image
    remarks: list[str] = field(default_factory=list)  # sentences on what else a user should know
    others: Counter[str] = field(
        default_factory=Counter
    )  # endings of the files in folders that are no images


def list_images(sources: Iterable[Path], root: Path) -> Listing:
    """Find the images in folders and .txt lists.

    In folders, links are followed and names that begin with a dot are passed over, as YOLOv5 does. In a list, `./`
    means the list's own folder; other relative paths are looked for there, then under `root`, then in the working
    directory.

    Raises:
        FileNotFoundError: A source doesn't exist.
        ValueError: A source is no folder and no list, or its links go round and round.
    """
    found = Listing()
    for source in sources:
        if source.is_dir():
            _search(_base(source, found), found)
            continue
        try:
            lines = read_text(source, _LONGEST_LIST).splitlines()
        except FileNotFoundError:
            raise FileNotFoundError(
                f"no {printable(source)}; expected a folder of images or a .txt list of them"
            ) from None
        except BadFileError as error:
            raise ValueError(f"{printable(source)}, taken for a list of images: {error}") from None
        for line in filter(None, map(str.strip, lines)):
            _take(line, source.parent, root, found)
    return found


def _search(folder: Path, found: Listing) -> None:
    """Add the images in a folder and below. Each folder on the way to another is entered once, so links may loop."""
    images: list[Path] = []
    arrivals: Counter[tuple[int, int]] = Counter()
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    while waiting:
        place, above = waiting.pop()
        try:
            status = place.stat()
            with os.scandir(place) as opened:
                entries = list(opened)
        except OSError as error:
            found.refused.append(f"{printable(place)} skipped: it can't be read: {error.strerror}")
            continue
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            found.remarks.append(f"{printable(place)} passed over: a link to a folder that it lies in")
            continue
        arrivals[identity] += 1
        if arrivals[identity] > _MOST_WAYS:
            raise ValueError(
                f"{printable(place)} can be reached in more than {_MOST_WAYS} ways; "
                f"remove links below {printable(folder)}"
            )
        for entry in entries:
            path = place / entry.name
            if entry.name.startswith("."):
                found.others["hidden"] += 1
            elif os.path.isdir(path) if entry.is_symlink() else entry.is_dir():  # noqa: PTH112  # never raises
                waiting.append((path, above | {identity}))
            elif path.suffix.lower() in SUFFIXES:
                images.append(path)
            else:
                found.others[printable(path.suffix.lower()) or "no ending"] += 1
    found.images += sorted(images)


def _base(source: Path, found: Listing) -> Path:
    """Return the folder, or where it really lies if only there labels belong to it.

    YOLOv5 resolves a source that is a link, or lies below one, before it looks for labels.
    """
    real = source.resolve()
    here, there = (label_path(folder / "x.jpg").parent for folder in (source, real))
    if here.resolve() == there.resolve() or not _holds_text(there):
        return source
    if not _holds_text(here):
        return real
    found.remarks.append(
        f"{printable(source)} is a link: its labels are read from {printable(here)}, "
        f"not from {printable(there)} as by YOLOv5"
    )
    return source


def _holds_text(folder: Path) -> bool:
    return any(name.endswith(".txt") for _, _, names in os.walk(folder) for name in names)


def _take(line: str, folder: Path, root: Path, found: Listing) -> None:
    """Add the image that a line of a list names."""
    if len(line) > _LONGEST_PATH or "\0" in line:
        found.refused.append(
            f"{line[:60]!r} skipped: expected a path, got a line of {len(line):,} characters"
        )
        return
    places = [folder] if line.startswith("./") else [folder, root, Path.cwd()]
    candidates = [place / line for place in places]
    path = next((path for path in candidates if os.path.exists(path)), candidates[0])  # noqa: PTH110  # never raises
    if path.suffix.lower() not in SUFFIXES:
        found.refused.append(f"{printable(path)} skipped: no image format")
    elif os.sep == "/" and "\\" in line and not os.path.lexists(path):
        found.refused.append(
            f"{printable(line)} skipped: no such file; paths are written with / here, not with \\"
        )
    else:
        found.images.append(path)
