from __future__ import annotations

import logging
import math

import pytest
import torch

from trainers.yolov5.loss import LossGains
from trainers.yolov5.model import Detector
from trainers.yolov5.optimizer import (
    Descent,
    WeightAverage,
    make_optimizer,
    parameter_groups,
    set_rates,
)
from trainers.yolov5.schedule import Rates, Schedule, average_decay

RATES = Rates(lr=0.01, bias_lr=0.1, momentum=0.8, accumulate=2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Detector("p", 3)


def batches(count: int):
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        images = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8, generator=generator)
        yield images, torch.tensor([[0, 1, 0.5, 0.5, 0.2, 0.2]])


def descent(model, *, freeze_norm=False, **schedule):
    optimizer = make_optimizer("SGD", model, lr=0.01, momentum=0.9, weight_decay=0.0)
    plan = Schedule(epochs=2, batches=4, **schedule)
    return Descent(model, optimizer, plan, LossGains(), freeze_norm=freeze_norm)


@pytest.mark.parametrize("freeze_norm", [False, True])
def test_frozen_norms_keep_their_statistics_and_still_learn(model, freeze_norm):
    def copied():
        return {name: value.clone() for name, value in model.state_dict().items() if ".bn." in name}

    before = copied()
    training = descent(model, freeze_norm=freeze_norm, batch=64)
    for _ in range(2):
        training.epoch(batches(4))
    changed = {
        name.rpartition(".")[2] for name, value in copied().items() if not torch.equal(value, before[name])
    }
    learnt = {"weight", "bias"}
    assert changed == (
        learnt if freeze_norm else learnt | {"running_mean", "running_var", "num_batches_tracked"}
    )


def test_groups_hold_every_parameter_once_and_only_weights_decay(model):
    biases, weights, norms = parameter_groups(model, 0.5)
    assert [group["weight_decay"] for group in (biases, weights, norms)] == [0, 0.5, 0]
    grouped = [id(parameter) for group in (biases, weights, norms) for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
    assert all(parameter.ndim == 4 for parameter in weights["params"])
    assert len(norms["params"]) == len(biases["params"]) - 3  # the output layer has biases and no norm


def test_sgd_takes_all_rates_and_adam_keeps_its_betas(model):
    sgd = make_optimizer("SGD", model, lr=1, momentum=0.9, weight_decay=0)
    adam = make_optimizer("AdamW", model, lr=1, momentum=0.9, weight_decay=0)
    for optimizer in (sgd, adam):
        set_rates(optimizer, RATES)
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01, 0.01]
    assert all(group["momentum"] == 0.8 and group["nesterov"] for group in sgd.param_groups)
    assert all(group["betas"] == (0.9, 0.999) for group in adam.param_groups)


def test_average_moves_by_its_decay_and_takes_batch_statistics_along(model):
    average = WeightAverage(model)
    before = {name: tensor.clone() for name, tensor in average.model.state_dict().items()}
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.add_(1)
    average.update()
    for name, tensor in average.model.state_dict().items():
        moved = 1 - average_decay(1) if tensor.is_floating_point() else 0
        torch.testing.assert_close(tensor, before[name] + moved, msg=name)


@pytest.mark.parametrize(
    ("batch", "steps"),
    [(64, 4), (32, 2), (16, 1)],  # accumulating 1, 2, 4 iterations; four iterations of an epoch
)
def test_steps_come_when_enough_iterations_have_gathered(model, batch, steps):
    run = descent(model, batch=batch, warmup_floor=0, warmup_epochs=0)
    run.epoch(batches(4))
    assert run.average.updates == steps


def test_first_iteration_of_a_warm_up_steps_biases_alone(model):
    weight = model.model[3].conv.weight.detach().clone()
    bias = model.model[3].bn.bias.detach().clone()
    descent(model, batch=16).epoch(batches(1))
    assert torch.equal(model.model[3].conv.weight, weight)
    assert not torch.equal(model.model[3].bn.bias, bias)


def test_gradients_are_clipped(model, monkeypatch):
    norms = []
    original = torch.nn.utils.clip_grad_norm_

    def record(parameters, limit):
        parameters = list(parameters)
        original(parameters, limit)
        norms.append(sum(p.grad.square().sum() for p in parameters).sqrt().item())

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", record)
    run = descent(model, batch=64)
    run._gains = LossGains(obj=1e6)
    run.epoch(batches(1))
    assert norms == [pytest.approx(10, rel=1e-3)]


def test_training_lowers_the_loss_it_reports(model):
    run = descent(model, batch=64, warmup_floor=0, warmup_epochs=0)
    first = sum(run.epoch(batches(4)))
    assert sum(run.epoch(batches(4))) < first


def half(model):
    optimizer = make_optimizer("SGD", model, lr=0.01, momentum=0.9, weight_decay=0.0)
    schedule = Schedule(epochs=1, batches=4, batch=64, warmup_floor=0, warmup_epochs=0)
    return Descent(model, optimizer, schedule, LossGains(), precision=torch.float16)


def sound(tensors) -> bool:
    return all(bool(tensor.isfinite().all()) and tensor.abs().max() < 1e4 for tensor in tensors)


def test_a_first_step_that_overflows_costs_that_step_alone(model):
    """The scaler begins at 65,536: gradients above 1 are infinite in float16, and the step is skipped."""
    run = half(model)
    run._gains = LossGains(box=50, obj=1000)
    torch.use_deterministic_algorithms(True)  # fills what nobody has initialised with NaN
    try:
        run.epoch(batches(1))
        before = [parameter.detach().clone() for parameter in model.parameters()]
        assert sound(state["momentum_buffer"] for state in run._optimizer.state.values())
        run._gains = LossGains()
        run.epoch(batches(3))
    finally:
        torch.use_deterministic_algorithms(False)
    assert run._scaler.get_scale() < 65536
    assert sound(model.parameters())
    assert not all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_momentum_from_the_start_changes_no_step(model):
    """Made at the first step, as PyTorch does it, or zeros beforehand: the same weights, bit for bit."""
    trained = []
    for made_by_torch in (False, True):
        torch.manual_seed(0)
        network = Detector("p", 3)
        run = descent(network, batch=64)
        if made_by_torch:
            run._optimizer.state.clear()
        run.epoch(batches(4))
        trained.append(list(network.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*trained, strict=True))


def overflowing(count: int):
    """Batches of which the second is too bright for float16."""
    for number, (images, targets) in enumerate(batches(count)):
        yield images.float() * (1e9 if number == 1 else 1), targets


def test_one_overflowed_forward_pass_ends_no_training(model, caplog):
    run = half(model)
    with caplog.at_level(logging.WARNING):
        losses = run.epoch(overflowing(4))
    assert all(math.isfinite(loss) for loss in losses)
    assert "1 of 4 iterations overflowed" in caplog.text
    for network in (model, run.average.model):
        assert all(tensor.isfinite().all() for tensor in network.state_dict().values())


def test_a_training_that_only_overflows_has_diverged(model):
    with torch.no_grad():
        model.model[0].conv.weight.fill_(math.nan)
    assert all(math.isnan(loss) for loss in half(model).epoch(batches(2)))


def test_in_single_precision_nan_is_told(model):
    run = descent(model, batch=64)
    assert any(math.isnan(loss) for loss in run.epoch(overflowing_single()))


def overflowing_single():
    for images, targets in batches(2):
        yield images.float() * math.inf, targets
