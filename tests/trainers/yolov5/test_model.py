from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.yolov5.boxes import decode, detect
from trainers.yolov5.layers import STRIDES, Conv
from trainers.yolov5.model import Detector, as_input
from trainers.yolov5.weights import load_checkpoint, start_detector


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("n", 1_872_157), ("s", 7_235_389), ("m", 21_190_557), ("l", 46_563_709), ("x", 86_749_405)],
)
def test_sizes_have_the_published_number_of_parameters(size, parameters):
    with torch.device("meta"):
        model = Detector(size, 80)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_pico_is_half_as_wide_as_nano():
    pico, nano = Detector("p", 10), Detector("n", 10)
    assert pico.model[0].conv.out_channels * 2 == nano.model[0].conv.out_channels
    assert len(pico.state_dict()) == len(nano.state_dict())


def test_levels_have_a_prediction_per_anchor_and_cell():
    levels = Detector("p", 4, anchors=5)(torch.zeros(2, 3, 64, 96))
    assert [tuple(level.shape) for level in levels] == [(2, 5, 64 // s, 96 // s, 9) for s in STRIDES]


def test_biases_start_at_rare_objects_and_rarer_classes():
    detect = Detector("p", 10).detect
    for conv, stride in zip(detect.m, STRIDES, strict=True):
        bias = conv.bias.detach().view(3, 15)
        noise = 1 / conv.in_channels**0.5  # what the layer's own start adds, at most
        assert bias[:, 4] == pytest.approx(np.full(3, np.log(8 / (640 / stride) ** 2)), abs=noise)
        assert bias[:, 5:] == pytest.approx(np.full((3, 10), np.log(0.6 / 9.00001)), abs=noise)


def test_folded_batch_norm_changes_no_output():
    torch.manual_seed(0)
    model = Detector("p", 4)
    for module in model.modules():
        if isinstance(module, Conv):  # statistics as after a training, not the identity
            module.bn.running_mean.normal_(std=0.1)
            module.bn.running_var.uniform_(0.5, 2)
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        plain, fused = model.eval()(images), model.fused()(images)
    for a, b in zip(plain, fused, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert model.model[0].bn.__class__.__name__ == "BatchNorm2d"


@pytest.fixture(scope="module")
def outputs(data_folder, recorded):
    """Logits of the official nano model for the recorded image, and the recorded arrays."""
    checkpoint = load_checkpoint(data_folder / "yolov5n.pt")
    model = start_detector(checkpoint, size="", classes=80, anchors=3)[0].eval()
    with np.load(recorded / "raw_640_000000000009.npz") as file:
        arrays = dict(file)
    with torch.inference_mode():
        return model, model(as_input(torch.from_numpy(arrays["image_u8_rgb_chw"])[None])), arrays


def test_raw_outputs_equal_the_recorded_ones(outputs):
    _, levels, arrays = outputs
    np.testing.assert_allclose(levels[2][0].numpy(), arrays["p5"], rtol=0, atol=1e-4)


def test_decoded_outputs_equal_the_recorded_ones(outputs):
    model, levels, arrays = outputs
    rows = []
    for level, anchors, stride in zip(levels, model.anchors, STRIDES, strict=True):
        everywhere = torch.ones(level.shape[:4]).nonzero(as_tuple=True)
        rows.append(decode(level, anchors, stride, everywhere))
    found = torch.cat(rows)[arrays["rows"]].numpy()
    np.testing.assert_allclose(found[:, 4:], arrays["out_rows"][:, 4:], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[:, :4], arrays["out_rows"][:, :4], rtol=1e-4, atol=1e-4)


def test_detections_equal_the_recorded_ones(outputs):
    model, levels, arrays = outputs
    expected = arrays["detections_conf001_iou60_multilabel"]
    found = detect(levels, model.anchors)[0].numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
