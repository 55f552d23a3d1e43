"""What a machine with CUDA should run: `pytest -m gpu`, in some minutes. Last run on an H100, PyTorch 2.11."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from trainers.digits import write_digits
from trainers.yolov5 import Settings, check, prepare, train, validate
from trainers.yolov5.boxes import detect
from trainers.yolov5.data import open_data
from trainers.yolov5.loop import training_batches, validation_batches
from trainers.yolov5.loss import LossGains, detection_loss
from trainers.yolov5.memory import training_bytes
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


HYP = {
    **{"lr0": 0.001, "lrf": 0.01, "momentum": 0.937, "weight_decay": 0.0005},
    **{"warmup_epochs": 1.0, "warmup_momentum": 0.8, "warmup_bias_lr": 0.01},
    **{"box": 0.05, "cls": 0.5, "cls_pw": 1.0, "obj": 1.0, "obj_pw": 1.0},
    **{"anchor_t": 4.0, "fl_gamma": 0.0, "hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4},
    **{"degrees": 5.0, "translate": 0.1, "scale": 0.5, "shear": 2.0, "perspective": 0.0001},
    **{"flipud": 0.1, "fliplr": 0.5, "mosaic": 0.8, "mixup": 0.5, "copy_paste": 0.5},
}


def run(out, settings, device="0"):
    return train(HYP, out=out, seed=0, device=device, report=lambda metrics, *, step: None, settings=settings)


@pytest.fixture
def settings(tmp_path):
    yaml = write_digits(tmp_path, train=12, val=6)
    return prepare(Settings(data=str(yaml), model="p", img=96, batch=4, epochs=2), tmp_path / "cache")


@pytest.mark.parametrize("batch", [16, 64])
def test_a_first_step_that_overflows_costs_that_step_alone(batch):
    torch.manual_seed(0)
    model = Detector("n", 80).cuda().to(memory_format=torch.channels_last)
    optimizer = make_optimizer("SGD", model, lr=0.01, momentum=0.9, weight_decay=0.0005)
    schedule = Schedule(epochs=1, batches=3, batch=64, warmup_epochs=0, warmup_floor=0)
    images = torch.randint(256, (batch, 3, 320, 320), dtype=torch.uint8, device="cuda")
    descent = Descent(model, optimizer, schedule, LossGains(box=50, obj=1000), precision=torch.float16)
    descent.epoch([(images, TARGETS.cuda())])
    assert descent._scaler.get_scale() < 65536
    descent._gains = LossGains()
    descent.epoch([(images, TARGETS.cuda())] * 20)
    for tensor in (*model.parameters(), *(state["momentum_buffer"] for state in optimizer.state.values())):
        assert tensor.isfinite().all()
        assert tensor.abs().max() < 1e4


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_an_epoch_of_batches_never_waits_for_the_gpu(settings, tmp_path, cache):
    settings = prepare(replace(settings, cache=cache, prepared=""), tmp_path / "cache")
    data = open_data(settings, tmp_path / "cache")
    batches = training_batches(settings, HYP, data, 0, torch.device("cuda:0"))
    list(batches.epoch(0))  # the first allocates
    torch.cuda.synchronize()
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in batches.epoch(1):
            pass
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def test_batches_are_those_of_a_cpu(settings, tmp_path):
    data = open_data(settings, tmp_path / "cache")
    places = (torch.device("cpu"), torch.device("cuda:0"))
    pairs = zip(*(training_batches(settings, HYP, data, 0, place).epoch(0) for place in places), strict=True)
    for (images, targets), (other_images, other_targets) in pairs:
        assert (images.int() - other_images.cpu().int()).abs().max() <= 2
        assert torch.equal(targets, other_targets.cpu())


def test_validation_batches_are_those_of_a_cpu(settings, tmp_path):
    val = open_data(settings, tmp_path / "cache").val
    places = (torch.device("cpu"), torch.device("cuda:0"))
    for one, other in zip(
        *(validation_batches(settings, val, p, training=True) for p in places), strict=True
    ):
        assert torch.equal(one.images, other.images.cpu())
        assert torch.equal(one.targets, other.targets.cpu())


def test_metrics_in_half_precision_stay_near_single(data_folder, tmp_path):
    settings = Settings(
        data=str(data_folder / "coco128.yaml"), weights=str(data_folder / "yolov5n.pt"), img=320
    )
    half, single = (validate(replace(settings, amp=amp), device="0") for amp in (True, False))
    cpu = validate(settings)
    for name in ("mAP_0.5", "mAP_0.5:0.95"):
        assert half[name] == pytest.approx(single[name], abs=0.003)
        assert single[name] == pytest.approx(cpu[name], abs=0.003)


def test_a_checkpoint_loads_where_no_gpu_is_visible(settings, tmp_path):
    run(tmp_path / "out", settings)
    code = "import sys, torch; torch.load(sys.argv[1]); sys.exit(torch.cuda.is_available())"
    weights = str(tmp_path / "out" / "weights" / "last.pt")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    assert subprocess.run([sys.executable, "-c", code, weights], env=environment, check=False).returncode == 0


def test_the_same_seed_twice(settings, tmp_path, capsys):
    """Printed, not promised; `--deterministic` promises it."""
    first, second = (run(tmp_path / name, settings) for name in "ab")
    with capsys.disabled():
        print("\nthe same seed twice:", {name: second[name] - first[name] for name in first})
    settings = replace(settings, deterministic=True)
    assert run(tmp_path / "c", settings) == run(tmp_path / "d", settings)


def test_a_batch_that_does_not_fit_is_an_error_before_it_is_tried(settings, tmp_path):
    findings = check(replace(settings, batch=10**7), HYP, {}, tmp_path / "cache", device="0")
    assert any(level == "error" and "memory on cuda:0" in message for level, message in findings)


def test_a_step_takes_about_what_was_estimated():
    settings = Settings(data="a.yaml", model="n", batch=16, img=640)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    model = Detector("n", 80).cuda().to(memory_format=torch.channels_last)
    optimizer = make_optimizer("SGD", model, lr=0.01, momentum=0.9, weight_decay=0.0005)
    schedule = Schedule(epochs=1, batches=3, batch=64, warmup_epochs=0, warmup_floor=0)
    images = torch.randint(256, (16, 3, 640, 640), dtype=torch.uint8, device="cuda")
    Descent(model, optimizer, schedule, LossGains(), precision=torch.float16).epoch(
        [(images, TARGETS.cuda())] * 2
    )
    taken, estimate = torch.cuda.max_memory_reserved(), training_bytes(settings, 80, half=True)
    assert taken / 2 < estimate < 3 * taken


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_a_training_runs_from_start_to_end(settings, tmp_path, optimizer):
    metrics = run(tmp_path / "out", replace(settings, optimizer=optimizer))
    assert all(math.isfinite(value) for value in metrics.values())
