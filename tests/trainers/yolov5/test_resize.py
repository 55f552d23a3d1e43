from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.yolov5.resize import area, bilinear, fitted


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def overlaps(old, new):
    """(new, old) weights: the share of each new pixel that each old one covers, the definition itself."""
    scale = old / new
    weights = np.zeros((new, old))
    for i in range(new):
        for j in range(old):
            weights[i, j] = max(0.0, min(j + 1, (i + 1) * scale) - max(j, i * scale)) / scale
    return weights


@pytest.mark.parametrize(
    ("size", "img", "expected"),
    [((480, 640), 320, (240, 320)), ((427, 640), 320, (213, 320)), ((500, 333), 640, (640, 426))],
)
def test_sizes_are_cut_not_rounded(size, img, expected):
    assert fitted(*size, img) == expected


def test_a_very_long_image_keeps_one_pixel():
    assert fitted(2000, 10, 64) == (64, 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(10, 60), st.integers(10, 60), st.data())
def test_area_is_the_mean_over_what_a_pixel_covers(height, width, data):
    new_height, new_width = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    image = noise(height, width)
    exact = np.einsum("ai,bj,ijc->abc", overlaps(height, new_height), overlaps(width, new_width), image)
    assert np.abs(area(image, new_height, new_width) - exact).max() <= 0.5 + 1e-3


def test_exact_halves_go_up_when_the_size_is_halved():
    image = np.array([[0, 1], [0, 1]], np.uint8)[:, :, None].repeat(3, axis=2)
    assert (area(image, 1, 1) == 1).all()


def test_bilinear_reads_between_pixel_centres():
    ramp = (np.arange(10, dtype=np.uint8) * 20)[None, :, None].repeat(10, 0).repeat(3, 2)
    wide = bilinear(ramp, 10, 20).astype(float)
    expected = ((np.arange(20) + 0.5) / 2 - 0.5).clip(0, 9) * 20
    assert np.abs(wide - expected[None, :, None]).max() <= 1


def test_bilinear_shrinks_without_antialiasing():
    stripes = (np.arange(40, dtype=np.uint8) % 4 < 2)[None, :, None].repeat(40, 0).repeat(3, 2) * np.uint8(
        200
    )
    # A quarter of the width samples at 1.5, 5.5, …: always between a bright and a dark column.
    assert (bilinear(stripes, 10, 10) == 100).all()
    assert (bilinear(np.roll(stripes, 1, axis=1), 10, 10) == 200).all()


@pytest.mark.parametrize("resize", [area, bilinear])
def test_a_flat_image_stays_flat(resize):
    assert (resize(np.full((37, 53, 3), 201, np.uint8), 11, 29) == 201).all()


def test_the_same_size_changes_nothing():
    image = noise(20, 30)
    assert np.array_equal(bilinear(image, 20, 30), image)
    assert np.array_equal(area(image, 20, 30), image)
