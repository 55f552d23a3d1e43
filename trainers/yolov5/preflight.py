"""Before a search: what is wrong or worth knowing, and what all its trainings share."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..findings import HIGHEST_FOR_ADAM, NO_POLYGONS, contents, rate_for_sgd
from ..printable import printable
from ..progress import shown
from .data import at_hand, cache_names, missing_bytes, prepare_data, scan_parts, warnings_of
from .data_yaml import DataConfig, load_data
from .data_yaml import splits as named_splits
from .labels import label_path
from .limits import impossible
from .listing import list_images
from .memory import Room, memory_findings
from .schedule import warmup_iterations
from .settings import EMBEDDED, GENES, OPTIONAL_GENES
from .sources import Missing, missing, tell
from .weights import Checkpoint, load_checkpoint, transferable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..findings import Finding
    from .settings import Settings
    from .split import Split

_OUTPUT_LAYER = 7  # tensors: weights and biases of three levels, and the anchors


def check(
    settings: Settings,
    hyp: Mapping[str, float],
    space: Mapping[str, Mapping[str, object]],
    cache: Path | None,
    device: str | None = None,
) -> list[Finding]:
    """Look for trouble; `trainers.yolov5.check` says what the arguments mean."""
    wrong = [("error", f"hyp: {problem}") for problem in impossible(hyp)]
    if wrong:
        return wrong
    findings = [*_genes(hyp, space), *_optimizer(settings, hyp)]
    with tempfile.TemporaryDirectory() as temporary:
        try:
            lacking = missing(settings)
            if lacking:
                if settings.weights and Path(settings.weights).exists():
                    load_checkpoint(Path(settings.weights))
                return [*findings, *_offers(lacking)]
            settings = at_hand(settings, cache or Path(temporary))
            checkpoint = load_checkpoint(Path(settings.weights)) if settings.weights else None
            config = load_data(settings.data, settings.split)
            train, val = scan_parts(config, settings, cache)
            findings += [
                _contents("train", train, config),
                _contents(settings.split, val, config),
                *_images(train, val),
                *_leak(train, val),
                *_names(config),
                *_outlines(train, hyp, space),
                *_warmup(settings, hyp, len(train)),
                *_lonely(settings, len(train)),
                *_transfer(settings, hyp, config, checkpoint),
            ]
            findings += _memory(settings, train, val, config, checkpoint, cache, device)
        except (OSError, ValueError) as error:
            findings.append(("error", str(error)))
    return findings


def prepare(settings: Settings, cache: Path) -> Settings:
    """Write what all trainings share; `trainers.yolov5.prepare` says what the arguments mean."""
    cache = cache.absolute()
    unseen = bool(missing(settings))  # by `check`, which fetches nothing
    try:
        settings = replace(at_hand(settings, cache), cache_folder=str(cache))
    except ConnectionError as error:  # an address that can't be reached is a wrong input, as every other one
        raise ValueError(str(error)) from error
    if unseen:
        if settings.weights:
            load_checkpoint(Path(settings.weights))
        for level, message in _images(*scan_parts(load_data(settings.data, settings.split), settings, cache)):
            tell(f"{level}: {message}")
    return prepare_data(settings, cache)


def splits(settings: Settings, cache: Path) -> dict[str, str]:
    """Look which images can be validated; `trainers.yolov5.splits` says what is returned."""
    if settings.data == EMBEDDED:
        return {"val": ""}
    if missing(settings):
        return {}
    settings = at_hand(settings, cache)
    root = load_data(settings.data).root
    return {key: _unusable(sources, root) for key, sources in named_splits(settings.data).items()}


def _unusable(sources: Iterable[Path], root: Path) -> str:
    """Why images can't be validated, as COCO's test images, whose labels are nobody's; empty when they can."""
    try:
        images = list_images(sources, root).images
    except (OSError, ValueError) as error:
        return str(error)
    if any(label_path(image).exists() for image in images):
        return ""
    return f"none of its {len(images)} images has a label file" if images else "it holds no image"


def fingerprint(settings: Settings) -> str:
    """Identify the dataset's content; `trainers.yolov5.fingerprint` says how."""
    config = load_data(settings.data, settings.split)
    digest = hashlib.sha256("\0".join(config.names).encode("utf-8", "surrogateescape"))
    for split in scan_parts(config, settings, Path(settings.cache_folder) if settings.cache_folder else None):
        digest.update(b"\0part")
        for image, size, boxes, outlines in zip(
            split.images, split.sizes, split.boxes, split.polygons, strict=True
        ):
            digest.update(f"\0{image.name}\0{image.stat().st_size}".encode("utf-8", "surrogateescape"))
            for array in (size, boxes, *(outline for outline in outlines if outline is not None)):
                digest.update(array.tobytes())
    return f"2-{digest.hexdigest()}"


def _offers(lacking: list[Missing]) -> Iterator[Finding]:
    for item in lacking:
        yield "absent", f"not here yet, and so not checked: a study would begin by fetching {item.offer()}"


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
    if settings.optimizer != "SGD" and hyp.get("lr0", 0) >= HIGHEST_FOR_ADAM:
        yield rate_for_sgd(settings.optimizer, hyp["lr0"])


def _images(train: Split, val: Split) -> Iterator[Finding]:
    counts = [split.warnings[0] for split in (train, val) if split.unlabelled]  # never cut off by a long list
    for warning in dict.fromkeys((*counts, *warnings_of(train, val))):
        yield "warning", warning


def _contents(part: str, split: Split, config: DataConfig) -> Finding:
    numbers = np.concatenate([boxes[:, 0] for boxes in split.boxes]).astype(int)
    return contents(
        part,
        images=len(split),
        labelled=sum(map(bool, map(len, split.boxes))),
        boxes=Counter(numbers.tolist()),
        names=config.names,
    )


def _leak(train: Split, val: Split) -> Iterator[Finding]:
    """Say how many validation images are trained on, as the same file or a copy."""
    files = {_file(path) for path in train.images}
    others = [(path, traits) for path, traits in _traits(val) if _file(path) not in files]
    shared = len(val) - len(others)
    alike = {traits for _, traits in others}
    candidates = [(path, traits) for path, traits in _traits(train) if traits in alike]
    if candidates:
        read = shown(candidates, len(candidates), "comparing train and val images")
        copies = {(traits, _content(path)) for path, traits in read}
        known = {traits for traits, _ in copies}
        shared += sum(traits in known and (traits, _content(path)) in copies for path, traits in others)
    if shared:
        yield (
            "warning",
            f"data: {shared} of {len(val)} val images are train images too; "
            "the metrics promise more than unseen images will give",
        )


def _file(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _traits(split: Split) -> Iterator[tuple[Path, tuple[int, bytes, bytes]]]:
    """What copies of a labelled image agree in, at no cost: bytes of the file, size, boxes."""
    for path, size, boxes in zip(split.images, split.sizes, split.boxes, strict=True):
        yield path, (path.stat().st_size, size.tobytes(), boxes.tobytes())


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _names(config: DataConfig) -> Iterator[Finding]:
    for name, count in Counter(config.names).items():
        if count > 1:
            yield "warning", f"data: {count} classes are called {name!r:.100}"


def _outlines(
    train: Split, hyp: Mapping[str, float], space: Mapping[str, Mapping[str, object]]
) -> Iterator[Finding]:
    used = hyp.get("copy_paste", 0) > 0 or _evolves("copy_paste", space)
    if used and not any(polygon is not None for image in train.polygons for polygon in image):
        yield "warning", f"{NO_POLYGONS}; --freeze copy_paste leaves it out of the search"


def _warmup(settings: Settings, hyp: Mapping[str, float], images: int) -> Iterator[Finding]:
    batches = -(-images // settings.batch)
    iterations = settings.epochs * batches
    warmup = warmup_iterations(hyp.get("warmup_epochs", 0), batches, settings.warmup_floor)
    if warmup >= iterations:
        yield (
            "note",
            f"warm-up: lasts {warmup} iterations and the whole training only {iterations}; the learning rate never "
            f"reaches lr0 (settings: epochs, warmup_floor)",
        )


def _lonely(settings: Settings, images: int) -> Iterator[Finding]:
    """A single image of 32 pixels is one value per channel in the last layers: batch norm has nothing to go by."""
    if settings.img == 32 and 1 in (settings.batch, images % settings.batch):
        yield (
            "error",
            f"img: at 32 pixels no batch may hold one image alone, as the last of {images} images in batches of "
            f"{settings.batch} does; use --img 64 or another --batch",
        )


def _transfer(
    settings: Settings, hyp: Mapping[str, float], config: DataConfig, checkpoint: Checkpoint | None
) -> Iterator[Finding]:
    if checkpoint is None:
        return
    classes, anchors = len(config.names), round(hyp.get("anchors", 0)) or 3
    copied, total = transferable(checkpoint, size=settings.model, classes=classes, anchors=anchors)
    if copied == total:
        return
    reason = ""
    if checkpoint.classes != classes:
        reason = (
            f"; made for {checkpoint.classes} classes, the data has {classes}: "
            "the output layer starts from scratch"
        )
    level = "note" if reason and total - copied <= _OUTPUT_LAYER else "warning"
    yield level, f"weights: {copied} of {total} tensors are taken from {printable(settings.weights)}{reason}"


def _memory(
    settings: Settings,
    train: Split,
    val: Split,
    config: DataConfig,
    checkpoint: Checkpoint | None,
    cache: Path | None,
    device: str | None,
) -> Iterator[Finding]:
    folder = cache or Path()
    if checkpoint and not settings.model:
        settings = replace(settings, model=checkpoint.size)
    names = cache_names((train, val), settings.img)
    lacking = missing_bytes((train, val), settings.img, folder, names)
    room = Room.at(folder.absolute())
    yield from memory_findings(settings, train, val, len(config.names), lacking, room, device)
