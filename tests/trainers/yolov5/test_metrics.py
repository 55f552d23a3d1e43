from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.yolov5.metrics import match, score


@pytest.mark.parametrize("size", [320, 640])
def test_recorded_detections_give_the_recorded_numbers(recorded, size):
    with np.load(recorded / f"val_{size}.npz") as file:
        arrays = dict(file)
    rows, labels = arrays["detections_xyxy_conf_cls"], arrays["labels_cls_xyxy"]
    right = torch.cat(
        [
            match(torch.from_numpy(found), torch.from_numpy(wanted))
            for found, wanted in zip(
                np.split(rows, arrays["n_detections"].cumsum()[:-1]),
                np.split(labels, arrays["n_labels"].cumsum()[:-1]),
                strict=True,
            )
        ]
    ).numpy()
    np.testing.assert_array_equal(right, arrays["correct"])
    scores = score(right, rows[:, 4], rows[:, 5].astype(int), labels[:, 0].astype(int))
    summary = [scores.precision, scores.recall, scores.map50, scores.map50_95]
    np.testing.assert_allclose(summary, arrays["summary_P_R_map50_map"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(scores.classes, arrays["ap_class"])
    np.testing.assert_allclose(scores.ap, arrays["ap"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores.class_precision, arrays["p"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores.class_recall, arrays["r"], rtol=0, atol=1e-6)


def detections(*rows):
    """Rows x1, y1, x2, y2, confidence, class."""
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)


def labels(*rows):
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)


def test_only_the_most_confident_detection_of_a_label_is_right():
    found = detections((0, 0, 10, 9, 0.9, 1), (0, 0, 10, 10, 0.8, 1))
    assert match(found, labels((1, 0, 0, 10, 10)))[:, 0].tolist() == [True, False]


def test_a_better_box_takes_over_where_the_confident_one_is_too_coarse():
    found = detections((0, 0, 10, 7.2, 0.9, 1), (0, 0, 10, 10, 0.8, 1))  # IoU .72 and 1
    right = match(found, labels((1, 0, 0, 10, 10)))
    assert right[0].tolist() == [True] * 5 + [False] * 5
    assert right[1].tolist() == [False] * 5 + [True] * 5


def test_another_class_is_never_right():
    found = detections((0, 0, 10, 10, 0.9, 2))
    assert not match(found, labels((1, 0, 0, 10, 10))).any()


def test_a_detection_competes_for_its_best_label_only():
    """Both overlap the left label best, so the right one stays unfound."""
    found = detections((0, 0, 10, 10, 0.9, 1), (1, 0, 11, 10, 0.8, 1))
    right = match(found, labels((1, 0, 0, 10, 10), (1, 4, 0, 14, 10)))
    assert right[:, 0].tolist() == [True, False]


@pytest.mark.parametrize(("found", "wanted"), [(0, 0), (0, 2), (3, 0)])
def test_nothing_found_or_nothing_labelled_is_legal(found, wanted):
    assert match(torch.ones(found, 6), torch.ones(wanted, 5)).shape == (found, 10)


def test_perfect_detections_score_nearly_one():
    # The precision envelope is interpolated to 0 at recall 1 exactly, so 101 points reach .995.
    right = np.ones((3, 10), bool)
    scores = score(right, np.array([0.9, 0.8, 0.7]), np.array([0, 0, 4]), np.array([0, 0, 4]))
    assert scores.map50 == pytest.approx(0.995)
    assert (scores.precision, scores.recall) == (1, pytest.approx(1))


def test_means_run_over_labelled_classes_alone():
    right = np.ones((2, 10), bool) & np.array([[True], [False]])
    scores = score(right, np.array([0.9, 0.8]), np.array([0, 7]), np.array([0, 3]))
    assert scores.classes.tolist() == [0, 3]
    assert scores.map50 == pytest.approx(0.995 / 2)


def test_without_detections_or_labels_everything_is_zero():
    none = np.zeros(0, int)
    for wanted in (np.array([1, 1]), none):
        scores = score(np.zeros((0, 10), bool), np.zeros(0), none, wanted)
        assert (scores.precision, scores.recall, scores.map50, scores.map50_95) == (0, 0, 0, 0)
