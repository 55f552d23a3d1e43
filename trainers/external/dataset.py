"""A dataset in YOLO's layout, as an external program has resolved its data.yaml: written down, and identified.

Images lie under a folder `images`, or are listed in a text file; their labels lie under `labels` beside it.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ..findings import contents
from ..progress import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..findings import Finding

_SUFFIXES = frozenset(
    {".bmp", ".dng", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp", ".pfm", ".heic"}
)
RULE = "3"  # of this kind of fingerprint: the built-in trainer's is another


def write_resolved(data: Mapping[str, Any], folder: Path) -> str:
    """Write a data.yaml with absolute paths, for trainings that fetch nothing; its name follows from its content."""
    kept = {name: value for name, value in data.items() if name not in ("yaml_file", "download")}
    kept["names"] = class_names(data)
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
    path = folder.absolute() / "resolved" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def fingerprint(source: Path) -> str:
    """Identify the content of a dataset, wherever it lies: its classes, each image's name and size, its labels.

    Args:
        source: A data.yaml that `write_resolved` has written, or a folder with a folder of images for each class.
    """
    data = {} if source.is_dir() else yaml.safe_load(source.read_text(encoding="utf-8"))
    digest = hashlib.sha256("\0".join(class_names(data)).encode("utf-8", "surrogateescape"))
    for image in images([source] if source.is_dir() else parts(data)):
        words = (image.parent.name, image.name, str(_bytes(image)))
        digest.update("\0".join(("", *words, "")).encode("utf-8", "surrogateescape"))
        digest.update(_labels(image))
    return f"{RULE}-{digest.hexdigest()}"


def holdings(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Say what the training and the validation images of a resolved data.yaml hold; rows are not judged here."""
    names = class_names(data)
    for part in ("train", "val"):
        found = list(images(parts(data, part)))
        if not found:
            continue
        boxes: Counter[int] = Counter()
        labelled = 0
        for rows in shown(map(_labels, found), len(found), f"reading the labels of {part}"):
            classes = [row.split(maxsplit=1)[0] for row in rows.splitlines() if row.strip()]
            boxes.update(int(float(word)) for word in classes if word.replace(b".", b"", 1).isdigit())
            labelled += bool(classes)
        yield contents(part, images=len(found), labelled=labelled, boxes=boxes, names=names)


def have_outlines(sources: Iterable[Path]) -> bool:
    """Whether a label has more than a box."""
    return any(len(row.split()) > 5 for image in images(sources) for row in _labels(image).splitlines())


def images(sources: Iterable[Path]) -> Iterator[Path]:
    """The images of folders, of lists and of themselves, in a fixed order."""
    for source in sources:
        if source.is_dir():
            yield from sorted(path for path in source.rglob("*") if path.suffix.lower() in _SUFFIXES)
        elif source.suffix.lower() == ".txt":
            for line in source.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
                if entry := line.strip():
                    yield Path(os.path.normpath(source.parent / entry))
        else:
            yield source


def parts(data: Mapping[str, Any], *which: str) -> list[Path]:
    """The sources of the images of some parts of a resolved data.yaml, by default `train` and `val`."""
    entries = (data.get(part) for part in which or ("train", "val"))
    sources = (source for entry in entries for source in (entry if isinstance(entry, list) else [entry]))
    return [Path(data.get("path") or "") / source for source in sources if source]


def class_names(data: Mapping[str, Any]) -> list[str]:
    """The names of the classes, by number."""
    names = data.get("names") or []
    return [str(name) for name in (names.values() if isinstance(names, dict) else names)]


def _labels(image: Path) -> bytes:
    """The content of an image's label file; nothing where there is none."""
    folders = list(image.parts)
    if "images" in folders:  # the last one
        folders[len(folders) - 1 - folders[::-1].index("images")] = "labels"
    try:
        return Path(*folders).with_suffix(".txt").read_bytes()
    except OSError:
        return b""


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
