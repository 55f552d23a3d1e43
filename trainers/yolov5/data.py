"""The images and labels of a training, opened."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .cache import ImageCache, open_cache
from .dataset import DataConfig, Split, load_data, scan
from .settings import EMBEDDED

if TYPE_CHECKING:
    from pathlib import Path

    from .settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """The training or validation images with their labels."""

    split: Split
    cache: ImageCache


@dataclass(frozen=True)
class Data:
    """A dataset ready to train on."""

    config: DataConfig
    val: Part
    train: Part


def open_data(settings: Settings, cache: Path) -> Data:
    """Read the labels and open the resized images, building their caches under `cache` where they are missing.

    Raises:
        FileNotFoundError: The data.yaml or a folder it names is missing.
        ValueError: The data can't be used.
    """
    config = load_data(with_dataset(settings, cache).data)
    train = scan(config, "train", strict=settings.strict)
    val = train if config.val == config.train else scan(config, "val", strict=settings.strict)
    for warning in dict.fromkeys((*train.warnings, *val.warnings)):
        log.warning("%s", warning)
    return Data(
        config,
        train=Part(train, open_cache(train, cache, img=settings.img, shrink="bilinear")),
        val=Part(val, open_cache(val, cache, img=settings.img, shrink="area")),
    )


def open_validation(settings: Settings, cache: Path) -> tuple[DataConfig, Part]:
    """Open the validation images alone; errors as in `open_data`."""
    config = load_data(with_dataset(settings, cache).data)
    val = scan(config, "val", strict=settings.strict)
    for warning in val.warnings:
        log.warning("%s", warning)
    return config, Part(val, open_cache(val, cache, img=settings.img, shrink="area"))


def with_dataset(settings: Settings, cache: Path) -> Settings:
    """Give the embedded dataset its data.yaml, writing it under `cache`; others have one."""
    if settings.data != EMBEDDED:
        return settings
    from ..digits import write_digits

    return replace(settings, data=str(write_digits(cache / "digits")))
