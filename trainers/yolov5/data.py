"""The images and labels of a training, opened."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .cache import cache_bytes, cache_name
from .data_yaml import DataConfig, load_data
from .dataset import scan
from .images import open_images
from .memory import Room, chosen, images_bytes
from .settings import EMBEDDED
from .sources import locate, obtain, tell
from .split import read_split, save_split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .images import Images
    from .resize import Shrink
    from .settings import Settings
    from .split import Split

log = logging.getLogger(__name__)

SHRINKS: tuple[Shrink, Shrink] = ("bilinear", "area")  # of training and validation images, as in YOLOv5
_SHOWN = 20  # warnings about files


@dataclass(frozen=True)
class Part:
    """The training or validation images with their labels."""

    split: Split
    images: Images


@dataclass(frozen=True)
class Data:
    """A dataset ready to train on."""

    config: DataConfig
    train: Part
    val: Part


def at_hand(settings: Settings, cache: Path, say: Callable[[str], None] = tell) -> Settings:
    """Return settings that name files: the embedded dataset written under `cache`, what isn't here fetched.

    `say` is told of each download before it begins: what, from where, how large, and into which place.

    Raises:
        ConnectionError: Something can't be fetched.
        FileNotFoundError: There is no such file, here or published.
        ValueError: What was fetched isn't what was expected.
    """
    if settings.data == EMBEDDED:
        from ..digits import write_digits

        data = write_digits(cache / EMBEDDED)
    else:
        data = locate(settings.data, say)
        obtain(load_data(data, settings.split), say)
    weights = str(locate(settings.weights, say)) if settings.weights else ""
    return replace(settings, data=str(data), weights=weights)


def open_data(settings: Settings, cache: Path) -> Data:
    """Read the labels and open the resized images, building their files under `cache` where they are missing.

    Where `prepare_data` has been, its names lead to all that, and no file of the dataset is touched.

    Raises:
        FileNotFoundError: The data.yaml or a folder it names is missing.
        ValueError: The data can't be used.
    """
    config = load_data(settings.data, settings.split)
    kept = _kept(settings, cache)
    if kept is None:
        return _opened(config, settings, cache, scan_parts(config, settings, cache))
    return _opened(config, settings, cache, kept, settings.prepared.split()[2:])


def prepare_data(settings: Settings, cache: Path) -> Settings:
    """Write what trainings share under `cache` and check it; return settings that say where the images come from.

    Raises as `open_data`.
    """
    config = load_data(settings.data, settings.split)
    parts = scan_parts(config, settings, cache)
    names = cache_names(parts, settings.img)
    policy = chosen(
        settings.cache,
        images_bytes(*parts, settings.img),
        missing_bytes(parts, settings.img, cache, names),
        Room.at(cache),
    )
    if policy == "none" and settings.cache == "auto":
        log.warning(
            "no room for files of resized images: images are decoded as they are asked for (--cache none)"
        )
    settings = replace(settings, cache=policy)
    _opened(config, settings, cache, parts, names, thorough=True)
    return replace(settings, prepared=" ".join((*(_keep(part, cache) for part in parts), *names)))


def open_validation(settings: Settings, cache: Path) -> tuple[DataConfig, Part]:
    """Open the validation images alone, for one pass: without a shared folder they are decoded; errors as above."""
    config = load_data(settings.data, settings.split)
    val = scan(config, "val", strict=settings.strict, memory=cache)
    for warning in warnings_of(val):
        log.warning("%s", warning)
    policy = settings.cache
    if policy == "auto":
        policy = "disk" if settings.cache_folder else "none"
    return config, Part(val, open_images(val, cache, img=settings.img, shrink="area", cache=policy))


def cache_names(parts: tuple[Split, Split], img: int) -> list[str]:
    """Name the files of the resized training and validation images."""
    return [cache_name(part, img=img, shrink=shrink) for part, shrink in zip(parts, SHRINKS, strict=True)]


def missing_bytes(parts: tuple[Split, Split], img: int, folder: Path, names: Sequence[str]) -> int:
    """Return the bytes of the files of resized images that are not there yet."""
    return sum(
        cache_bytes(part, img)
        for part, name in zip(parts, names, strict=True)
        if not (folder / name).is_file()
    )


def _opened(
    config: DataConfig,
    settings: Settings,
    cache: Path,
    parts: tuple[Split, Split],
    names: Sequence[str] = ("", ""),
    *,
    thorough: bool = False,
) -> Data:
    policy = settings.cache
    if policy == "auto":  # a training that nobody prepared
        names = cache_names(parts, settings.img)
        missing = missing_bytes(parts, settings.img, cache, names)
        policy = chosen(policy, images_bytes(*parts, settings.img), missing, Room.at(cache))
    train, val = (
        Part(
            part,
            open_images(
                part, cache, img=settings.img, shrink=shrink, cache=policy, name=name, thorough=thorough
            ),
        )
        for part, shrink, name in zip(parts, SHRINKS, names, strict=True)
    )
    return Data(config, train, val)


def _keep(split: Split, folder: Path) -> str:
    """Write a split for the trainings of a study; return its name, which follows from its content."""
    unfinished = folder / f"{os.getpid()}-{secrets.token_hex(4)}.split.npz"
    save_split(unfinished, split)
    try:
        name = f"{hashlib.sha256(unfinished.read_bytes()).hexdigest()[:20]}.split.npz"
        if not (folder / name).exists() or (folder / name).read_bytes() != unfinished.read_bytes():
            unfinished.replace(folder / name)
    finally:
        unfinished.unlink(missing_ok=True)
    return name


def _kept(settings: Settings, folder: Path) -> tuple[Split, Split] | None:
    """Return the splits that `prepare_data` has kept, if they are there."""
    names = settings.prepared.split()[:2]
    if not names:
        return None
    train, val = (read_split(folder / name) for name in names)
    return None if train is None or val is None else (train, val)


def scan_parts(config: DataConfig, settings: Settings, memory: Path | None) -> tuple[Split, Split]:
    """Scan training and validation images, once where they are the same."""
    train = scan(config, "train", strict=settings.strict, memory=memory)
    if config.val == config.train:
        return train, train
    return train, scan(config, "val", strict=settings.strict, memory=memory)


def warnings_of(*splits: Split) -> list[str]:
    """Return what is wrong with some files, each once; a long list is cut short."""
    warnings = list(dict.fromkeys(warning for split in splits for warning in split.warnings))
    rest = len(warnings) - _SHOWN
    return warnings if rest <= 0 else [*warnings[:_SHOWN], f"and {rest} more files or rows like these"]
