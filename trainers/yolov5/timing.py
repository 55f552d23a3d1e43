"""How long a training will take, from some real batches of it: augmentation, forward, backward, step, validation."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..device import torch_device
from .data import SHRINKS, Data, Part, at_hand, cache_names, missing_bytes, scan_parts
from .data_yaml import load_data
from .evaluate import evaluate
from .images import open_images
from .loop import (
    freeze,
    loss_gains,
    mixed_precision,
    repeatable,
    require_genes,
    start_descent,
    starting_model,
    training_batches,
    validation_batches,
)
from .memory import Room, chosen, images_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .settings import Settings
    from .split import Split

_TIMES = 3  # that a batch is timed, behind one that warms up
_IN_ALL = 6  # batches that training and validation, which is faster, take as much time as
_ON_GPU = 8  # batches that are timed together where the next is made while one is in use


def estimate(
    settings: Settings, hyp: Mapping[str, float], *, cache: Path, device: str, seconds: float
) -> tuple[float, float, str]:
    """Time some batches; `trainers.yolov5.estimate` says what the arguments and the result mean."""
    require_genes(hyp)
    place = torch_device(device)
    logging.disable()  # of so short a training, warnings say nothing
    try:
        with tempfile.TemporaryDirectory() as folder, repeatable(settings.deterministic):
            torch.manual_seed(0)
            return _estimate(at_hand(settings, cache), hyp, cache, Path(folder), place, seconds)
    finally:
        logging.disable(logging.NOTSET)


def _estimate(
    settings: Settings,
    hyp: Mapping[str, float],
    cache: Path,
    folder: Path,
    place: torch.device,
    seconds: float,
) -> tuple[float, float, str]:
    config = load_data(settings.data, settings.split)
    whole = scan_parts(config, settings, cache)
    lacking = missing_bytes(whole, settings.img, cache, cache_names(whole, settings.img))
    policy = chosen(settings.cache, images_bytes(*whole, settings.img), lacking, Room.at(cache.absolute()))
    together = _ON_GPU if place.type == "cuda" else 1

    def part(which: int, count: int) -> Part:
        split = _few(whole[which], count * together)
        images = open_images(split, folder, img=settings.img, shrink=SHRINKS[which], cache=policy)
        return Part(split, images)

    tried = min(2, settings.batch)
    data = Data(config, part(0, tried), part(1, tried))
    model = starting_model(replace(settings, autoanchor=False), hyp, data, 0).to(place)
    model = model.to(memory_format=torch.channels_last)
    freeze(model, settings.frozen_layers)
    gains = loss_gains(settings, hyp, data)
    precision = mixed_precision(settings, place)
    descent = start_descent(settings, hyp, model, gains, -(-len(whole[0]) // settings.batch), precision)

    def training(count: int, times: int) -> list[float]:
        few = replace(data, train=part(0, count))
        batches = training_batches(replace(settings, batch=count), hyp, few, 0, place)
        return _timed(lambda: descent.epoch(batches.epoch(0)), len(few.train.split), times)

    def validation(count: int, times: int) -> list[float]:
        few = part(1, count)
        batches = validation_batches(replace(settings, val_batch=count), few, place, training=True)
        average = descent.average.model
        return _timed(
            lambda: evaluate(average, batches, gains=gains, precision=precision), len(few.split), times
        )

    affordable = int(seconds / _IN_ALL / together / min(training(tried, 1)))
    count = min(settings.batch, max(tried, affordable))
    counted = min(settings.validation_batch(training=True), 2 * count)
    trained, validated = training(count, _TIMES), validation(counted, 2)
    images = settings.epochs * len(whole[0])
    judged = sum(map(settings.validates, range(settings.epochs))) * len(whole[1])
    low, high = (images * pick(trained) + judged * pick(validated) for pick in (min, max))
    return low, high, f"batches of {count} images to train on and {counted} to validate"


def _timed(work: Callable[[], object], images: int, times: int) -> list[float]:
    """Seconds for each image, so many times; the first time of all is for warming up."""
    found = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        work()  # it ends with figures on the CPU, so that a GPU has done it
        found.append((time.perf_counter() - begun) / images)
    return found[1:]


def _few(split: Split, count: int) -> Split:
    """Some images of a split, drawn at random."""
    rng = np.random.default_rng(0)
    taken = sorted(rng.permutation(len(split))[:count].tolist())
    return replace(
        split,
        images=tuple(split.images[index] for index in taken),
        sizes=split.sizes[taken],
        boxes=tuple(split.boxes[index] for index in taken),
        polygons=tuple(split.polygons[index] for index in taken),
        unlabelled=(),
    )
