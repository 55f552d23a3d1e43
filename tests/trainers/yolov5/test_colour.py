from __future__ import annotations

import colorsys

import pytest
import torch

from trainers.yolov5.colour import jitter_colour


@pytest.fixture
def images():
    return torch.randint(0, 256, (2, 3, 9, 7), generator=torch.Generator().manual_seed(0)).float()


def expected(images, gains):
    """The definition, pixel by pixel, from the standard library."""
    out = torch.empty_like(images)
    for b, (hue_gain, saturation_gain, value_gain) in enumerate(gains.tolist()):
        for y in range(images.shape[2]):
            for x in range(images.shape[3]):
                hue, saturation, value = colorsys.rgb_to_hsv(*(images[b, :, y, x] / 255).tolist())
                colour = colorsys.hsv_to_rgb(
                    hue * hue_gain % 1, min(saturation * saturation_gain, 1), min(value * value_gain, 1)
                )
                out[b, :, y, x] = torch.tensor(colour) * 255
    return out


@pytest.mark.parametrize(
    "gains",
    [
        [[1.0, 1, 1], [1, 1, 1]],
        [[1.5, 1, 1], [0.6, 1, 1]],  # hues above 1 wrap
        [[1, 1.7, 1], [1, 0.3, 1]],  # saturations above 1 stop there
        [[1, 1, 1.4], [1, 1, 0.6]],
        [[1.9, 0.5, 1.2], [0.9, 1.6, 0.7]],
    ],
)
def test_factors_apply_as_defined(images, gains):
    gains = torch.tensor(gains)
    assert torch.allclose(jitter_colour(images.clone(), gains), expected(images, gains), atol=1e-2)


def test_grey_black_and_white_have_no_hue_to_turn():
    levels = torch.tensor([0.0, 114, 255])
    grey = levels.expand(1, 3, 1, 3).clone()
    assert torch.allclose(jitter_colour(grey.clone(), torch.tensor([[1.7, 1.5, 1.0]])), grey)
