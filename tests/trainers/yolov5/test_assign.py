from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.yolov5.assign import assign
from trainers.yolov5.model import published_anchors

GRIDS = [(40, 40), (20, 20), (10, 10)]


def cells(assignment):
    """(row, column) of the valid rows, in order."""
    valid = assignment.compact()
    return list(zip(valid.row.tolist(), valid.column.tolist(), strict=True))


def one(x: float, y: float, w: float = 1.0, h: float = 1.0):
    """Assignment of one target, in cells of an 8 by 10 grid (8 rows), to one anchor of one cell."""
    target = torch.tensor([[0, 3, x / 10, y / 8, w / 10, h / 8]])
    return assign(target, [(8, 10)], torch.ones(1, 1, 2), 4.0)[0]


def test_targets_are_assigned_as_recorded(recorded):
    with np.load(recorded / "loss_320.npz") as file:
        targets = torch.from_numpy(file["targets"])
        for level, assignment in enumerate(assign(targets, GRIDS, published_anchors(), 4.0)):
            found = assignment.compact()
            at = torch.stack((found.image, found.anchor, found.row, found.column))
            np.testing.assert_array_equal(at, file[f"base_idx{level}"])
            np.testing.assert_array_equal(found.label, file[f"base_tcls{level}"])
            np.testing.assert_array_equal(found.box, file[f"base_tbox{level}"])
            np.testing.assert_array_equal(found.shape, file[f"base_anch{level}"])


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (4.3, 3.3, [(3, 4), (3, 3), (2, 4)]),  # nearer to the left and upper neighbour
        (4.7, 3.7, [(3, 4), (3, 5), (4, 4)]),  # right and lower
        (0.3, 3.7, [(3, 0), (4, 0)]),  # no neighbour beyond the border
        (9.7, 7.7, [(7, 9)]),
        (4.5, 3.5, [(3, 4)]),  # the very middle is near to none
    ],
)
def test_own_cell_and_the_nearer_neighbours_answer(x, y, expected):
    assert cells(one(x, y)) == expected


def test_boxes_are_relative_to_their_cell():
    found = one(4.25, 3.75, 1.5, 0.5).compact()
    corner = torch.stack((found.column, found.row), 1)
    assert (found.box[:, :2] + corner).tolist() == [[4.25, 3.75]] * 3
    assert found.box[:, 2:].tolist() == [[1.5, 0.5]] * 3


def test_a_centre_on_the_far_border_stays_on_the_grid():
    assert set(cells(one(10.0, 8.0))) == {(7, 9)}


@pytest.mark.parametrize(("side", "answers"), [(3.9, True), (4.1, False), (0.26, True), (0.24, False)])
def test_anchor_answers_within_the_threshold_in_both_directions(side, answers):
    assert bool(one(4.5, 3.5, w=side).valid.any()) is answers


def test_every_target_that_answers_is_labelled_with_its_image_and_class():
    targets = torch.tensor([[0, 3, 0.45, 0.45, 0.1, 0.1], [1, 5, 0.45, 0.45, 0.1, 0.1]])
    found = assign(targets, [(8, 10)], torch.ones(1, 2, 2), 4.0)[0].compact()
    seen = set(zip(found.image.tolist(), found.label.tolist(), found.anchor.tolist(), strict=True))
    assert seen == {(0, 3, 0), (0, 3, 1), (1, 5, 0), (1, 5, 1)}


def test_no_targets_give_no_rows():
    assert all(len(level.valid) == 0 for level in assign(torch.zeros(0, 6), GRIDS, published_anchors(), 4.0))
