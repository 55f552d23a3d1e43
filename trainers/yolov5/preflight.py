"""Before a search: what is wrong or worth knowing, and what all its trainings share."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .data import at_hand, open_data, scan_parts, warnings_of
from .data_yaml import DataConfig, load_data
from .limits import impossible
from .settings import GENES, OPTIONAL_GENES
from .weights import Checkpoint, load_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .settings import Settings
    from .split import Split

Finding = tuple[str, str]  # "error" | "warning" | "note", message


def check(
    settings: Settings,
    hyp: Mapping[str, float],
    space: Mapping[str, Mapping[str, object]],
    cache: Path | None,
) -> list[Finding]:
    """Look for trouble; `trainers.yolov5.check` says what the arguments mean."""
    wrong = [("error", f"hyp: {problem}") for problem in impossible(hyp)]
    if wrong:
        return wrong
    findings = [*_genes(hyp, space), *_optimizer(settings, hyp)]
    with tempfile.TemporaryDirectory() as temporary:
        try:
            settings = at_hand(settings, cache or Path(temporary))
            checkpoint = load_checkpoint(Path(settings.weights)) if settings.weights else None
            config = load_data(settings.data)
            train, val = scan_parts(config, settings, cache)
        except (OSError, ValueError) as error:
            return [*findings, ("error", str(error))]
    return [
        *findings,
        *_images(train, val),
        *_outlines(train, hyp, space),
        *_warmup(settings, hyp, len(train)),
        *_transfer(config, checkpoint),
    ]


def prepare(settings: Settings, cache: Path) -> Settings:
    """Write what all trainings share; `trainers.yolov5.prepare` says what the arguments mean."""
    cache = cache.absolute()
    settings = replace(at_hand(settings, cache), cache=str(cache))
    open_data(settings, cache)
    return settings


def fingerprint(settings: Settings) -> str:
    """Identify the dataset's content; `trainers.yolov5.fingerprint` says how."""
    config = load_data(settings.data)
    digest = hashlib.sha256("\0".join(config.names).encode("utf-8", "surrogateescape"))
    for split in scan_parts(config, settings, Path(settings.cache) if settings.cache else None):
        digest.update(b"\0part")
        for image, size, boxes, outlines in zip(
            split.images, split.sizes, split.boxes, split.polygons, strict=True
        ):
            place = os.path.relpath(image, config.root)
            digest.update(f"\0{place}\0{image.stat().st_size}".encode("utf-8", "surrogateescape"))
            for array in (size, boxes, *(outline for outline in outlines if outline is not None)):
                digest.update(array.tobytes())
    return digest.hexdigest()


def _genes(hyp: Mapping[str, float], space: Mapping[str, Mapping[str, object]]) -> Iterator[Finding]:
    for gene in GENES:
        if gene not in hyp and gene not in OPTIONAL_GENES:
            yield "error", f"hyp: {gene} has no value; a training needs one"
    for gene in sorted({*hyp, *space} - set(GENES)):
        yield "warning", f"{gene}: this trainer reads no such hyperparameter; its value changes nothing"
    if _evolves("iou_t", space):
        yield "warning", "iou_t: has no effect, as in YOLOv5 7.0; freeze it"


def _evolves(gene: str, space: Mapping[str, Mapping[str, object]]) -> bool:
    return gene in space and bool(space[gene].get("gain", 1))


def _optimizer(settings: Settings, hyp: Mapping[str, float]) -> Iterator[Finding]:
    if settings.optimizer != "SGD" and hyp.get("lr0", 0) >= 0.01:
        yield (
            "warning",
            f"lr0: {hyp['lr0']} is a rate for SGD; {settings.optimizer} usually starts at 0.001, "
            "higher ones tend to diverge",
        )


def _images(train: Split, val: Split) -> Iterator[Finding]:
    for warning in warnings_of(train, val):
        yield "warning", warning
    for name, split in (("train", train), ("val", val)):
        if not any(len(boxes) for boxes in split.boxes):
            yield "warning", f"data: the {name} images have no labels at all; no metric can rise above 0"


def _outlines(
    train: Split, hyp: Mapping[str, float], space: Mapping[str, Mapping[str, object]]
) -> Iterator[Finding]:
    used = hyp.get("copy_paste", 0) > 0 or _evolves("copy_paste", space)
    if used and not any(polygon is not None for image in train.polygons for polygon in image):
        yield (
            "warning",
            "copy_paste: has no effect, the labels are boxes and it needs polygons; freeze it at 0",
        )


def _warmup(settings: Settings, hyp: Mapping[str, float], images: int) -> Iterator[Finding]:
    batches = -(-images // settings.batch)
    iterations = settings.epochs * batches
    warmup = max(round(hyp.get("warmup_epochs", 0) * batches), settings.warmup_floor)
    if warmup >= iterations:
        yield (
            "note",
            f"warm-up: lasts {warmup} iterations and the whole training only {iterations}; the learning rate never "
            f"reaches lr0 (settings: epochs, warmup_floor)",
        )


def _transfer(config: DataConfig, checkpoint: Checkpoint | None) -> Iterator[Finding]:
    if checkpoint and checkpoint.classes != len(config.names):
        yield (
            "note",
            f"weights: made for {checkpoint.classes} classes, the data has {len(config.names)}; "
            "the output layer starts from scratch",
        )
