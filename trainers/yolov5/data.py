"""The images and labels of a training, opened."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .cache import open_cache
from .data_yaml import DataConfig, load_data
from .dataset import scan
from .fetch import locate, obtain
from .settings import EMBEDDED

if TYPE_CHECKING:
    from pathlib import Path

    from .images import Images
    from .settings import Settings
    from .split import Split

log = logging.getLogger(__name__)

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


def at_hand(settings: Settings, cache: Path) -> Settings:
    """Return settings that name files: the embedded dataset written under `cache`, published names fetched.

    Raises:
        ConnectionError: Something can't be fetched.
        FileNotFoundError: There is no such file, here or published.
        ValueError: What was fetched isn't what was expected.
    """
    if settings.data == EMBEDDED:
        from ..digits import write_digits

        data = write_digits(cache / EMBEDDED)
    else:
        data = locate(settings.data)
        obtain(load_data(data))
    weights = str(locate(settings.weights)) if settings.weights else ""
    return replace(settings, data=str(data), weights=weights)


def open_data(settings: Settings, cache: Path) -> Data:
    """Read the labels and open the resized images, building their caches under `cache` where they are missing.

    Raises:
        FileNotFoundError: The data.yaml or a folder it names is missing.
        ValueError: The data can't be used.
    """
    config = load_data(settings.data)
    train, val = scan_parts(config, settings, cache)
    return Data(
        config,
        train=Part(train, open_cache(train, cache, img=settings.img, shrink="bilinear")),
        val=Part(val, open_cache(val, cache, img=settings.img, shrink="area")),
    )


def open_validation(settings: Settings, cache: Path) -> tuple[DataConfig, Part]:
    """Open the validation images alone; errors as in `open_data`."""
    config = load_data(settings.data)
    val = scan(config, "val", strict=settings.strict, memory=cache)
    for warning in warnings_of(val):
        log.warning("%s", warning)
    return config, Part(val, open_cache(val, cache, img=settings.img, shrink="area"))


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
