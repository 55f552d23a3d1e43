from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from trainers.yolov5.assign import Assignment, assign
from trainers.yolov5.loss import LossGains, detection_loss, objectness_targets
from trainers.yolov5.model import published_anchors


@pytest.fixture(scope="module")
def arrays(recorded):
    with np.load(recorded / "loss_320.npz") as file:
        return dict(file)


@pytest.fixture
def batch():
    """Logits of two images of 96 pixels with 4 classes, and three targets, two of them on one cell."""
    generator = torch.Generator().manual_seed(0)
    levels = [torch.randn(2, 3, 96 // s, 96 // s, 9, generator=generator) for s in (8, 16, 32)]
    targets = torch.tensor(
        [[0, 1, 0.4, 0.4, 0.3, 0.3], [0, 2, 0.41, 0.4, 0.28, 0.3], [1, 3, 0.7, 0.6, 0.1, 0.2]]
    )
    return levels, targets


def loss(batch, gains: LossGains = LossGains()):  # noqa: B008  # frozen
    return detection_loss(*batch, published_anchors(), gains)


@pytest.mark.parametrize("name", ["base", "fl15", "ls01"])
def test_total_and_parts_equal_the_recorded_ones(arrays, name):
    hyp = json.loads(str(arrays[f"{name}_hyp"]))
    gains = LossGains(**{field.name: hyp[field.name] for field in fields(LossGains)})
    levels = [torch.from_numpy(arrays[f"p{level}"]) for level in range(3)]
    total, parts = loss((levels, torch.from_numpy(arrays["targets"])), gains)
    np.testing.assert_allclose(total.item(), arrays[f"{name}_loss"].item(), rtol=1e-4)
    np.testing.assert_allclose(parts.numpy(), arrays[f"{name}_parts_box_obj_cls"], rtol=1e-4)


def test_total_is_the_sum_of_parts_times_the_batch(batch):
    total, parts = loss(batch)
    assert total.item() == pytest.approx(parts.sum().item() * 2, rel=1e-6)


@pytest.mark.parametrize(
    ("gene", "value", "changed"),
    [
        ("box", 0.1, (True, False, False)),
        ("obj", 2.0, (False, True, False)),
        ("cls", 1.0, (False, False, True)),
        ("obj_pw", 1.5, (False, True, False)),
        ("cls_pw", 1.5, (False, False, True)),
        ("anchor_t", 2.0, (True, True, True)),
        ("fl_gamma", 1.5, (False, True, True)),
        ("label_smoothing", 0.1, (False, False, True)),
    ],
)
def test_a_gene_changes_its_parts_and_no_other(batch, gene, value, changed):
    before, after = loss(batch)[1], loss(batch, replace(LossGains(), **{gene: value}))[1]
    assert (before != after).tolist() == list(changed)


def test_gains_follow_classes_and_image_size():
    hyp = {field.name: field.default for field in fields(LossGains)}
    gains = LossGains.scaled(hyp, classes=20, img=320, label_smoothing=0.1)
    assert gains == replace(LossGains(), obj=0.25, cls=0.125, label_smoothing=0.1)


def test_batch_without_targets_teaches_objectness_alone(batch):
    levels = [level.requires_grad_() for level in batch[0]]
    total, parts = loss((levels, torch.zeros(0, 6)))
    total.backward()
    assert (parts > 0).tolist() == [False, True, False]
    for level in levels:
        assert level.grad[..., 4].ne(0).all()
        assert level.grad[..., [0, 1, 2, 3, 5, 6, 7, 8]].eq(0).all()


def test_single_class_has_no_class_loss(batch):
    levels = [level[..., :6] for level in batch[0]]
    targets = batch[1] * torch.tensor([1, 0, 1, 1, 1, 1])
    assert loss((levels, targets))[1][2] == 0


def test_rows_that_answer_for_nothing_change_nothing(batch, monkeypatch):
    """A GPU keeps them, because counting the others would make it wait."""
    levels = [level.requires_grad_() for level in batch[0]]
    results = []
    for compact in (Assignment.compact, lambda self: self):
        monkeypatch.setattr(Assignment, "compact", compact)
        total, parts = loss((levels, batch[1]))
        results.append((parts, *torch.autograd.grad(total, levels)))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_last_assigned_objectness_stays_where_several_meet(batch):
    _, targets = batch
    level = assign(targets, [(12, 12), (6, 6), (3, 3)], published_anchors(), 4.0)[0]
    iou = torch.arange(1.0, len(level.valid) + 1)
    expected = torch.zeros(2, 3, 12, 12)
    for value, valid, *at in zip(
        iou, level.valid, level.image, level.anchor, level.row, level.column, strict=True
    ):
        if valid:
            expected[tuple(at)] = value
    assert level.compact().valid.sum() > (expected > 0).sum()  # some do meet
    assert torch.equal(objectness_targets(iou, level, expected.shape), expected)
