"""One training from start to end, and one validation."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..device import torch_device
from .anchors import fit_anchors, label_sizes
from .augment import TrainBatches
from .data import at_hand, open_data, open_validation, warnings_of
from .evaluate import Evaluation, evaluate
from .loss import LossGains
from .optimizer import Descent, make_optimizer
from .pictures import labelled_mosaic, predicted_mosaic, save_picture
from .rectangles import ValBatches
from .results import ResultsTable, write_curves
from .schedule import Schedule, scaled_decay
from .settings import GENES, OPTIONAL_GENES
from .weights import load_checkpoint, save_checkpoint, start_detector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .. import Report
    from .data import Data, Part
    from .model import Detector
    from .settings import Settings

log = logging.getLogger(__name__)


def train(
    hyp: Mapping[str, float], *, out: Path, seed: int, device: str, report: Report, settings: Settings
) -> dict[str, float]:
    """Train once; `trainers.yolov5.train` says what the arguments mean."""
    require_genes(hyp)
    place = torch_device(device)
    with repeatable(settings.deterministic):
        return _train(hyp, out, seed, place, report, settings)


def _train(
    hyp: Mapping[str, float], out: Path, seed: int, place: torch.device, report: Report, settings: Settings
) -> dict[str, float]:
    torch.manual_seed(seed)
    cache = Path(settings.cache_folder) if settings.cache_folder else out / "cache"
    if not settings.prepared:
        settings = at_hand(settings, cache)
    data = open_data(settings, cache)
    for warning in warnings_of(data.train.split, data.val.split):
        log.warning("%s", warning)
    model = starting_model(settings, hyp, data, seed).to(place).to(memory_format=torch.channels_last)
    freeze(model, settings.frozen_layers)
    gains = loss_gains(settings, hyp, data)
    batches = training_batches(settings, hyp, data, seed, place)
    validation = validation_batches(settings, data.val, place, training=True)
    precision = mixed_precision(settings, place)
    descent = start_descent(settings, hyp, model, gains, len(batches), precision)
    table = ResultsTable(out / "results.csv")
    best: Evaluation | None = None
    for epoch in range(settings.epochs):
        losses = descent.epoch(batches.epoch(epoch))
        metrics = dict(zip(("train/box_loss", "train/obj_loss", "train/cls_loss"), losses, strict=True))
        metrics["lr"] = descent.rates.lr
        require_finite(metrics, epoch)
        if settings.validates(epoch):
            last = evaluate(descent.average.model, validation, gains=gains, precision=precision)
            require_finite(last.metrics, epoch)
            metrics = last.metrics | metrics
            if best is None or fitness(last) >= fitness(best):
                best = last
                save_checkpoint(out / "weights" / "best.pt", descent.average.model, data.config.names)
        table.append(epoch, metrics)
        report(metrics, step=epoch)
    save_checkpoint(out / "weights" / "last.pt", descent.average.model, data.config.names)
    write_curves(out / "pr_curve.csv", last.scores, data.config.names)
    if settings.pictures:
        draw_pictures(out, batches, validation, last, data.config.names)
    return best.metrics if best and settings.report_epoch == "best" else last.metrics


def validate(settings: Settings, *, device: str) -> dict[str, float]:
    """Measure the settings' weights; `trainers.yolov5.validate` says what the arguments mean."""
    if not settings.weights:
        raise ValueError("weights: expected the checkpoint to measure, got none")
    place = torch_device(device)
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(settings.cache_folder or temporary)
        settings = at_hand(settings, cache)
        checkpoint = load_checkpoint(Path(settings.weights))
        config, val = open_validation(settings, cache)
        classes = len(config.names)
        if checkpoint.classes != classes:
            raise ValueError(
                f"weights: {settings.weights} knows {checkpoint.classes} classes, {settings.data} has {classes}"
            )
        anchors = checkpoint.anchors.shape[1]
        model, _, _ = start_detector(checkpoint, size=settings.model, classes=classes, anchors=anchors)
        gains = usual_gains(settings, classes)
        batches = validation_batches(settings, val, place, training=False)
        precision = mixed_precision(settings, place)
        return evaluate(model.to(place), batches, gains=gains, precision=precision).metrics


def require_genes(hyp: Mapping[str, float]) -> None:
    """Raise ValueError unless every gene that a training reads has a finite value."""
    missing = [gene for gene in GENES if gene not in hyp and gene not in OPTIONAL_GENES]
    if missing:
        raise ValueError(f"hyp: expected a value for every hyperparameter, {', '.join(missing)} missing")
    broken = [gene for gene in GENES if not math.isfinite(hyp.get(gene, 0.0))]
    if broken:
        raise ValueError(f"hyp: {broken[0]} is {hyp[broken[0]]}, expected a finite number")


def require_finite(metrics: Mapping[str, float], epoch: int) -> None:
    """Raise FloatingPointError when the training has diverged."""
    broken = [name for name, value in metrics.items() if not math.isfinite(value)]
    if broken:
        raise FloatingPointError(f"epoch {epoch}: {broken[0]} is {metrics[broken[0]]}, the training diverged")


@contextmanager
def repeatable(wanted: bool) -> Iterator[None]:
    """Within, if it is wanted, a GPU repeats a computation to the last digit; where it cannot, PyTorch warns.

    On a CPU the same number of threads repeats without it.
    """
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as cuBLAS asks, before its first use
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        cudnn.deterministic, cudnn.benchmark = before[1:]


def mixed_precision(settings: Settings, place: torch.device) -> torch.dtype:
    """Precision of the convolutions on this device."""
    if place.type == "cuda" and settings.amp:
        return torch.float16
    if place.type == "cpu" and settings.bfloat16:
        return torch.bfloat16
    return torch.float32


def starting_model(settings: Settings, hyp: Mapping[str, float], data: Data, seed: int) -> Detector:
    """Build the detector that training starts from, its anchors fitted to the labels."""
    checkpoint = load_checkpoint(Path(settings.weights)) if settings.weights else None
    known = checkpoint.anchors.shape[1] if checkpoint else 3
    anchors = round(hyp.get("anchors", 0)) or 3
    model, copied, total = start_detector(
        checkpoint, size=settings.model, classes=len(data.config.names), anchors=anchors
    )
    if checkpoint:
        log.info("%d of %d tensors from %s", copied, total, settings.weights)
    fresh = anchors != known
    if settings.autoanchor or fresh:
        rng = np.random.default_rng(seed)
        split = data.train.split
        sizes = label_sizes(split.boxes, split.sizes, settings.img, rng)
        fitted = fit_anchors(model.anchors, sizes, threshold=hyp["anchor_t"], rng=rng, fresh=fresh)
        model.anchors.copy_(fitted)
    return model


def freeze(model: Detector, layers: Iterable[int]) -> None:
    """Let the parameters of these layers be; where they are the first ones, nothing is computed backwards there."""
    for number in layers:
        model.model[number].requires_grad_(False)


def loss_gains(settings: Settings, hyp: Mapping[str, float], data: Data) -> LossGains:
    """Scale the loss's hyperparameters to this dataset and image size."""
    classes = len(data.config.names)
    return LossGains.scaled(hyp, classes=classes, img=settings.img, label_smoothing=settings.label_smoothing)


def usual_gains(settings: Settings, classes: int) -> LossGains:
    """The published gains, scaled as a training scales them: losses of a validation compare with those of one."""
    img, smoothing = settings.img, settings.label_smoothing
    return LossGains.scaled(asdict(LossGains()), classes=classes, img=img, label_smoothing=smoothing)


def training_batches(
    settings: Settings, hyp: Mapping[str, float], data: Data, seed: int, place: torch.device
) -> TrainBatches:
    """Augmented batches of the training images."""
    img, batch, part = settings.img, settings.batch, data.train
    return TrainBatches(part.split, part.images, hyp, img=img, batch=batch, seed=seed, device=place)


def validation_batches(settings: Settings, part: Part, place: torch.device, *, training: bool) -> ValBatches:
    """Rectangles of the validation images."""
    batch = settings.validation_batch(training=training)
    return ValBatches(part.split, part.images, img=settings.img, batch=batch, device=place)


def start_descent(
    settings: Settings,
    hyp: Mapping[str, float],
    model: Detector,
    gains: LossGains,
    batches: int,
    precision: torch.dtype,
) -> Descent:
    """Optimizer and schedule of a training with so many batches in an epoch."""
    schedule = Schedule(
        epochs=settings.schedule_length,
        batches=batches,
        batch=settings.batch,
        lr0=hyp["lr0"],
        lrf=hyp["lrf"],
        momentum=hyp["momentum"],
        warmup_epochs=hyp["warmup_epochs"],
        warmup_momentum=hyp["warmup_momentum"],
        warmup_bias_lr=hyp["warmup_bias_lr"],
        warmup_floor=settings.warmup_floor,
        cosine=settings.cos_lr,
    )
    optimizer = make_optimizer(
        settings.optimizer,
        model,
        lr=hyp["lr0"],
        momentum=hyp["momentum"],
        weight_decay=scaled_decay(hyp["weight_decay"], settings.batch),
    )
    return Descent(model, optimizer, schedule, gains, precision=precision, freeze_norm=settings.freeze_norm)


def draw_pictures(
    out: Path, batches: TrainBatches, validation: ValBatches, last: Evaluation, names: Sequence[str]
) -> None:
    """Draw the first training batch with its labels, the first validation batch with labels and detections."""
    images, targets = next(batches.epoch(0))
    save_picture(out / "train_batch.jpg", labelled_mosaic(images, targets, names))
    batch = next(iter(validation))
    save_picture(out / "val_labels.jpg", labelled_mosaic(batch.images, batch.targets, names))
    save_picture(out / "val_predictions.jpg", predicted_mosaic(batch, last.detections, names))


def fitness(evaluation: Evaluation) -> float:
    """What picks the best epoch: 0.1 mAP@0.5 + 0.9 mAP@0.5:0.95."""
    return 0.1 * evaluation.scores.map50 + 0.9 * evaluation.scores.map50_95
