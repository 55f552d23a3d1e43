"""Training batches: shuffled and augmented on the device, each sample a function of (seed, epoch, image)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from .colour import jitter_colour
from .copy_paste import copy_paste
from .mosaic import RIM, CanvasLabels, Placement, mosaic, paint, place_labels, single
from .warp import (
    BOX_SHOWN,
    POLYGON_SHOWN,
    matrix,
    visible,
    warp_boxes,
    warp_pixels,
    warp_polygons,
    window_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from .cache import ImageCache
    from .split import Split

GENES = (
    *("hsv_h", "hsv_s", "hsv_v"),
    *("degrees", "translate", "scale", "shear", "perspective", "flipud", "fliplr"),
    *("mosaic", "mixup", "copy_paste"),
)


@dataclass(frozen=True)
class Scene:
    """What goes onto one canvas, and the map from there to the output."""

    placements: list[Placement]
    is_mosaic: bool
    matrix: NDArray[np.float64]
    scale: float
    rng: np.random.Generator  # for copy-paste


@dataclass(frozen=True)
class Sample:
    """One image of a batch: a scene, or two mixed; then the colour."""

    scenes: tuple[Scene, ...]
    ratio: float  # of the first scene
    gains: NDArray[np.float64]  # factors of hue, saturation and value


class TrainBatches:
    """The augmented batches of a split.

    Args:
        split: Whose images and labels.
        cache: Its images, resized to `img`.
        hyp: Value of each of GENES.
        img: Side of the square outputs in pixels, even.
        batch: Images in a batch; the last of an epoch may hold fewer.
        seed: With the epoch and the image it decides everything random.
        device: Where the augmentation runs and the tensors lie.
        together: Samples rendered in one go; by default one on a CPU, whose cache holds the float canvas of
            one, and a batch on a GPU, which wants few large operations. The result is the same.
    """

    def __init__(
        self,
        split: Split,
        cache: ImageCache,
        hyp: Mapping[str, float],
        *,
        img: int,
        batch: int,
        seed: int,
        device: torch.device | str,
        together: int | None = None,
    ) -> None:
        self.split = split
        self.hyp = {gene: float(hyp[gene]) for gene in GENES}
        self.img = img
        self.batch = batch
        self.seed = seed
        self.device = torch.device(device)
        self.cache = cache.near(self.device)
        if together is None:
            together = 1 if self.device.type == "cpu" else min(batch, len(split))
        side = 2 * img + 2 * RIM
        self._canvases = torch.empty(together, 3, side, side, device=self.device)

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (B, 3, img, img) uint8 RGB, and targets (n, 6) float32.

        A target is image in batch, class, x, y, w, h; the last four normalised.
        """
        order = self.order(epoch)
        for start in range(0, len(order), self.batch):
            samples = [self.sample(epoch, image) for image in order[start : start + self.batch]]
            images = torch.empty(len(samples), 3, self.img, self.img, dtype=torch.uint8, device=self.device)
            targets = []
            for first in range(0, len(samples), len(self._canvases)):
                part = slice(first, first + len(self._canvases))
                pixels, labels = self._render(samples[part])
                images[part] = pixels
                labels[:, 0] += first
                targets.append(labels)
            yield images, torch.from_numpy(np.concatenate(targets)).to(self.device, non_blocking=True)

    def order(self, epoch: int) -> list[int]:
        """Return the images in the order in which an epoch shows them."""
        order: list[int] = np.random.default_rng([self.seed, epoch, 0]).permutation(len(self.split)).tolist()
        return order

    def sample(self, epoch: int, image: int) -> Sample:
        """Draw one sample. Each random number has its place, so a gene never changes another one's luck."""
        hyp = self.hyp
        rng = np.random.default_rng([self.seed, epoch, 1 + image])
        luck = rng.random(8)
        ratio = float(rng.beta(32, 32))
        scene = self._scene(rng, image, is_mosaic=luck[0] < hyp["mosaic"], flip=self._flip(luck[1], luck[2]))
        scenes = [scene]
        if scene.is_mosaic and luck[3] < hyp["mixup"]:
            partner = int(luck[4] * len(self.split))
            rng = np.random.default_rng([self.seed, epoch, 1 + image, 1])
            scenes.append(self._scene(rng, partner, is_mosaic=True, flip=self._flip(luck[1], luck[2])))
        gains = 1 + (2 * luck[5:8] - 1) * (hyp["hsv_h"], hyp["hsv_s"], hyp["hsv_v"])
        return Sample(tuple(scenes), ratio, gains)

    def _flip(self, sideways: float, upside_down: float) -> tuple[bool, bool]:
        return sideways < self.hyp["fliplr"], upside_down < self.hyp["flipud"]

    def _scene(
        self, rng: np.random.Generator, image: int, *, is_mosaic: bool, flip: tuple[bool, bool]
    ) -> Scene:
        hyp, shapes = self.hyp, self.cache.shapes
        where, luck = rng.random(6), rng.uniform(-1, 1, 8)
        if is_mosaic:
            four = np.roll([image, *(where[:3] * len(self.split)).astype(int)], int(4 * where[3])).tolist()
            placements = mosaic(four, shapes, (where[4], where[5]), self.img)
        else:
            placements = single(image, shapes, self.img)
        scale = 1 + luck[3] * hyp["scale"]
        to_output = matrix(
            self.img,
            perspective=tuple(luck[:2] * hyp["perspective"]),
            angle=luck[2] * hyp["degrees"],
            scale=scale,
            shear=tuple(luck[4:6] * hyp["shear"]),
            shift=tuple(luck[6:] * hyp["translate"]),
            flip=flip,
        )
        return Scene(placements, is_mosaic, to_output, scale, rng)

    def _render(self, samples: Sequence[Sample]) -> tuple[Tensor, NDArray[np.float32]]:
        """Return the pixels, half a level up so that cutting rounds, and the targets, numbered from 0."""
        pixels, labels = self._warp([sample.scenes[0] for sample in samples])
        mixed = [i for i, sample in enumerate(samples) if len(sample.scenes) > 1]
        if mixed:
            others, other_labels = self._warp([samples[i].scenes[1] for i in mixed])
            rows = torch.tensor(mixed).to(self.device, non_blocking=True)
            ratio = torch.tensor([samples[i].ratio for i in mixed]).to(self.device, non_blocking=True)
            pixels[rows] = torch.lerp(others, pixels[rows], ratio[:, None, None, None])
            other_labels[:, 0] = np.array(mixed)[other_labels[:, 0].astype(int)]
            labels = np.concatenate((labels, other_labels))
        gains = np.array([sample.gains for sample in samples], np.float32)
        if (gains != 1).any():
            pixels = jitter_colour(pixels, torch.from_numpy(gains).to(self.device, non_blocking=True))
        return pixels.add_(0.5), labels

    def _warp(self, scenes: Sequence[Scene]) -> tuple[Tensor, NDArray[np.float32]]:
        """Paint the scenes, sample the outputs from them, and return the targets that remain."""
        side = 2 * self.img
        labels = []
        for framed, scene in zip(self._canvases, scenes, strict=False):
            placed = place_labels(scene.placements, self.split, side)
            if scene.is_mosaic and self.hyp["copy_paste"]:
                paint(framed, scene.placements, self.cache, (0, 0, side, side))
                canvas = framed[:, RIM:-RIM, RIM:-RIM]
                placed = copy_paste(canvas, placed, self.hyp["copy_paste"], scene.rng)
            else:
                paint(framed, scene.placements, self.cache, window_of(scene.matrix, self.img))
            labels.append(placed)
        matrices = np.array([scene.matrix for scene in scenes])
        pixels = warp_pixels(self._canvases[: len(scenes)], matrices, self.img)
        return pixels, _targets(scenes, labels, self.img)


def _targets(
    scenes: Sequence[Scene], labels: Sequence[CanvasLabels], img: int
) -> NDArray[np.float32]:  # (n, 6) scene, class, x, y, w, h normalised
    owner = np.repeat(np.arange(len(scenes)), [len(placed.classes) for placed in labels])
    if not len(owner):
        return np.zeros((0, 6), np.float32)
    matrices = np.array([scene.matrix for scene in scenes])[owner]
    before = np.concatenate([placed.boxes for placed in labels])
    after = warp_boxes(before, matrices, img)
    # Only mosaics follow outlines, as in YOLOv5.
    polygons = {
        i: polygon
        for i, polygon in enumerate(polygon for placed in labels for polygon in placed.polygons)
        if polygon is not None and scenes[owner[i]].is_mosaic
    }
    share = np.full(len(owner), BOX_SHOWN)
    if polygons:
        rows = list(polygons)
        after[rows] = warp_polygons(list(polygons.values()), matrices[rows], img)
        share[rows] = POLYGON_SHOWN
    scale = np.array([scene.scale for scene in scenes])[owner]
    kept = visible(before, after, scale, share)
    low, high = after[kept, :2] / img, after[kept, 2:] / img
    classes = np.concatenate([placed.classes for placed in labels])[kept]
    return np.column_stack((owner[kept], classes, (low + high) / 2, high - low)).astype(np.float32)
