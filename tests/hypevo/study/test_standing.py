"""How a study stands: the best against the default, the untouched weights and the noise."""

import numpy as np
import optuna
import pytest

from hypevo.problem.hyp import check_hyp
from hypevo.problem.plan import Plan
from hypevo.problem.space import yolov5_space
from hypevo.study.attributes import DEFAULT, NOISE, ORIGIN, SEED_NOISE, UNTOUCHED, metric_attributes
from hypevo.study.rescore import rescored
from hypevo.study.standing import standing
from hypevo.study.storage import PLAN


def _study(*fitness: float) -> optuna.Study:
    """A study whose first trial is the default; «recall» is 1 minus its fitness."""
    space = yolov5_space().only(["lr0"])
    plan = Plan("landscape:train", {}, space, check_hyp({}, space), "precision", "fixed", 0)
    study = optuna.create_study(direction="maximize")
    study.set_user_attr(PLAN, plan.to_json())
    for number, value in enumerate(fitness):
        attributes = metric_attributes({"precision": value, "recall": 1 - value})
        study.add_trial(
            optuna.trial.create_trial(
                value=value, user_attrs=attributes | ({ORIGIN: DEFAULT} if number == 0 else {})
            )
        )
    return study


def _measured(value: float) -> dict:
    return {"fitness": value, "metrics": {"precision": value, "recall": 1 - value}}


def test_a_study_without_trials_knows_nothing() -> None:
    found = standing(_study())
    assert (found.best, found.default, found.band, found.beyond_noise, found.gain) == (None,) * 5


def test_the_noise_counts_the_first_trial_and_the_repeats() -> None:
    study = _study(0.5, 0.9)
    study.set_user_attr(
        NOISE, [_measured(0.4), _measured(0.6), {"seed": 3, "failure": "crashed", "fitness": None}]
    )
    found = standing(study)
    assert found.default == pytest.approx(0.5)
    assert found.noise == pytest.approx(0.1)
    assert found.band == pytest.approx((0.3, 0.7))
    assert found.seeds == 3
    assert found.beyond_noise is True
    assert found.gain == pytest.approx(0.4)


def test_within_the_band_is_not_beyond_the_noise() -> None:
    study = _study(0.5, 0.69)
    study.set_user_attr(NOISE, [_measured(0.4), _measured(0.6)])
    assert standing(study).beyond_noise is False


@pytest.mark.parametrize("trials", [2, 60])
def test_luck_is_how_often_a_search_of_nothing_but_noise_has_such_a_best(trials: int) -> None:
    draws = np.random.default_rng(0).normal(size=(20_000, 4 + trials))
    default, noise = draws[:, :4].mean(1), draws[:, :4].std(1, ddof=1)
    study = _study(0.5, *[0.0] * (trials - 2), 0.9)
    study.set_user_attr(NOISE, [_measured(0.4), _measured(0.6), _measured(0.5)])
    found = standing(study)
    assert (found.trials, found.seeds) == (trials, 4)
    away = found.gain / found.noise
    as_high = np.mean([(d[4:] > m + away * s).any() for d, m, s in zip(draws, default, noise, strict=True)])
    assert found.luck == pytest.approx(as_high, abs=0.01)
    assert found.luck_said.endswith(f"in {round(100 * found.luck)} of 100 searches")


def test_a_best_beyond_the_band_may_be_luck() -> None:
    study = _study(0.5, *[0.0] * 58, 0.75)
    study.set_user_attr(NOISE, [_measured(0.4), _measured(0.6)])
    found = standing(study)
    assert found.beyond_noise
    assert found.beside == "maybe luck"
    study.set_user_attr(NOISE, [_measured(0.5 + 0.01 * (-1) ** number) for number in range(9)])
    assert standing(study).beside == "beyond the noise"


def test_a_noise_of_nothing_leaves_no_luck() -> None:
    study = _study(0.5, 0.75)
    study.set_user_attr(NOISE, [_measured(0.5), _measured(0.5)])
    assert standing(study).luck == 0
    study.set_user_attr(NOISE, [_measured(0.5)])
    assert standing(study).luck is None


def test_two_trainings_are_no_noise_but_a_confirmation_is() -> None:
    study = _study(0.5, 0.9)
    study.set_user_attr(NOISE, [_measured(0.4)])
    assert standing(study).noise is None
    study.set_user_attr(SEED_NOISE, 0.02)
    assert standing(study).noise == 0.02


def test_another_fitness_reads_everything_anew() -> None:
    study = _study(0.5, 0.9, 0.2)
    study.set_user_attr(NOISE, [_measured(0.4), _measured(0.6)])
    study.set_user_attr(UNTOUCHED, _measured(0.7))
    study.set_user_attr(SEED_NOISE, 9.0)
    found = standing(rescored(study, "recall").study)
    assert found.best is not None
    assert found.best.number == 2
    assert found.best_fitness == pytest.approx(0.8)
    assert found.untouched == pytest.approx(0.3)
    assert found.noise == pytest.approx(0.1)
    assert standing(study).untouched == 0.7
