"""The detector: backbone, feature pyramid and three detection levels, in six sizes."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .layers import C3, SPPF, STRIDES, Conv, Detect
from .settings import SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable

ANCHORS = (  # (level, anchor, width and height in pixels) at 640 pixels
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)


def published_anchors() -> Tensor:
    """Return the published anchors in cells of their level, (3, 3, 2)."""
    return torch.tensor(ANCHORS) / torch.tensor(STRIDES).view(3, 1, 1)


def as_input(images: Tensor) -> Tensor:
    """Turn (B, 3, H, W) bytes into fractions of one, channels last: the convolutions' fastest layout."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def mixed(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Context in which convolutions run in the given precision."""
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


class Detector(nn.Module):
    """YOLOv5's P5 detector. Layers keep its numbers, so that checkpoints fit by name.

    Args:
        size: p, n, s, m, l or x.
        classes: Number of classes.
        anchors: Anchors per level. Three are the published ones; other counts are to be set before training.
    """

    def __init__(self, size: str, classes: int, anchors: int = 3):
        super().__init__()
        depth, width = SIZES[size]
        self.size, self.classes = size, classes

        def channels(full: int) -> int:
            return math.ceil(full * width / 8) * 8

        def block(inputs: int, outputs: int, repeats: int, shortcut: bool = True) -> C3:
            return C3(inputs, outputs, max(round(repeats * depth), 1), shortcut)

        start = published_anchors() if anchors == 3 else torch.ones(3, anchors, 2)
        c1, c2, c3, c4, c5 = (channels(full) for full in (64, 128, 256, 512, 1024))
        self.model = nn.ModuleList(
            [
                Conv(3, c1, 6, 2, 2),
                Conv(c1, c2, 3, 2),
                block(c2, c2, 3),
                Conv(c2, c3, 3, 2),
                block(c3, c3, 6),  # 4: stride 8
                Conv(c3, c4, 3, 2),
                block(c4, c4, 9),  # 6: stride 16
                Conv(c4, c5, 3, 2),
                block(c5, c5, 3),
                SPPF(c5),
                Conv(c5, c4),  # 10: stride 32
                nn.Upsample(scale_factor=2),
                nn.Identity(),  # 12: 11 and 6 joined
                block(2 * c4, c4, 3, shortcut=False),
                Conv(c4, c3),
                nn.Upsample(scale_factor=2),
                nn.Identity(),  # 16: 15 and 4 joined
                block(2 * c3, c3, 3, shortcut=False),  # 17: output of stride 8
                Conv(c3, c3, 3, 2),
                nn.Identity(),  # 19: 18 and 14 joined
                block(2 * c3, c4, 3, shortcut=False),  # 20: output of stride 16
                Conv(c4, c4, 3, 2),
                nn.Identity(),  # 22: 21 and 10 joined
                block(2 * c4, c5, 3, shortcut=False),  # 23: output of stride 32
                Detect((c3, c4, c5), classes, start),
            ]
        )

    @property
    def detect(self) -> Detect:
        """The last layer."""
        layer = self.model[-1]
        if not isinstance(layer, Detect):
            raise TypeError(f"last layer: expected Detect, got {type(layer).__name__}")
        return layer

    @property
    def anchors(self) -> Tensor:
        """Anchors in cells of their level, (levels, anchors, 2)."""
        return self.detect.anchors

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the logits of each level.

        Args:
            images: (B, 3, H, W) in 0..1, H and W multiples of 32.

        Returns:
            (B, anchors, ny, nx, 5 + classes) for strides 8, 16 and 32.
        """
        layer = self.model
        p3 = self._chain(range(5), images)
        p4 = self._chain(range(5, 7), p3)
        p5 = self._chain(range(7, 11), p4)
        joined = torch.cat((layer[11](p5), p4), 1)
        middle = self._chain(range(13, 15), joined)
        small = layer[17](torch.cat((layer[15](middle), p3), 1))
        medium = layer[20](torch.cat((layer[18](small), middle), 1))
        large = layer[23](torch.cat((layer[21](medium), p5), 1))
        logits: list[Tensor] = self.detect([small, medium, large])
        return logits

    def _chain(self, indices: Iterable[int], x: Tensor) -> Tensor:
        for index in indices:
            x = self.model[index](x)
        return x

    def fused(self) -> Detector:
        """Return a copy for inference whose batch norms are folded into their convolutions."""
        model = copy.deepcopy(self).eval().requires_grad_(False)
        for module in model.modules():
            if isinstance(module, Conv):
                module.fold()
        return model
