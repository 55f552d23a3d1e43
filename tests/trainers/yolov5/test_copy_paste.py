from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from trainers.yolov5.copy_paste import copy_paste, covered, fill
from trainers.yolov5.mosaic import CanvasLabels

SIDE = 100


def rectangle(left, top, right, bottom):
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def scene(boxes, outlined=True):
    """A canvas where object i has level 10 + i, brighter in its left column."""
    canvas = np.zeros((3, SIDE, SIDE), np.uint8)
    for i, (left, top, right, bottom) in enumerate(boxes):
        canvas[:, top:bottom, left:right] = 10 + i
        canvas[:, top:bottom, left] = 100 + i
    polygons = [rectangle(*box) if outlined else None for box in boxes]
    return canvas, CanvasLabels(
        np.arange(len(boxes), dtype=np.float32), np.array(boxes, np.float32), polygons
    )


def test_a_pasted_object_is_mirrored_with_its_pixels_and_label():
    canvas, labels = scene([(5, 20, 25, 50)])
    pasted = copy_paste(canvas, labels, 1.0, np.random.default_rng(0))
    assert pasted.classes.tolist() == [0, 0]
    assert pasted.boxes.tolist() == [[5, 20, 25, 50], [75, 20, 95, 50]]
    assert pasted.polygons[1].min(axis=0).tolist() == [75, 20]
    assert pasted.polygons[1].max(axis=0).tolist() == [95, 50]
    assert (canvas[:, 20:50, 75:94] == 10).all()
    assert (canvas[:, 20:50, 94] == 100).all()
    assert (canvas > 0).sum() == 2 * 3 * 20 * 30


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.25, 1), (0.5, 2), (1.0, 4)])
def test_the_gene_is_the_share_of_objects(share, count):
    boxes = [(2, 2 + 24 * i, 20, 22 + 24 * i) for i in range(4)]
    canvas, labels = scene(boxes)
    assert len(copy_paste(canvas, labels, share, np.random.default_rng(0)).classes) == 4 + count


def test_a_larger_share_adds_to_the_same_choice():
    boxes = [(2, 2 + 9 * i, 20, 10 + 9 * i) for i in range(10)]
    few, many = (
        set(copy_paste(*scene(boxes), share, np.random.default_rng(3)).classes[10:].tolist())
        for share in (0.3, 0.7)
    )
    assert few < many


def test_nothing_is_pasted_over_a_third_of_an_object():
    canvas, labels = scene([(10, 10, 40, 40), (65, 10, 75, 40)])
    before = canvas.copy()
    pasted = copy_paste(canvas, labels, 1.0, np.random.default_rng(0))
    assert [0] not in pasted.classes[2:].tolist()  # the first would hide the second wholly
    assert np.array_equal(canvas[:, :, 65:75], before[:, :, 65:75])


def test_boxes_without_an_outline_are_not_pasted():
    canvas, labels = scene([(5, 20, 25, 50)], outlined=False)
    assert len(copy_paste(canvas, labels, 1.0, np.random.default_rng(0)).classes) == 1


def test_no_labels_are_no_problem():
    canvas = np.zeros((3, SIDE, SIDE), np.uint8)
    labels = CanvasLabels(np.zeros(0, np.float32), np.zeros((0, 4), np.float32), [])
    assert len(copy_paste(canvas, labels, 1.0, np.random.default_rng(0)).classes) == 0


def test_a_polygon_cut_down_to_nothing_is_no_problem():
    canvas, labels = scene([(5, 20, 25, 50)])
    flat = CanvasLabels(labels.classes, np.array([[0, 20, 0, 50]], np.float32), [rectangle(0, 20, 0, 50)])
    before = canvas.copy()
    copy_paste(canvas, flat, 1.0, np.random.default_rng(0))
    assert np.array_equal(canvas, before)


def test_covered_is_the_share_of_the_existing_box():
    boxes = np.array([[0, 0, 10, 10], [5, 5, 25, 25], [50, 50, 60, 60]], np.float32)
    assert np.allclose(covered(np.array([0, 0, 10, 20], np.float32), boxes), [1, 5 * 15 / 400, 0])


@pytest.mark.parametrize("seed", range(5))
def test_fill_marks_the_pixels_inside(seed):
    rng = np.random.default_rng(seed)
    turns = np.sort(rng.uniform(0, 2 * np.pi, 12))
    radii = rng.uniform(15, 48, 12)
    star = np.stack((50 + radii * np.cos(turns), 50 + radii * np.sin(turns)), axis=1)
    image = Image.new("1", (SIDE * 8, SIDE * 8))
    ImageDraw.Draw(image).polygon([tuple(point) for point in star * 8], fill=1)
    centres = np.asarray(image)[4::8, 4::8]
    assert (fill(star.astype(np.float32), SIDE, SIDE) != centres).mean() < 0.005


def test_fill_counts_a_pixel_by_its_centre():
    mask = fill(rectangle(2.4, 3.6, 7.6, 8.4), 12, 12)
    rows, columns = np.nonzero(mask)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (2, 7, 4, 7)
    assert mask.sum() == 6 * 4
