from __future__ import annotations

import pytest
import torch
from PIL import Image

from trainers.yolov5.pictures import MOST_WIDTH, labelled_mosaic, predicted_mosaic, save_picture
from trainers.yolov5.rectangles import ValBatch

NAMES = ("cat", "dog")


def changed(picture, corner, size):
    """Where a tile of the picture is no longer black, as left, top, right, bottom within the tile."""
    top, left = corner
    tile = picture[:, top : top + size, left : left + size].amax(0)
    rows, columns = torch.nonzero(tile > 60, as_tuple=True)
    return [columns.min().item(), rows.min().item(), columns.max().item() + 1, rows.max().item() + 1]


def test_labels_are_drawn_where_they_are():
    images = torch.zeros(3, 3, 96, 96, dtype=torch.uint8)
    targets = torch.tensor([[0, 1, 0.5, 0.5, 0.5, 0.25], [2, 0, 0.5, 0.5, 0.9, 0.9]])
    picture = labelled_mosaic(images, targets, NAMES)
    assert picture.dtype == torch.uint8
    assert picture.shape == (3, 2 + 98, 2 + 3 * 98)
    assert changed(picture, (2, 2), 96) == pytest.approx([24, 36, 72, 60], abs=3)
    assert not picture[:, 2:98, 100:196].any()
    assert changed(picture, (2, 198), 96) == pytest.approx([5, 5, 91, 91], abs=3)


def test_confident_detections_are_drawn_in_the_padded_image():
    batch = ValBatch(
        images=torch.zeros(2, 3, 96, 96, dtype=torch.uint8),
        targets=torch.zeros(0, 6),
        indices=[7, 3],
        native=[(128, 128), (128, 128)],
        ratio=[0.5, 0.5],
        pad=[(16.0, 16.0), (16.0, 16.0)],
    )
    detections = {
        3: torch.tensor([[20.0, 20, 100, 60, 0.9, 1], [0, 0, 128, 128, 0.1, 0]]),
        7: torch.zeros(0, 6),
    }
    picture = predicted_mosaic(batch, detections, NAMES)
    assert not picture[:, 2:98, 2:98].any()
    assert changed(picture, (2, 100), 96) == pytest.approx([26, 26, 66, 46], abs=3)


def test_a_picture_is_written_no_wider_than_a_screen(tmp_path):
    images = torch.zeros(20, 3, 640, 640, dtype=torch.uint8)
    picture = labelled_mosaic(images, torch.zeros(0, 6), NAMES)
    save_picture(tmp_path / "new" / "a.jpg", picture)
    assert Image.open(tmp_path / "new" / "a.jpg").size == (MOST_WIDTH, MOST_WIDTH)
