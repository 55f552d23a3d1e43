"""What a machine with CUDA should run: `pytest -m gpu`."""

from __future__ import annotations

import math

import pytest
import torch

from trainers.digits import write_digits
from trainers.yolov5 import Settings, prepare, train
from trainers.yolov5.boxes import detect
from trainers.yolov5.loss import LossGains, detection_loss
from trainers.yolov5.model import Detector, as_input, mixed, published_anchors
from trainers.yolov5.optimizer import Descent, make_optimizer
from trainers.yolov5.schedule import Schedule

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
GENERATOR = torch.Generator().manual_seed(0)
LEVELS = [torch.randn(4, 3, 96 // s, 96 // s, 9, generator=GENERATOR) for s in (8, 16, 32)]
TARGETS = torch.rand(40, 6, generator=GENERATOR) * torch.tensor([4, 4, 1, 1, 0.5, 0.5])
TARGETS[:, :2] = TARGETS[:, :2].floor()


def loss_and_gradients(device: str) -> list[torch.Tensor]:
    levels = [level.to(device).requires_grad_() for level in LEVELS]
    total, parts = detection_loss(levels, TARGETS.to(device), published_anchors().to(device), LossGains())
    return [total.detach(), parts, *torch.autograd.grad(total, levels)]


def test_loss_and_its_gradient_equal_the_cpus():
    for cpu, cuda in zip(loss_and_gradients("cpu"), loss_and_gradients("cuda"), strict=True):
        torch.testing.assert_close(cuda.cpu(), cpu, rtol=1e-4, atol=1e-5)


def test_detections_equal_the_cpus():
    found = detect([level.cuda() for level in LEVELS], published_anchors().cuda())
    for cpu, cuda in zip(detect(LEVELS, published_anchors()), found, strict=True):
        torch.testing.assert_close(cuda.cpu(), cpu, rtol=1e-4, atol=1e-3)


def test_training_steps_never_wait_for_the_gpu():
    model = Detector("p", 4).cuda().to(memory_format=torch.channels_last)
    optimizer = make_optimizer("SGD", model, lr=0.01, momentum=0.9, weight_decay=0.0005)
    schedule = Schedule(epochs=1, batches=3, batch=64, warmup_epochs=0, warmup_floor=0)
    descent = Descent(model, optimizer, schedule, LossGains(), precision=torch.float16)
    images = torch.randint(256, (4, 3, 96, 96), dtype=torch.uint8, device="cuda")
    targets = TARGETS.cuda()
    descent.epoch([(images, targets)])  # the first iteration allocates
    torch.cuda.synchronize()
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        descent._iterate(images, targets)
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def test_mixed_precision_stays_near_single():
    model = Detector("p", 4).cuda().eval().to(memory_format=torch.channels_last)
    images = as_input(torch.randint(256, (1, 3, 96, 96), dtype=torch.uint8, device="cuda"))
    with torch.inference_mode():
        single = model(images)
        with mixed(images.device, torch.float16):
            half = model(images)
    for a, b in zip(single, half, strict=True):
        assert b.dtype == torch.float16
        torch.testing.assert_close(b.float(), a, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_a_training_runs_from_start_to_end(tmp_path, optimizer):
    yaml = write_digits(tmp_path, train=12, val=6)
    settings = Settings(data=str(yaml), model="p", img=96, batch=4, epochs=2, optimizer=optimizer)
    settings = prepare(settings, tmp_path / "cache")
    hyp = {
        **{"lr0": 0.001, "lrf": 0.01, "momentum": 0.937, "weight_decay": 0.0005},
        **{"warmup_epochs": 1.0, "warmup_momentum": 0.8, "warmup_bias_lr": 0.01},
        **{"box": 0.05, "cls": 0.5, "cls_pw": 1.0, "obj": 1.0, "obj_pw": 1.0},
        **{"anchor_t": 4.0, "fl_gamma": 0.0, "hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4},
        **{"degrees": 5.0, "translate": 0.1, "scale": 0.5, "shear": 2.0, "perspective": 0.0001},
        **{"flipud": 0.1, "fliplr": 0.5, "mosaic": 0.8, "mixup": 0.5, "copy_paste": 0.0},
    }
    metrics = train(
        hyp, out=tmp_path / "out", seed=0, device="0", report=lambda metrics, *, step: None, settings=settings
    )
    assert all(math.isfinite(value) for value in metrics.values())
