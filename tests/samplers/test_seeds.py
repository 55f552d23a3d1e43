from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from samplers import TRAINING_SEED, WeightedParentSampler, noise, recommend
from samplers._seeds import groups_of, without_offsets
from samplers._surrogate import Hyperparameters

OFFSETS = {3: -0.3, 4: 0.0, 5: 0.3}  # by seed


def study_of(seeds: list[int | None], *, offset: bool = True) -> optuna.Study:
    """A search on a smooth function; a training with a seed is off by its offset."""
    study = optuna.create_study(
        direction="maximize", sampler=WeightedParentSampler(seed=0, defaults={"x": 0.2, "y": 0.8})
    )
    for seed in seeds:
        trial = study.ask()
        x, y = trial.suggest_float("x", 0.0, 1.0), trial.suggest_float("y", 0.0, 1.0)
        if seed is not None:
            trial.set_user_attr(TRAINING_SEED, seed)
        off = OFFSETS.get(seed, 0.0) if offset and seed is not None else 0.0
        study.tell(trial, -((x - 0.6) ** 2) - (y - 0.5) ** 2 + off)
    return study


@pytest.mark.parametrize("seeds", [[3] * 14, list(range(100, 114)), [3, *range(100, 113)], [3, None] * 7])
def test_one_seed_or_fresh_ones_change_no_digit(seeds: list[int | None]) -> None:
    told = study_of(seeds, offset=False)
    assert [t.params for t in told.trials] == [t.params for t in study_of([None] * 14).trials]


def test_seeds_with_two_trials_are_told_apart() -> None:
    assert groups_of(study_of([5, 3, 5, 9, None, 3]).trials).tolist() == [0, 1, 0, -1, -1, 1]


def test_what_seeds_add_is_found_beside_what_hyperparameters_do() -> None:
    rng = np.random.default_rng(0)
    x, groups = rng.random((30, 4)), np.arange(30) % 3
    smooth = np.sin(3 * x[:, 0]) + x[:, 1]
    y = smooth + np.array([-0.5, 0.0, 0.5])[groups]

    def left(n: int) -> float:  # of the seeds' difference of 1.0, after n trials
        rest = without_offsets(Hyperparameters.prior(4), x[:n], y[:n] - y[:n].mean(), groups[:n]) - smooth[:n]
        return float(np.ptp([rest[groups[:n] == group].mean() for group in range(3)]))

    assert left(30) < 0.2 < left(6)  # few trials say little: shrunken


def test_crashes_are_told_from_noise_also_where_one_seed_has_mostly_crashes() -> None:
    study, rng = optuna.create_study(direction="maximize"), np.random.default_rng(0)
    space = {name: FloatDistribution(0.0, 1.0) for name in "xy"}
    for i in range(45):
        x, y = rng.random(2).tolist()
        crashed = rng.random() < (0.7 if i % 3 == 0 else 0.1)
        value = 0.0 if crashed else 0.5 - 0.1 * (x - 0.5) ** 2 + 0.01 * rng.standard_normal() + 0.05 * (i % 3)
        attrs = {TRAINING_SEED: i % 3}
        study.add_trial(
            create_trial(params={"x": x, "y": y}, distributions=space, value=value, user_attrs=attrs)
        )
    assert noise(study) < 0.03


def test_a_search_that_knows_the_seeds_sees_through_them() -> None:
    told = study_of([3, 4, 5] * 12)
    assert noise(told) < 0.1 * np.std(list(OFFSETS.values()))
    found = recommend(told)
    assert abs(found["x"] - 0.6) < 0.1
    assert abs(found["y"] - 0.5) < 0.1
