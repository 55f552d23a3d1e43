"""The minimal difference: which parameters may go back to their defaults."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial

from samplers import WeightedParentSampler, minimal

SPACE: dict[str, BaseDistribution] = {
    **{name: FloatDistribution(0.0, 1.0) for name in ("matters", "too", "idle", "inert")},
    "c": CategoricalDistribution(("a", "b")),
}
DEFAULTS = {"matters": 0.2, "too": 0.2, "idle": 0.2, "inert": 0.2, "c": "a"}
START = {"matters": 0.8, "too": 0.7, "idle": 0.9, "inert": 0.6, "c": "b"}
NOISE = 0.01


def study_of(n: int, direction: str = "maximize", scale: float = 1.0) -> optuna.Study:
    """Random individuals: «matters» is worth .6, «too» .25, the others nothing."""
    rng = np.random.default_rng(1)
    study = optuna.create_study(direction=direction)
    sign = scale if direction == "maximize" else -scale
    for _ in range(n):
        params = {name: float(rng.random()) for name in SPACE if name != "c"} | {
            "c": str(rng.choice(["a", "b"]))
        }
        value = params["matters"] + 0.5 * params["too"] + NOISE * rng.standard_normal()
        study.add_trial(create_trial(params=params, distributions=SPACE, value=sign * value))
    return study


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_what_does_not_matter_goes_back_and_what_matters_stays(direction: str, scale: float) -> None:
    found = minimal(study_of(60, direction, scale), START, DEFAULTS, 0.05 * scale)
    assert set(found.returned) == {"idle", "inert", "c"}
    assert found.params == {**DEFAULTS, "matters": 0.8, "too": 0.7}
    assert list(found.kept) == ["matters", "too"]
    assert found.kept["matters"] == pytest.approx(0.6 * scale, rel=0.2)
    assert found.kept["too"] == pytest.approx(0.25 * scale, rel=0.2)
    assert found.cost == list(found.returned.values())[-1] <= 0.05 * scale
    assert 0 < found.uncertainty < 0.05 * scale


def test_costs_add_up_against_the_allowance() -> None:
    study = study_of(60)
    assert "too" in minimal(study, START, DEFAULTS, 0.4).returned
    everything = minimal(study, START, DEFAULTS, 2.0)
    assert (everything.params, everything.kept) == (DEFAULTS, {})
    assert everything.cost == pytest.approx(0.85, rel=0.2)


@pytest.mark.parametrize("crash", [None, -10.0])
def test_a_default_far_below_the_best_is_no_crash(crash: float | None) -> None:
    """A long search has few trials near its default; without them the way back seems to cost nothing."""
    names = [f"x{i}" for i in range(8)]
    defaults = dict.fromkeys(names, 0.4)
    space: dict[str, BaseDistribution] = {name: FloatDistribution(0.0, 1.0) for name in names}

    def truth(params: dict[str, float]) -> float:
        return -sum(
            worth * (params[name] - 0.75) ** 2 for name, worth in zip(names, (0.5, 0.35, 0.25), strict=False)
        )

    rng = np.random.default_rng(0)
    study = optuna.create_study(
        direction="maximize", sampler=WeightedParentSampler(seed=0, defaults=defaults)
    )
    study.enqueue_trial(defaults)
    for number in range(60):
        trial = study.ask(space)
        value = truth(trial.params) + 0.005 * float(rng.standard_normal())
        study.tell(trial, crash if crash is not None and number % 9 == 4 else value)
    best = study.best_params
    found = minimal(study, best, defaults, 0.005)
    assert {"x0", "x1", "x2"} <= found.kept.keys()
    assert len(found.kept) < 8
    assert truth(best) - truth(dict(found.params)) < 0.005


def test_a_parameter_without_a_default_stays_and_the_default_itself_is_minimal() -> None:
    study = study_of(40)
    assert minimal(study, START, {"idle": 0.2}, 9.0).params == {**START, "idle": 0.2}
    found = minimal(study, DEFAULTS, DEFAULTS, 0.1)
    assert (found.params, found.returned, found.kept, found.cost) == (DEFAULTS, {}, {}, 0.0)


def test_a_flat_study_says_that_nothing_matters() -> None:
    study = optuna.create_study(direction="maximize")
    for n in range(20):
        params = {"x": n / 20}
        study.add_trial(create_trial(params=params, distributions={"x": SPACE["idle"]}, value=0.5))
    found = minimal(study, {"x": 0.9}, {"x": 0.1}, 0.0)
    assert (found.params, found.cost) == ({"x": 0.1}, 0.0)


def test_few_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 12"):
        minimal(study_of(11), START, DEFAULTS, 0.1)


@pytest.mark.parametrize("allowance", [-0.1, float("nan")])
def test_a_wrong_allowance_is_refused(allowance: float) -> None:
    with pytest.raises(ValueError, match="`allowance` must be"):
        minimal(study_of(12), START, DEFAULTS, allowance)


def test_a_start_that_is_not_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="no value for 'too'"):
        minimal(study_of(40), {"matters": 0.5}, DEFAULTS, 0.1)
