from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.yolov5.anchors import (
    best_possible_recall,
    fit_anchors,
    label_sizes,
    make_anchors,
)
from trainers.yolov5.layers import STRIDES
from trainers.yolov5.model import published_anchors


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def slivers():
    """Labels in nine shapes thirty times as wide as high, which no published anchor fits."""
    heights = np.geomspace(2, 12, 9)
    sizes = np.stack((heights * 30, heights), 1)
    return sizes[rng().integers(9, size=400)] * rng(1).uniform(0.95, 1.05, (400, 2))


def pixels(anchors: torch.Tensor) -> np.ndarray:
    return (anchors.double().numpy() * np.array(STRIDES)[:, None, None]).reshape(-1, 2)


def test_label_sizes_scale_to_the_image_size_within_a_tenth():
    boxes = [np.array([[0, 0.5, 0.5, 0.5, 0.25]], np.float32)] * 50
    sizes = label_sizes(boxes, np.array([[300, 600]] * 50), 320, rng())
    assert sizes.shape == (50, 2)
    expected = np.array([160, 40])  # 320 by 160 pixels shown
    assert (sizes / expected >= 0.9).all()
    assert (sizes / expected <= 1.1).all()
    assert (sizes / expected).std() > 0.01


@pytest.mark.parametrize(("threshold", "recall"), [(4.1, 1.0), (3.9, 0.5), (1.9, 0.0)])
def test_best_possible_recall_counts_labels_that_an_anchor_may_answer_for(threshold, recall):
    sizes = np.array([[40.0, 10.0], [5.0, 10.0]])
    assert best_possible_recall(sizes, np.array([[10.0, 10.0], [500, 500]]), threshold) == recall


def test_fitting_anchors_stay():
    anchors = published_anchors()
    sizes = rng().uniform(12, 300, (200, 1)) * np.ones(2)
    assert fit_anchors(anchors, sizes, threshold=4.0, rng=rng()) is anchors


def test_badly_fitting_anchors_are_replaced_by_better_ones_from_small_to_large(slivers):
    before = published_anchors()
    after = fit_anchors(before, slivers, threshold=4.0, rng=rng())
    assert best_possible_recall(slivers, pixels(before), 4.0) < 0.5
    assert best_possible_recall(slivers, pixels(after), 4.0) > 0.99
    assert after.shape == before.shape
    assert (np.diff(pixels(after).prod(1)) >= 0).all()


def test_one_seed_makes_the_same_anchors(slivers):
    first, second, other = (make_anchors(slivers, 9, threshold=4.0, rng=rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_placeholders_are_replaced_whatever_they_fit():
    made = fit_anchors(
        torch.ones(3, 5, 2), rng().uniform(10, 200, (300, 2)), threshold=4.0, rng=rng(), fresh=True
    )
    assert made.shape == (3, 5, 2)
    assert len(np.unique(pixels(made), axis=0)) == 15


@pytest.mark.parametrize("count", [0, 1, 4])
def test_fewer_labels_than_anchors_still_make_anchors(count):
    made = make_anchors(np.full((count, 2), 50.0), 9, threshold=4.0, rng=rng())
    assert made.shape == (9, 2)
    assert np.isfinite(made).all()
    assert (made >= 2).all()
