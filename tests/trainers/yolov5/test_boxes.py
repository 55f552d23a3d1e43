from __future__ import annotations

import pytest
import torch
from torchvision.ops import batched_nms, box_convert, complete_box_iou_loss

from trainers.yolov5 import boxes
from trainers.yolov5.boxes import _candidates, decode, detect, detect_together, paired_ciou, to_native
from trainers.yolov5.model import published_anchors


def random_boxes(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 4, generator=generator) * 10 + 0.5


def test_ciou_equals_torchvision_in_value_and_gradient():
    a, b = random_boxes(200).requires_grad_(), random_boxes(200, seed=1)
    a.data[:100, :2] = b[:100, :2] + 0.3  # half of them overlap
    ours = (1 - paired_ciou(a, b)).sum()
    (gradient,) = torch.autograd.grad(ours, a)
    corners = [box_convert(boxes, "cxcywh", "xyxy") for boxes in (a, b)]
    theirs = complete_box_iou_loss(*corners, reduction="sum")
    (expected,) = torch.autograd.grad(theirs, a)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)


def test_ciou_of_equal_boxes_is_one_and_of_empty_ones_finite():
    box = random_boxes(5)
    torch.testing.assert_close(paired_ciou(box, box), torch.ones(5))
    assert paired_ciou(torch.zeros(1, 4), torch.zeros(1, 4)).isfinite().all()


def test_decoding_reaches_half_a_cell_beyond_and_four_anchors():
    level = torch.zeros(1, 1, 2, 3, 6)
    level[0, 0, 1, 2, :4] = 50.0  # sigmoid 1
    level[0, 0, 0, 0, :4] = -50.0
    at = torch.tensor([[0, 0, 1, 2], [0, 0, 0, 0], [0, 0, 0, 1]]).T.unbind()
    rows = decode(level, torch.tensor([[2.0, 3.0]]), 8, at)
    expected = [
        [(1.5 + 2) * 8, (1.5 + 1) * 8, 4 * 2 * 8, 4 * 3 * 8],
        [-4.0, -4.0, 0.0, 0.0],
        [(0.5 + 1) * 8, 0.5 * 8, 2 * 8, 3 * 8],
    ]
    torch.testing.assert_close(rows[:, :4], torch.tensor(expected))
    assert rows[:, 4:].tolist() == [[0.5, 0.5]] * 3


@pytest.fixture
def crowded():
    """Logits of two images, many of them confident, and the anchors."""
    generator = torch.Generator().manual_seed(0)
    levels = [torch.randn(2, 3, 64 // s, 96 // s, 9, generator=generator) * 3 for s in (1, 2, 4)]
    return levels, torch.rand(3, 3, 2, generator=generator) * 6 + 1


def test_growing_prefixes_keep_what_suppression_of_everything_keeps(crowded, monkeypatch):
    levels, anchors = crowded
    short = detect(levels, anchors)
    monkeypatch.setattr(boxes, "_suppress", lambda *args: batched_nms(*args, boxes.NMS_IOU)[:300])
    for a, b in zip(short, detect(levels, anchors), strict=True):
        assert torch.equal(a, b)


def test_detections_fall_in_score_and_respect_the_limits(crowded):
    for detections in detect(*crowded):
        assert len(detections) == boxes.MAX_DETECTIONS
        assert (detections[:-1, 4] >= detections[1:, 4]).all()
        assert detections[:, 4].min() > boxes.MIN_SCORE


def test_one_box_may_belong_to_several_classes():
    levels = [torch.full((1, 1, n, n, 7), -20.0) for n in (4, 2, 1)]
    levels[0][0, 0, 1, 1, 4:] = 5.0
    (detections,) = detect(levels, torch.ones(3, 1, 2))
    assert detections[:, 5].tolist() == [0, 1]


def test_an_image_without_confident_predictions_has_no_detections():
    levels = [torch.full((2, 1, n, n, 7), -20.0) for n in (4, 2, 1)]
    levels[1][1, 0, 0, 0, 4:] = 5.0
    assert [len(detections) for detections in detect(levels, torch.ones(3, 1, 2))] == [0, 2]


def test_native_boxes_undo_resize_and_padding_and_stay_inside():
    native = torch.tensor([[10.0, 20.0, 300.0, 200.0], [-5.0, 0.0, 700.0, 500.0]])
    padded = native * 0.5 + torch.tensor([3.0, 16.5, 3.0, 16.5])
    found = to_native(padded, (480, 640), 0.5, (3.0, 16.5))
    assert found.tolist() == [[10, 20, 300, 200], [0, 0, 640, 480]]


@pytest.mark.parametrize(("classes", "shift"), [(1, 0.0), (4, 0.0), (80, -2.0), (4, -20.0)])
def test_a_batch_at_once_gives_the_detections_of_image_after_image(classes, shift):
    """Few and many candidates, images without any, and prefixes that have to grow."""
    generator = torch.Generator().manual_seed(classes)
    levels = [torch.randn(5, 3, 160 // s, 160 // s, 5 + classes, generator=generator) for s in (8, 16, 32)]
    for level in levels:
        level[..., 4:] += shift
        level[2, ..., 4] = -20  # an image of nothing
        level[3, ..., 2:4] += 2  # one of large boxes, of which few remain
    image, rows = _candidates(levels, published_anchors())
    together = detect_together(image, rows, 5)
    for one, other in zip(detect(levels, published_anchors()), together, strict=True):
        assert torch.equal(one, other)
    assert len(together[2]) == 0
