from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest

from trainers.yolov5.schedule import Rates, Schedule, average_decay, scaled_decay

# 10 epochs of 20 iterations of 16 images; warm-up 3 epochs = 60 iterations.
SCHEDULE = Schedule(epochs=10, batches=20, batch=16, warmup_floor=0)


@pytest.mark.parametrize(
    ("iteration", "lr", "bias_lr", "momentum", "accumulate"),
    [
        (0, 0.0, 0.1, 0.8, 1),
        (15, 0.01 / 4, 0.1 - 0.09 / 4, 0.83425, 2),  # 1.75 iterations per step, rounded
        (30, 0.00901 / 2, 0.1 - 0.09099 / 2, 0.8685, 2),  # 2.5 rounds to even; epoch 1: .01 * (1 - .1 * .99)
        (45, 0.00802 * 0.75, 0.1 - 0.09198 * 0.75, 0.90275, 3),
        (60, 0.00703, 0.00703, 0.937, 4),
        (61, 0.00703, 0.00703, 0.937, 4),
        (199, 0.00109, 0.00109, 0.937, 4),
    ],
)
def test_rates_equal_the_table_computed_by_hand(iteration, lr, bias_lr, momentum, accumulate):
    rates = SCHEDULE.at(iteration)
    assert rates.lr == pytest.approx(lr, abs=1e-12)
    assert rates.bias_lr == pytest.approx(bias_lr, abs=1e-12)
    assert rates.momentum == pytest.approx(momentum, abs=1e-12)
    assert rates.accumulate == accumulate


def test_line_and_cosine_share_their_ends():
    line = Schedule(epochs=4, batches=5, batch=16, lrf=0.2)
    cosine = Schedule(epochs=4, batches=5, batch=16, lrf=0.2, cosine=True)
    assert [line.factor(epoch) for epoch in range(5)] == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])
    expected = [1, 0.2 + 0.4 * (1 + math.cos(math.pi / 4)), 0.6, 0.2 + 0.4 * (1 - math.cos(math.pi / 4)), 0.2]
    assert [cosine.factor(epoch) for epoch in range(5)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("warmup_epochs", "batches", "floor", "iterations"),
    [(3.0, 8, 100, 100), (3.0, 50, 100, 150), (1.25, 10, 0, 12), (0.0, 10, 0, 0), (0.0, 10, 100, 100)],
)
def test_warm_up_has_a_floor(warmup_epochs, batches, floor, iterations):
    schedule = Schedule(epochs=10, batches=batches, batch=16, warmup_epochs=warmup_epochs, warmup_floor=floor)
    assert schedule.warmup == iterations


def test_without_warm_up_the_first_iteration_is_at_full_rate():
    schedule = Schedule(epochs=10, batches=20, batch=16, warmup_epochs=0, warmup_floor=0)
    assert schedule.at(0) == Rates(lr=0.01, bias_lr=0.01, momentum=0.937, accumulate=4)


@pytest.mark.parametrize(("batch", "accumulate"), [(1, 64), (16, 4), (24, 3), (64, 1), (128, 1)])
def test_accumulation_makes_up_the_nominal_batch(batch, accumulate):
    assert Schedule(epochs=1, batches=1, batch=batch, warmup_floor=0).at(10).accumulate == accumulate


@pytest.mark.parametrize(("batch", "decay"), [(16, 0.0005), (24, 0.0005 * 72 / 64), (128, 0.001)])
def test_weight_decay_follows_the_images_of_a_step(batch, decay):
    assert scaled_decay(0.0005, batch) == pytest.approx(decay)


@pytest.mark.parametrize(
    ("updates", "decay"), [(1, 0.0004998250), (2000, 0.9999 * (1 - 1 / math.e)), (100_000, 0.9999)]
)
def test_average_decay_equals_the_table(updates, decay):
    assert average_decay(updates) == pytest.approx(decay, rel=1e-6)


@pytest.mark.parametrize(
    ("gene", "value", "changed"),
    [  # which rates change at the start, within the warm-up, after it
        ("lr0", 0.02, [set(), {"lr", "bias_lr"}, {"lr", "bias_lr"}]),
        ("lrf", 0.5, [set(), {"lr", "bias_lr"}, {"lr", "bias_lr"}]),
        ("momentum", 0.8, [set(), {"momentum"}, {"momentum"}]),
        ("warmup_momentum", 0.5, [{"momentum"}, {"momentum"}, set()]),
        ("warmup_bias_lr", 0.2, [{"bias_lr"}, {"bias_lr"}, set()]),
        ("warmup_epochs", 2.0, [set(), {"lr", "bias_lr", "momentum", "accumulate"}, set()]),
    ],
)
def test_a_gene_changes_its_rates_and_no_other(gene, value, changed):
    other = replace(SCHEDULE, **{gene: value})
    for iteration, names in zip((0, 30, 100), changed, strict=True):
        before, after = asdict(SCHEDULE.at(iteration)), asdict(other.at(iteration))
        assert {name for name in before if before[name] != after[name]} == names
