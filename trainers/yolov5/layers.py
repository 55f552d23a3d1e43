"""The blocks of the detector: convolution, bottleneck, cross-stage block, pooling pyramid, detection head."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

STRIDES = (8, 16, 32)  # pixels per cell of the three output levels


class Conv(nn.Module):
    """Convolution, batch norm, SiLU."""

    bn: nn.BatchNorm2d | nn.Identity  # Identity once folded into the convolution

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, padding: int | None = None
    ):
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H/stride, W/stride)."""
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y

    def fold(self) -> None:
        """Fold the batch norm into the convolution, for inference."""
        norm = self.bn
        if isinstance(norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, norm)
            self.bn = nn.Identity()


class Bottleneck(nn.Module):
    """A 1×1 and a 3×3 convolution, the input added when `shortcut`."""

    def __init__(self, channels: int, shortcut: bool):
        super().__init__()
        self.cv1 = Conv(channels, channels)
        self.cv2 = Conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        y: Tensor = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C3(nn.Module):
    """Cross-stage partial block: bottlenecks on one half of the channels, the other half goes by."""

    def __init__(self, inputs: int, outputs: int, repeats: int, shortcut: bool = True):
        super().__init__()
        hidden = outputs // 2
        self.cv1 = Conv(inputs, hidden)
        self.cv2 = Conv(inputs, hidden)
        self.cv3 = Conv(2 * hidden, outputs)
        self.m = nn.Sequential(*(Bottleneck(hidden, shortcut) for _ in range(repeats)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        y: Tensor = self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))
        return y


class SPPF(nn.Module):
    """Spatial pyramid pooling by three chained max-pools: windows of 5, 9 and 13 cells."""

    def __init__(self, channels: int):
        super().__init__()
        self.cv1 = Conv(channels, channels // 2)
        self.cv2 = Conv(channels * 2, channels)
        self.m = nn.MaxPool2d(5, stride=1, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        x = self.cv1(x)
        p1 = self.m(x)
        p2 = self.m(p1)
        y: Tensor = self.cv2(torch.cat((x, p1, p2, self.m(p2)), 1))
        return y


class Detect(nn.Module):
    """One 1×1 convolution per level: box, objectness and class logits of every anchor and cell."""

    anchors: Tensor  # (levels, anchors, 2) width and height in cells

    def __init__(self, inputs: tuple[int, int, int], classes: int, anchors: Tensor):
        super().__init__()
        self.outputs = 5 + classes
        self.register_buffer("anchors", anchors.clone())
        self.m = nn.ModuleList(nn.Conv2d(c, anchors.shape[1] * self.outputs, 1) for c in inputs)
        self._start_biases(classes)

    def _start_biases(self, classes: int) -> None:
        """Start objectness near 8 objects per 640-pixel image and classes near .6 / classes."""
        for conv, stride in zip(self.m, STRIDES, strict=True):
            bias = conv.get_parameter("bias").detach().view(-1, self.outputs)
            bias[:, 4] += math.log(8 / (640 / stride) ** 2)
            bias[:, 5:] += math.log(0.6 / (classes - 0.99999))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Feature maps (B, C, ny, nx) to logits (B, anchors, ny, nx, 5 + classes), one per level."""
        return [
            conv(x).unflatten(1, (-1, self.outputs)).permute(0, 1, 3, 4, 2)
            for conv, x in zip(self.m, levels, strict=True)
        ]
