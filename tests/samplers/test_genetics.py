from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samplers._genetics import draw_parent, jump, mean_parent, multiply, mutation_factors, parent_weights

if TYPE_CHECKING:
    from pathlib import Path

CLASSIC: dict[str, Any] = {"mutation_prob": 0.8, "sigma": 0.2, "clip": (0.3, 3.0)}


class FixedUniform:
    """A source whose only uniform number is given."""

    def __init__(self, u: float) -> None:
        self._u = u

    def random(self, size: Any = None, /) -> Any:
        return self._u

    def standard_normal(self, size: Any = None, /) -> Any:
        raise NotImplementedError


# Gain, low, high of each gene in the recorded evolution.
SPACE = {
    "lr0": (1, 1e-5, 1e-1),
    "lrf": (1, 0.01, 1.0),
    "momentum": (0.3, 0.6, 0.98),
    "weight_decay": (1, 0.0, 0.001),
    "warmup_epochs": (1, 0.0, 5.0),
    "warmup_momentum": (1, 0.0, 0.95),
    "warmup_bias_lr": (1, 0.0, 0.2),
    "box": (1, 0.02, 0.2),
    "cls": (1, 0.2, 4.0),
    "cls_pw": (1, 0.5, 2.0),
    "obj": (1, 0.2, 4.0),
    "obj_pw": (1, 0.5, 2.0),
    "iou_t": (0, 0.1, 0.7),
    "anchor_t": (1, 2.0, 8.0),
    "anchors": (2, 2.0, 10.0),
    "fl_gamma": (0, 0.0, 2.0),
    "hsv_h": (1, 0.0, 0.1),
    "hsv_s": (1, 0.0, 0.9),
    "hsv_v": (1, 0.0, 0.9),
    "degrees": (1, 0.0, 45.0),
    "translate": (1, 0.0, 0.9),
    "scale": (1, 0.0, 0.9),
    "shear": (1, 0.0, 10.0),
    "perspective": (0, 0.0, 0.001),
    "flipud": (1, 0.0, 1.0),
    "fliplr": (0, 0.0, 1.0),
    "mosaic": (1, 0.0, 1.0),
    "mixup": (1, 0.0, 1.0),
    "copy_paste": (1, 0.0, 1.0),
}


def test_operator_replays_an_evolution_recorded_from_yolov5_7_0(evolve_v7: Path) -> None:
    trace = json.loads((evolve_v7 / "trace.json").read_text())
    with (evolve_v7 / "evolve.csv").open() as file:
        header, *lines = ([cell.strip() for cell in row] for row in csv.reader(file))
    rows = np.array(lines, dtype=float)
    names = header[7:]
    gains, low, high = np.array([SPACE[name] for name in names]).T
    fitness = 0.1 * rows[:, 2] + 0.9 * rows[:, 3]
    for generation, record in enumerate(trace[1:], start=1):
        best = np.argsort(-fitness[:generation])[:5]
        weights = parent_weights(fitness[best])
        np.testing.assert_allclose(weights, record["weights"], rtol=1e-9)
        drawn = draw_parent(weights, FixedUniform(record["u"]))
        assert drawn == record["rank"]
        factors = mutation_factors(gains, np.random.RandomState(record["np_seed"]), **CLASSIC)
        offspring = multiply(rows[best[drawn], 7:], factors, low, high, decimals=5)
        assert dict(zip(names, offspring.tolist(), strict=True)) == record["child"]


def test_first_individual_is_rounded_and_clipped_too() -> None:
    offspring = multiply(
        np.array([0.123456, 3.0]), np.ones(2), np.array([0.0, 0.0]), np.array([1.0, 2.0]), decimals=5
    )
    assert offspring.tolist() == [0.12346, 2.0]


FITNESS = st.floats(-1e100, 1e100) | st.sampled_from([np.inf, -np.inf])


@given(st.lists(FITNESS, min_size=1, max_size=8))
def test_weights_are_positive_and_finite_for_any_fitness(fitness: list[float]) -> None:
    weights = parent_weights(np.array(fitness))
    assert np.all(weights > 0)
    assert np.all(np.isfinite(weights))


def test_infinite_fitness_weighs_like_the_extreme_finite_one() -> None:
    weights = parent_weights(np.array([np.inf, 2.0, 1.0, -np.inf]))
    assert weights.tolist() == [1.000001, 1.000001, 1e-6, 1e-6]


def test_fitness_without_finite_value_weighs_equally() -> None:
    assert parent_weights(np.array([np.inf, -np.inf])).tolist() == [1e-6, 1e-6]


def test_worst_parent_is_still_possible() -> None:
    assert draw_parent(parent_weights(np.array([1.0, 0.5, 0.0])), FixedUniform(1.0 - 1e-8)) == 2


def test_parents_are_drawn_in_proportion_to_their_weights() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_parent(np.array([3.0, 1.0]), rng) for _ in range(4000)]
    assert np.mean(drawn) == pytest.approx(0.25, abs=0.03)  # standard error 0.007


def test_lone_parent_is_its_own_weighted_mean() -> None:
    parent = np.array([[0.3, 2.0]])
    assert mean_parent(parent, np.array([1e-6]), np.array([False, True])).tolist() == [0.3, 2.0]


def test_weighted_parent_averages_numbers_and_votes_on_choices() -> None:
    parents = np.array([[1.0, 2.0], [2.0, 0.0], [4.0, 0.0]])
    mean = mean_parent(parents, np.array([0.4, 0.3, 0.3]), np.array([False, True]))
    assert mean.tolist() == pytest.approx([2.2, 0.0])


def test_factors_change_something_and_stay_inside_the_clip_range() -> None:
    rng = np.random.default_rng(0)
    settings = CLASSIC | {"sigma": 3.0, "mutation_prob": 0.01}
    for _ in range(200):
        factors = mutation_factors(np.ones(3), rng, **settings)
        assert np.any(factors != 1)
        assert np.all((factors >= 0.3) & (factors <= 3.0))


def test_frozen_genes_keep_factor_one() -> None:
    factors = mutation_factors(np.array([0.0, 1.0]), np.random.default_rng(0), **CLASSIC)
    assert factors[0] == 1.0
    assert mutation_factors(np.zeros(4), np.random.default_rng(0), **CLASSIC).tolist() == [1.0] * 4


def test_gain_scales_a_genes_steps() -> None:
    rng = np.random.default_rng(0)
    factors = np.array([mutation_factors(np.array([1.0, 0.3]), rng, **CLASSIC) for _ in range(3000)])
    # Clipping touches the larger gain alone, and rarely: the ratio is 0.3 within 3 standard errors.
    assert factors[:, 1].std() / factors[:, 0].std() == pytest.approx(0.3, abs=0.02)


def test_all_genes_of_an_offspring_share_one_step_size() -> None:
    rng = np.random.default_rng(0)
    settings = CLASSIC | {"clip": (0.0, 100.0), "mutation_prob": 1.0}
    steps = np.abs([mutation_factors(np.ones(200), rng, **settings) - 1 for _ in range(200)])
    # With one uniform number per offspring the offspring's mean steps spread like U(0, 1): relative spread 0.58.
    assert np.std(steps.mean(axis=1)) / steps.mean() > 0.4


def test_jump_leaves_the_choice_with_its_probability_and_reaches_all_others() -> None:
    rng = np.random.default_rng(0)
    jumped = jump(np.full(9000, 1.0), np.full(9000, 3.0), np.full(9000, 0.3), rng)
    shares = np.bincount(jumped.astype(int), minlength=3) / 9000
    assert shares == pytest.approx([0.15, 0.7, 0.15], abs=0.02)


def test_jump_in_a_single_choice_stays() -> None:
    assert jump(np.zeros(5), np.ones(5), np.ones(5), np.random.default_rng(0)).tolist() == [0.0] * 5
