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
    value = images.amax(1)
    chroma = value - images.amin(1)
    sector = torch.where(  # 0 to 6: red, yellow, green, cyan, blue, magenta and back
        value == red,
        (green - blue) / chroma,
        torch.where(value == green, (blue - red) / chroma + 2, (red - green) / chroma + 4),
    )
    hue = torch.where(sector < 0, sector + 6, sector.nan_to_num_(0)).mul_(hue_gain).remainder_(6)
    saturation = (chroma / value.clamp(min=1e-6)).mul_(saturation_gain).clamp_(max=1)
    value = (value * value_gain).clamp_(max=255)
    chroma = saturation.mul_(value)
    share = torch.stack(  # of the chroma in each channel: full within 60° of its colour, none beyond 120°
        ((hue - 3).abs_().sub_(1), (hue - 2).abs_().sub_(2).neg_(), (hue - 4).abs_().sub_(2).neg_()), 1
    ).clamp_(0, 1)
    return share.mul_(chroma[:, None]).add_((value - chroma)[:, None])
