"""Colour jitter: hue, saturation and value of an image, each times a factor of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def jitter_colour(images: Tensor, gains: Tensor) -> Tensor:
    """Multiply hue, saturation and value; hue wraps around, the others stop at their ends.

    Args:
        images: (B, 3, h, w) float RGB, 0 to 255.
        gains: (B, 3) factors of hue (as an angle from red), saturation and value.
    """
    red, green, blue = images.unbind(1)
    hue_gain, saturation_gain, value_gain = gains[:, :, None, None].unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    hue = _hue(red, green, blue, value, chroma).mul_(hue_gain)
    hue -= (hue / 6).floor_().mul_(6)
    saturation = (chroma / value.clamp(min=1e-6)).mul_(saturation_gain).clamp_(max=1)
    value = (value * value_gain).clamp_(max=255)
    chroma = saturation.mul_(value)
    low = value - chroma
    jittered = torch.empty_like(images)
    for (
        channel,
        share,
    ) in enumerate(  # of the chroma: full within 60° of the channel's colour, none beyond 120°
        ((hue - 3).abs_().sub_(1), (hue - 2).abs_().sub_(2).neg_(), (hue - 4).abs_().sub_(2).neg_())
    ):
        torch.addcmul(low, chroma, share.clamp_(0, 1), out=jittered[:, channel])
    return jittered


def _hue(red: Tensor, green: Tensor, blue: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """Return the hue from 0 to 6: red, yellow, green, cyan, blue, magenta and back; 0 for grey.

    Conditions are factors of 0 and 1 in floating point, which a CPU works out several times faster than masks.
    """
    share = 1 / chroma.clamp(min=1e-6)
    from_blue = (red - green).mul_(share).add_(4)
    from_green = (blue - red).mul_(share).add_(2)
    from_red = (green - blue).mul_(share)
    condition = torch.empty_like(value)
    hue = from_blue.lerp_(from_green, torch.ge(green, value, out=condition))
    hue.lerp_(from_red, torch.ge(red, value, out=condition))
    return hue.add_(torch.lt(hue, 0, out=condition), alpha=6)
