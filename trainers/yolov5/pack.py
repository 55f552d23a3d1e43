"""A batch put together by the CPU, as bytes: what each sample shows of its images, the numbers, and the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .copy_paste import copy_paste
from .mosaic import RIM, CanvasLabels, Placement, Window, paint, place_labels
from .warp import (
    BOX_SHOWN,
    POLYGON_SHOWN,
    is_flat,
    sources,
    visible,
    warp_boxes,
    warp_polygons,
    window_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .feed import Feed, Map, Sent
    from .images import Images
    from .split import Split


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


@dataclass(frozen=True)
class Packed:
    """A batch on its way to the device. Its scenes: first those of all samples, then the second ones of some."""

    pixels: Sent  # bytes: per scene (3, h, w), its window of the canvas with the rim
    numbers: Sent  # bytes of float32: (S, 9) places, (M, 2) mixed, (B, 3) gains, (n, 6) targets
    windows: list[Window]  # (S,)
    flat: list[bool]  # (S,) without perspective
    mixed: list[int]  # (M,) samples with a second scene, growing
    coloured: list[bool]  # (B,) whose gains are not all 1


class Packer:
    """Puts batches together.

    Args:
        split: Whose labels.
        images: Its images, resized to `img`.
        copy_paste: Share of the outlined objects of a mosaic that are pasted once more.
        img: Side of the outputs in pixels.
    """

    def __init__(self, split: Split, images: Images, *, copy_paste: float, img: int) -> None:
        self._split = split
        self._images = images
        self._copy_paste = copy_paste
        self._img = img

    def pack(self, samples: Sequence[Sample], feed: Feed, share: Map) -> Packed:
        """Put a batch together and send it; `share` is a `map` over the samples."""
        mixed = [i for i, sample in enumerate(samples) if len(sample.scenes) > 1]
        scenes = [sample.scenes[0] for sample in samples] + [samples[i].scenes[1] for i in mixed]
        windows = [window_of(scene.matrix, self._img) for scene in scenes]
        ends = np.cumsum([window_bytes(window) for window in windows])
        block = feed.buffer(int(ends[-1]))
        views = [
            part.reshape(3, *framed_shape(window))
            for part, window in zip(np.split(block.numpy(), ends[:-1]), windows, strict=True)
        ]
        second = {sample: len(samples) + place for place, sample in enumerate(mixed)}

        def compose(number: int) -> NDArray[np.float32]:
            own = [number, second[number]] if number in second else [number]
            labels = [self._paint(views[place], scenes[place], windows[place]) for place in own]
            targets = _targets([scenes[place] for place in own], labels, self._img)
            targets[:, 0] = number
            return targets

        targets = list(share(compose, range(len(samples))))
        places = sources(np.array([scene.matrix for scene in scenes]), self._img)
        gains = np.array([sample.gains for sample in samples], np.float32)
        ratios = np.array([(i, samples[i].ratio) for i in mixed], np.float32)
        numbers = np.concatenate([part.ravel() for part in (places, ratios, gains, *targets)])
        floats = feed.buffer(numbers.nbytes)
        floats.numpy()[:] = numbers.view(np.uint8)
        return Packed(
            pixels=feed.send(block),
            numbers=feed.send(floats),
            windows=windows,
            flat=[is_flat(place[None]) for place in places],
            mixed=mixed,
            coloured=(gains != 1).any(axis=1).tolist(),
        )

    def _paint(self, framed: NDArray[np.uint8], scene: Scene, window: Window) -> CanvasLabels:
        side = 2 * self._img
        placed = place_labels(scene.placements, self._split, side)
        if not (scene.is_mosaic and self._copy_paste):
            paint(framed, scene.placements, self._images, window)
            return placed
        whole = np.empty((3, side + 2 * RIM, side + 2 * RIM), np.uint8)
        paint(whole, scene.placements, self._images, (0, 0, side, side))
        placed = copy_paste(whole[:, RIM:-RIM, RIM:-RIM], placed, self._copy_paste, scene.rng)
        top, left, bottom, right = window
        framed[:] = whole[:, top : bottom + 2 * RIM, left : right + 2 * RIM]
        return placed


def framed_shape(window: Window) -> tuple[int, int]:
    """Return height and width of a window with the rim."""
    top, left, bottom, right = window
    return bottom - top + 2 * RIM, right - left + 2 * RIM


def window_bytes(window: Window) -> int:
    """Return the bytes of a window's pixels, rim included."""
    height, width = framed_shape(window)
    return 3 * height * width


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
