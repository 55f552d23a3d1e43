from __future__ import annotations

import numpy as np
import pytest

from trainers.yolov5.mosaic import Placement, mosaic, place_labels, single
from trainers.yolov5.split import Split

IMG = 64
SHAPES = np.array([[64, 48], [32, 64], [64, 64], [20, 64], [63, 64]])


@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.5, 0.25), (0.999, 0.999)])
def test_four_images_touch_the_centre(centre):
    x, y = (int(IMG / 2 + IMG * share) for share in centre)
    placements = mosaic([3, 0, 1, 2], SHAPES, centre, IMG)
    assert [place.image for place in placements] == [3, 0, 1, 2]
    corners = [
        (place.left + place.width * (i % 2 == 0), place.top + place.height * (i < 2))
        for i, place in enumerate(placements)
    ]
    assert corners == [(x, y)] * 4


def test_the_centre_stays_in_the_middle_half():
    lowest, highest = (mosaic([2] * 4, SHAPES, (share, share), IMG)[3] for share in (0.0, 1 - 1e-9))
    assert (lowest.left, lowest.top) == (IMG // 2, IMG // 2)
    assert (highest.left, highest.top) == (IMG + IMG // 2 - 1, IMG + IMG // 2 - 1)


def test_a_single_image_lies_in_the_middle():
    assert single(1, SHAPES, IMG) == [Placement(1, top=48, left=32, height=32, width=64)]
    assert single(4, SHAPES, IMG) == [Placement(4, top=32, left=32, height=63, width=64)]


def test_labels_move_with_their_image_and_stop_at_the_canvas():
    polygon = np.array([[0.0, 0.0], [0.5, 0.0], [0.5, 1.0]], np.float32)
    split = Split(
        images=(),
        sizes=np.zeros((0, 2), np.int64),
        boxes=(np.array([[3, 0.25, 0.5, 0.5, 1.0], [1, 0.75, 0.5, 0.5, 0.5]], np.float32),),
        polygons=((polygon, None),),
        warnings=(),
    )
    labels = place_labels([Placement(0, top=-10, left=100, height=40, width=40)], split, 128)
    assert labels.classes.tolist() == [3, 1]
    assert labels.boxes.tolist() == [[100, 0, 120, 30], [120, 0, 128, 20]]
    assert labels.polygons[0].tolist() == [[100, 0], [120, 0], [120, 30]]
    assert labels.polygons[1] is None
