"""The detector as MLflow loads and asks it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.yolov5 import Settings, pyfunc
from trainers.yolov5.boxes import detect, to_native
from trainers.yolov5.model import as_input
from trainers.yolov5.predict import Predictor, _load_pyfunc
from trainers.yolov5.resize import resized
from trainers.yolov5.settings import EMBEDDED_WEIGHTS as WEIGHTS


@pytest.fixture(scope="module")
def image():
    """Digits' strokes on grey, 90 x 130, of no shape that fits the network."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 60, (90, 130, 3), dtype=np.uint8)
    picture[20:70, 30:36] = picture[20:26, 60:90] = picture[20:70, 84:90] = 250
    return picture


def test_boxes_are_those_of_a_validation_in_pixels_of_the_image(image):
    predictor = Predictor(WEIGHTS, img=160, confidence=0.0)
    model = predictor._model
    frame = torch.full((1, 3, 128, 192), 114, dtype=torch.uint8)  # as `rectangles` pads 110 x 160

    frame[0, :, 9:119, 16:176] = torch.from_numpy(resized(image, 110, 160, "area")).permute(2, 0, 1)
    with torch.inference_mode():
        (expected,) = detect(model(as_input(frame)), model.anchors)
        expected[:, :4] = to_native(expected[:, :4], (90, 130), 110 / 90, (16.0, 9.0))
    found = predictor.predict(image)
    assert len(found) == len(expected) > 10
    rows = [[box[key] for key in ("x1", "y1", "x2", "y2", "confidence", "class")] for box in found]
    torch.testing.assert_close(torch.tensor(rows), expected)
    assert found[0]["name"] == str(found[0]["class"])


def test_several_images_give_a_list_each_and_the_confidence_is_a_floor(image):
    predictor = _load_pyfunc(str(WEIGHTS), {"img": 160, "confidence": 0.02})
    alone = predictor.predict(image)
    assert alone
    assert min(box["confidence"] for box in alone) >= 0.02
    assert predictor.predict([image, image[:40]]) == [alone, predictor.predict(image[:40])]
    assert predictor.predict(np.stack([image, image]).astype(np.int64)) == [alone, alone]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((3, 20, 20), np.uint8), r"expected \(height, width, 3\), RGB, got \(3, 20, 20\)"),
        (np.full((20, 20, 3), 0.5), "expected values 0 to 255, got 0.5 to 0.5 as float64"),
        (np.full((20, 20, 3), 300), "expected values 0 to 255, got 300 to 300"),
    ],
)
def test_what_is_no_image_of_bytes_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Predictor(WEIGHTS, img=160).predict(wrong)


def test_a_wrong_value_for_the_loader_says_what_was_expected():
    with pytest.raises(ValueError, match="confidence: expected 0 to 1, got 25"):
        _load_pyfunc(str(WEIGHTS), {"confidence": 25})
    with pytest.raises(ValueError, match="img: expected a multiple of 32, got 100"):
        _load_pyfunc(str(WEIGHTS), {"img": 100})


def test_the_weights_are_those_whose_metrics_the_training_returns():
    assert pyfunc(Settings())["weights"] == "last.pt"
    assert pyfunc(Settings(report_epoch="best"))["weights"] == "best.pt"
