"""Training batches: shuffled and augmented, each sample a function of (seed, epoch, image)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from .feed import Feed
from .mosaic import mosaic, single
from .pack import Packer, Sample, Scene
from .render import Renderer
from .warp import matrix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from .feed import Map
    from .images import Images
    from .pack import Packed
    from .split import Split

GENES = (
    *("hsv_h", "hsv_s", "hsv_v"),
    *("degrees", "translate", "scale", "shear", "perspective", "flipud", "fliplr"),
    *("mosaic", "mixup", "copy_paste"),
)


class TrainBatches:
    """The augmented batches of a split.

    Args:
        split: Whose images and labels.
        images: Its images, resized to `img`.
        hyp: Value of each of GENES.
        img: Side of the square outputs in pixels, even.
        batch: Images in a batch; the last of an epoch may hold fewer.
        seed: With the epoch and the image it decides everything random.
        device: Where the augmentation runs and the tensors lie.
        together: Samples rendered in one go; by default one on a CPU, whose cache holds the float canvas of
            one, and half a gigabyte of canvases on a GPU, which wants few large operations. The result is the same.
        threads: That put the next batch together while one is in use, see `Feed`.
    """

    def __init__(
        self,
        split: Split,
        images: Images,
        hyp: Mapping[str, float],
        *,
        img: int,
        batch: int,
        seed: int,
        device: torch.device | str,
        together: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.split = split
        self.hyp = {gene: float(hyp[gene]) for gene in GENES}
        self.img = img
        self.batch = batch
        self.seed = seed
        self.device = torch.device(device)
        self.images = images
        self._feed = Feed(self.device, threads)
        self._packer = Packer(split, images, copy_paste=self.hyp["copy_paste"], img=img)
        self._renderer = Renderer(img, min(batch, len(split)), self.device, together)

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (B, 3, img, img) uint8 RGB, and targets (n, 6) float32.

        A target is image in batch, class, x, y, w, h; the last four normalised.
        """
        order = self.order(epoch)

        def packed(members: list[int], share: Map) -> Packed:
            return self._packer.pack([self.sample(epoch, image) for image in members], self._feed, share)

        parts = [order[start : start + self.batch] for start in range(0, len(order), self.batch)]
        for batch in self._feed.ahead(packed, parts):
            yield self._renderer.render(batch)

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
        hyp, shapes = self.hyp, self.images.shapes
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
