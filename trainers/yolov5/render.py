"""Rendering on the device: canvases from bytes, sampled, mixed and coloured."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import torch

from .colour import jitter_colour
from .mosaic import RIM
from .pack import framed_shape, window_bytes
from .warp import sample_pixels

if TYPE_CHECKING:
    from torch import Tensor

    from .pack import Packed

CANVASES = 2**29  # bytes of float canvases on a GPU


class Renderer:
    """Turns packed batches into images and targets.

    Args:
        img: Side of the outputs in pixels.
        batch: The most samples of a batch.
        device: Where to render.
        together: Samples rendered in one go, see `TrainBatches`.
    """

    def __init__(self, img: int, batch: int, device: torch.device, together: int | None) -> None:
        side = 2 * img + 2 * RIM
        if together is None:
            together = 1 if device.type == "cpu" else max(CANVASES // (12 * side * side), 1)
        self._img = img
        self._device = device
        self._canvases = torch.empty(min(together, batch), 3, side, side, device=device)

    def render(self, packed: Packed) -> tuple[Tensor, Tensor]:
        """Return images (B, 3, img, img) uint8 RGB, and targets (n, 6) float32."""
        count, scenes, mixed = len(packed.coloured), len(packed.windows), packed.mixed
        starts = list(accumulate((window_bytes(window) for window in packed.windows), initial=0))
        block = packed.pixels.received()
        sizes = [9 * scenes, 2 * len(mixed), 3 * count]
        numbers = packed.numbers.received().view(torch.float32)
        places, ratios, gains = torch.split(numbers[: sum(sizes)], sizes)
        places, ratios, gains = places.view(-1, 3, 3), ratios.view(-1, 2), gains.view(-1, 3)

        def warped(first: int, last: int) -> Tensor:
            for canvas, scene in zip(self._canvases, range(first, last), strict=False):
                top, left, _, _ = packed.windows[scene]
                height, width = framed_shape(packed.windows[scene])
                shown = block[starts[scene] : starts[scene + 1]].view(3, height, width)
                canvas[:, top : top + height, left : left + width] = shown
            flat = all(packed.flat[first:last])
            return sample_pixels(self._canvases[: last - first], places[first:last], self._img, flat=flat)

        images = torch.empty(count, 3, self._img, self._img, dtype=torch.uint8, device=self._device)
        seen = 0  # mixed samples before this chunk
        for first in range(0, count, len(self._canvases)):
            last = min(first + len(self._canvases), count)
            pixels = warped(first, last)
            if among := sum(first <= sample < last for sample in mixed):
                rows, ratio = ratios[seen : seen + among].unbind(1)
                rows = rows.long() - first
                others = warped(count + seen, count + seen + among)
                pixels[rows] = torch.lerp(others, pixels[rows], ratio[:, None, None, None])
                seen += among
            if any(packed.coloured[first:last]):
                pixels = jitter_colour(pixels, gains[first:last])
            images[first:last] = pixels.add_(0.5)  # so that cutting to whole levels rounds
        return images, numbers[sum(sizes) :].view(-1, 6)
