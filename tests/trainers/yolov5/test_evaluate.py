from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.yolov5 import METRICS, Settings, validate
from trainers.yolov5.evaluate import evaluate
from trainers.yolov5.model import Detector
from trainers.yolov5.rectangles import ValBatch


@pytest.mark.slow
@pytest.mark.parametrize("size", [320, 640])
def test_official_weights_score_as_recorded_on_coco128(data_folder, recorded, size):
    settings = Settings(
        data=str(data_folder / "coco128.yaml"), weights=str(data_folder / "yolov5n.pt"), img=size
    )
    metrics = validate(settings)
    with np.load(recorded / f"val_{size}.npz") as file:
        precision, recall, map50, map50_95 = file["summary_P_R_map50_map"]
    assert metrics["mAP_0.5"] == pytest.approx(map50, abs=0.003)
    assert metrics["mAP_0.5:0.95"] == pytest.approx(map50_95, abs=0.003)
    assert metrics["precision"] == pytest.approx(precision, abs=0.03)
    assert metrics["recall"] == pytest.approx(recall, abs=0.03)


def batch(images: int, targets: list[list[float]]) -> ValBatch:
    return ValBatch(
        images=torch.randint(256, (images, 3, 64, 96), dtype=torch.uint8),
        targets=torch.tensor(targets).reshape(-1, 6),
        indices=list(range(images)),
        native=[(128, 192)] * images,
        ratio=[0.5] * images,
        pad=[(0.0, 0.0)] * images,
    )


def test_evaluation_has_every_metric_and_every_image():
    model = Detector("p", 3)
    evaluation = evaluate(model, [batch(2, [[0, 1, 0.5, 0.5, 0.5, 0.5]])])
    assert set(evaluation.metrics) == set(METRICS)
    assert sorted(evaluation.detections) == [0, 1]
    assert all(isinstance(value, float) for value in evaluation.metrics.values())


def test_model_is_left_as_it_was():
    model = Detector("p", 3).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, [batch(1, [])])
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_images_without_labels_score_zero():
    metrics = evaluate(Detector("p", 3), [batch(2, [])]).metrics
    assert metrics["mAP_0.5"] == metrics["box_loss"] == 0
