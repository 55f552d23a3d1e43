from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from samplers import WeightedParentSampler, noise, recommend

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0.0, 1.0),
    "n": IntDistribution(1, 9),
    "c": CategoricalDistribution(("a", "b")),
}


def noisy_study(n: int, direction: str = "maximize") -> optuna.Study:
    """Random individuals; better the nearer x is to 0.6 and n to 5, with noise as large as the signal."""
    study = optuna.create_study(direction=direction)
    sign = 1 if direction == "maximize" else -1
    rng = np.random.default_rng(0)
    for _ in range(n):
        params = {"x": float(rng.random()), "n": int(rng.integers(1, 10)), "c": str(rng.choice(["a", "b"]))}
        fitness = -((params["x"] - 0.6) ** 2) - ((params["n"] - 5) / 8) ** 2 - 0.2 * (params["c"] == "a")
        value = sign * (fitness + 0.1 * rng.standard_normal())
        study.add_trial(create_trial(params=params, distributions=SPACE, value=value))
    return study


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_recommendation_is_near_the_optimum_of_a_noisy_study(direction: str) -> None:
    params = recommend(noisy_study(150, direction))
    assert params["x"] == pytest.approx(0.6, abs=0.12)
    assert params["n"] in (4, 5, 6)
    assert params["c"] == "b"


def test_few_trials_are_averaged_by_their_values() -> None:
    study = optuna.create_study(direction="maximize")
    for value, x in ((2.0, 0.2), (3.0, 0.4), (-5.0, 1.0)):
        study.add_trial(create_trial(params={"x": x}, distributions={"x": SPACE["x"]}, value=value))
    weights = np.log(2.5) - np.log([1, 2])
    assert recommend(study, n_best=2)["x"] == pytest.approx(weights @ [0.4, 0.2] / weights.sum(), abs=1e-5)
    assert recommend(study, n_best=1) == {"x": 0.4}


@pytest.mark.parametrize("n", [8, 40])
def test_where_almost_every_step_is_a_disaster_the_recommendation_is_none(n: int) -> None:
    study = optuna.create_study(direction="maximize")
    space = {name: FloatDistribution(0.0, 1.0) for name in "abcdef"}
    rng = np.random.default_rng(0)
    for i in range(n):
        point = np.full(6, 0.5) + (i > 0) * rng.normal(0, 0.003 if i in (3, 5) else 0.2, 6)
        params = dict(zip(space, np.clip(point, 0, 1).tolist(), strict=True))
        off = max(abs(value - 0.5) for value in params.values())
        value = -1000.0 * off if off > 0.02 else 1.0 + 0.1 * (i in (3, 5))
        study.add_trial(create_trial(params=params, distributions=space, value=value))
    assert max(abs(value - 0.5) for value in recommend(study).values()) < 0.02


def test_values_that_the_elite_agree_on_are_kept_exactly() -> None:
    study = optuna.create_study(direction="maximize")
    space = {"x": SPACE["x"], "frozen": FloatDistribution(0.0, 1.0)}
    for x in (0.1, 0.2, 0.3):
        study.add_trial(create_trial(params={"x": x, "frozen": 1 / 3}, distributions=space, value=x))
    assert recommend(study)["frozen"] == 1 / 3


def test_recommendations_are_reproducible() -> None:
    assert recommend(noisy_study(40)) == recommend(noisy_study(40))


def test_a_study_without_results_has_nothing_to_recommend() -> None:
    with pytest.raises(ValueError, match="no finished trial"):
        recommend(optuna.create_study())


def test_a_study_of_several_objectives_is_refused() -> None:
    with pytest.raises(ValueError, match="one objective"):
        recommend(optuna.create_study(directions=["minimize", "maximize"]))


def test_an_empty_elite_is_refused() -> None:
    with pytest.raises(ValueError, match="`n_best` must be"):
        recommend(noisy_study(3), n_best=0)


def test_only_feasible_trials_are_averaged_while_there_are_any() -> None:
    study = optuna.create_study(direction="maximize")
    space = {"x": SPACE["x"]}
    for x in (*np.linspace(0.0, 0.4, 30), 0.9):
        study.enqueue_trial({"x": float(x)})
        trial = study.ask(space)
        trial.set_constraint("c", 0.5 - x)
        study.tell(trial, 1 - float(x))
    assert recommend(study) == {"x": 0.9}


def test_a_conditional_study_is_answered_with_all_parameters_of_the_usual_branch() -> None:
    study = optuna.create_study(direction="maximize")
    for number, branch in enumerate("abbbb"):
        distributions = {"c": SPACE["c"], f"only_{branch}": SPACE["x"]}
        params = {"c": branch, f"only_{branch}": 0.5}
        study.add_trial(create_trial(params=params, distributions=distributions, value=-float(number)))
    assert recommend(study) == {"c": "b", "only_b": 0.5}


def test_a_recommendation_is_in_the_range_of_today() -> None:
    study = optuna.create_study(direction="maximize")
    for value, high in ((2.0, 10.0), (1.0, 3.0)):
        distributions: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, high)}
        study.add_trial(create_trial(params={"x": high - 1}, distributions=distributions, value=value))
    assert recommend(study, n_best=1) == {"x": 3.0}


def test_a_study_without_parameters_is_refused() -> None:
    study = optuna.create_study()
    study.add_trial(create_trial(value=1.0))
    with pytest.raises(ValueError, match="no finished trial with parameters"):
        recommend(study)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("sampler", ["adaptive", "classic"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_noise_is_that_of_a_measurement_near_the_best(direction: str, sampler: str, scale: float) -> None:
    sign = 1 if direction == "maximize" else -1
    estimates = []

    def objective(trial: optuna.Trial) -> float:
        rng = np.random.default_rng([seed, trial.number])
        x = [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(5)]
        return sign * scale * (0.1 * rng.standard_normal() - sum((xi - 0.4) ** 2 for xi in x))

    defaults = {f"x{i}": 0.9 for i in range(5)}
    for seed in range(6):  # single estimates lie between a third and one and a half times the truth
        mode = WeightedParentSampler(mode=sampler, seed=seed, defaults=defaults)  # type: ignore[arg-type]
        study = optuna.create_study(direction=direction, sampler=mode)
        study.optimize(objective, n_trials=60)
        estimates.append(noise(study) / scale)
    assert 0.06 < np.exp(np.mean(np.log(estimates))) < 0.14


def three_dimensional(n: int, seed: int, *, crash: float = -math.inf, share: float = 0.0) -> optuna.Study:
    """Random individuals of a bowl with noise .005; a share of them, anywhere, crashes to one value."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize")
    space: dict[str, BaseDistribution] = {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(3)}
    for _ in range(n):
        params = {name: float(rng.random()) for name in space}
        value = 0.5 - 0.1 * sum((x - 0.5) ** 2 for x in params.values()) + 0.005 * rng.standard_normal()
        value = crash if rng.random() < share else value
        study.add_trial(create_trial(params=params, distributions=space, value=value))
    return study


@pytest.mark.parametrize("crash", [-math.inf, -1e6, 0.0])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_crashes_are_no_noise(crash: float, share: float) -> None:
    estimates = [noise(three_dimensional(80, seed, crash=crash, share=share)) for seed in range(5)]
    assert min(estimates) > 0.001
    assert max(estimates) < 0.01


def test_noise_far_from_the_best_does_not_count() -> None:
    rng = np.random.default_rng(0)
    study = optuna.create_study(direction="maximize")
    for x in rng.random(90).tolist():
        spread = 0.002 if x > 0.6 else 0.03
        value = 0.3 * x + spread * float(rng.standard_normal())
        study.add_trial(create_trial(params={"x": x}, distributions={"x": SPACE["x"]}, value=value))
    assert 0.001 < noise(study) < 0.004


def test_a_flat_study_is_without_noise() -> None:
    study = optuna.create_study(direction="maximize")
    for n in range(20):
        study.add_trial(create_trial(params={"x": n / 20}, distributions={"x": SPACE["x"]}, value=0.5))
    assert noise(study) == 0.0


def test_few_trials_show_no_noise() -> None:
    assert math.isnan(noise(optuna.create_study()))
    assert math.isnan(noise(noisy_study(11)))
    assert noise(noisy_study(20)) > 0
