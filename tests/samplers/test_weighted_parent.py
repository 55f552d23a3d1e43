from __future__ import annotations

import math
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)
from optuna.trial import TrialState, create_trial

from samplers import WeightedParentSampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

SETTINGS: dict[str, dict[str, Any]] = {
    "adaptive": {"mode": "adaptive"},
    "classic": {"mode": "classic"},
    "classic-weighted": {"mode": "classic", "parent": "weighted", "decimals": None},
}
XY: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 10.0), "y": FloatDistribution(0.0, 10.0)}
DEFAULTS = {"x": 1.0, "y": 2.0}


@pytest.fixture(params=SETTINGS.values(), ids=SETTINGS.keys())
def kwargs(request: pytest.FixtureRequest) -> dict[str, Any]:
    settings: dict[str, Any] = request.param
    return settings


class TestOptunaConformance(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self, kwargs: dict[str, Any]) -> Callable[[], BaseSampler]:
        return lambda: WeightedParentSampler(seed=0, **kwargs)


def study_of(sampler: BaseSampler, *trials: FrozenTrial, direction: str = "maximize") -> optuna.Study:
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.add_trials(trials)
    return study


def finished(value: float | None, state: TrialState = TrialState.COMPLETE, **params: float) -> FrozenTrial:
    distributions = {name: XY[name] for name in params}
    return create_trial(state=state, value=value, params=params, distributions=distributions)


def ask(study: optuna.Study, space: dict[str, BaseDistribution] | None = None) -> optuna.Trial:
    return study.ask(XY if space is None else space)


def running(study: optuna.Study) -> FrozenTrial:
    """Return a trial that has started and asked for nothing yet."""
    number = study.ask().number
    return study.get_trials(deepcopy=False)[number]


def parents_of(study: optuna.Study, number: int) -> list[int]:
    attrs = study.get_trials(deepcopy=False)[number].system_attrs
    parents: list[int] = attrs["WeightedParentSampler:lineage"]["parents"]
    return parents


# Start


def test_first_trial_is_the_default_individual(kwargs: dict[str, Any]) -> None:
    study = study_of(WeightedParentSampler(seed=0, defaults=DEFAULTS, **kwargs))
    assert ask(study).params == DEFAULTS


def test_parallel_trials_mutate_the_defaults_while_nothing_has_finished(kwargs: dict[str, Any]) -> None:
    study = study_of(WeightedParentSampler(seed=0, defaults=DEFAULTS, **kwargs))
    individuals = [tuple(ask(study).params.values()) for _ in range(8)]
    assert individuals[0] == (1.0, 2.0)
    assert len(set(individuals)) == 8
    # The largest steps: factor 3 in mode classic, 3.5 standard deviations of 17 % of the range in mode adaptive.
    assert all(abs(x - 1) <= 6 and abs(y - 2) <= 6 for x, y in individuals)


def test_a_failed_default_is_not_repeated(kwargs: dict[str, Any]) -> None:
    study = study_of(WeightedParentSampler(seed=0, defaults=DEFAULTS, **kwargs))
    study.tell(ask(study), state=TrialState.FAIL)
    assert ask(study).params != DEFAULTS


def test_the_mode_is_adaptive_unless_given() -> None:
    def searched(**mode: Any) -> list[dict[str, Any]]:
        study = study_of(WeightedParentSampler(seed=0, defaults=DEFAULTS, **mode))
        study.optimize(objective, n_trials=20)
        return [trial.params for trial in study.trials]

    assert searched() == searched(mode="adaptive") != searched(mode="classic")


def test_defaults_between_two_steps_are_moved_to_the_nearest(kwargs: dict[str, Any]) -> None:
    space = {"x": IntDistribution(1, 9, step=2), "y": FloatDistribution(0.0, 1.0, step=0.25)}
    study = study_of(WeightedParentSampler(seed=0, defaults={"x": 9, "y": 0.6}, **kwargs))
    assert ask(study, space).params == {"x": 9, "y": 0.5}


MISTAKEN: list[tuple[BaseDistribution, Any, str]] = [
    (FloatDistribution(0.0, 1.0), 1.1, "a number from 0 to 1, got 1.1"),
    (FloatDistribution(1e-5, 1e-1, log=True), 0.0, "a number from 1e-05 to 0.1, got 0.0"),
    (FloatDistribution(0.0, 1.0), math.nan, "got nan"),
    (FloatDistribution(0.0, 1.0), "0.5", "got '0.5'"),
    (IntDistribution(1, 9, step=2), 99, "a number from 1 to 9, got 99"),
    (CategoricalDistribution(("sgd", "adam")), "adan", r"one of \('sgd', 'adam'\), got 'adan'"),
]


@pytest.mark.parametrize(("distribution", "default", "message"), MISTAKEN)
@pytest.mark.parametrize("n_finished", [0, 1])
def test_a_default_outside_its_range_is_refused(
    kwargs: dict[str, Any], distribution: BaseDistribution, default: Any, message: str, n_finished: int
) -> None:
    before = study_of(optuna.samplers.RandomSampler(seed=0))
    for _ in range(n_finished):
        before.tell(ask(before, {"z": distribution}), 1.0)
    study = study_of(WeightedParentSampler(seed=0, defaults={"z": default}, **kwargs), *before.trials)
    with pytest.raises(
        ValueError, match="expected the default of 'z' to be " + ".*" * (message[0] == "g") + message
    ):
        ask(study, {"z": distribution})


def test_a_default_outside_a_single_value_is_refused_after_the_trial(kwargs: dict[str, Any]) -> None:
    space: dict[str, BaseDistribution] = {**XY, "z": FloatDistribution(2.0, 2.0)}
    study = study_of(WeightedParentSampler(seed=0, defaults={"z": 5.0}, **kwargs))
    trial = ask(study, space)
    with pytest.raises(ValueError, match=r"'z' to be a number from 2 to 2, got 5\.0"):
        study.tell(trial, 1.0)


def test_a_default_for_an_unknown_name_is_refused_and_the_result_kept(kwargs: dict[str, Any]) -> None:
    study = study_of(WeightedParentSampler(seed=0, defaults={"x": 1.0, "yy": 2.0, "?": 0}, **kwargs))
    trial = ask(study)
    with pytest.raises(ValueError, match=r"got '\?', 'yy' \(did you mean 'y'\?\); correct the name"):
        study.tell(trial, 1.0)
    assert study.trials[0].state == TrialState.COMPLETE


def test_a_name_that_a_failed_trial_lacks_is_not_unknown(kwargs: dict[str, Any]) -> None:
    study = study_of(WeightedParentSampler(seed=0, defaults=DEFAULTS, **kwargs))
    study.tell(study.ask({"x": XY["x"]}), state=TrialState.FAIL)
    study.tell(ask(study), 1.0)
    assert study.trials[1].params.keys() == DEFAULTS.keys()


def test_a_default_of_another_branch_is_only_warned_of(kwargs: dict[str, Any]) -> None:
    defaults = {"optimizer": "sgd", "sgd": 0.2, "adam": 0.7}
    study = study_of(WeightedParentSampler(seed=0, defaults=defaults, **kwargs))
    trial = study.ask()
    trial.suggest_float(trial.suggest_categorical("optimizer", ["sgd", "adam"]), 0, 1)
    with pytest.warns(UserWarning, match=r"got 'adam'.* a branch not yet taken"):
        study.tell(trial, 1.0)
    assert trial.params == {"optimizer": "sgd", "sgd": 0.2}


def test_a_parameter_without_default_is_drawn_at_random(kwargs: dict[str, Any]) -> None:
    def first(seed: int) -> dict[str, float]:
        return ask(study_of(WeightedParentSampler(seed=seed, defaults={"x": 1.0}, **kwargs))).params

    assert {first(seed)["x"] for seed in range(5)} == {1.0}
    assert len({first(seed)["y"] for seed in range(5)}) == 5


# Parents


@pytest.mark.parametrize(("direction", "best"), [("maximize", 1), ("minimize", 0)])
def test_the_best_trial_is_the_parent(direction: str, best: int) -> None:
    sampler = WeightedParentSampler(mode="classic", seed=0, n_parents=1)
    study = study_of(sampler, finished(1.0, x=1.0, y=1.0), finished(2.0, x=2.0, y=2.0), direction=direction)
    offspring = ask(study)
    assert parents_of(study, offspring.number) == [best]


@pytest.mark.parametrize("origin", ["enqueued", "added", "random sampler"])
def test_trials_of_any_origin_become_parents(kwargs: dict[str, Any], origin: str) -> None:
    study = study_of(optuna.samplers.RandomSampler(seed=0))
    if origin == "added":
        study.add_trial(finished(1.0, x=3.0, y=4.0))
    else:
        if origin == "enqueued":
            study.enqueue_trial({"x": 3.0, "y": 4.0})
        study.tell(ask(study), 1.0)
    study.sampler = WeightedParentSampler(seed=0, **kwargs)
    offspring = ask(study)
    assert parents_of(study, offspring.number) == [0]
    parent = study.trials[0].params
    assert all(0.3 * parent[name] <= offspring.params[name] <= 3 * parent[name] for name in "xy")


def test_failed_trials_are_never_parents(kwargs: dict[str, Any]) -> None:
    study = study_of(
        WeightedParentSampler(seed=0, **kwargs),
        finished(None, TrialState.FAIL, x=9.0, y=9.0),
        finished(1.0, x=1.0, y=1.0),
    )
    for _ in range(20):
        assert parents_of(study, ask(study).number) == [1]


@pytest.mark.parametrize(("consider", "parent"), [(False, 0), (True, 1)])
def test_pruned_trials_are_parents_on_request_only(consider: bool, parent: int) -> None:
    sampler = WeightedParentSampler(mode="classic", seed=0, n_parents=1, consider_pruned_trials=consider)
    study = study_of(sampler, finished(1.0, x=1.0, y=1.0))
    pruned = ask(study)
    pruned.report(5.0, step=0)
    study.tell(pruned, state=TrialState.PRUNED)
    assert parents_of(study, ask(study).number) == [parent]


def test_pruned_trials_without_report_are_no_parents() -> None:
    sampler = WeightedParentSampler(mode="classic", seed=0, consider_pruned_trials=True)
    study = study_of(sampler, finished(1.0, x=1.0, y=1.0))
    study.tell(ask(study), state=TrialState.PRUNED)
    for _ in range(10):
        assert parents_of(study, ask(study).number) == [0]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_infinite_and_nan_values_are_survived(kwargs: dict[str, Any], value: float, direction: str) -> None:
    study = study_of(WeightedParentSampler(seed=0, **kwargs), direction=direction)
    for outcome in (value, 1.0, value, 2.0, value, value):
        trial = ask(study)
        study.tell(trial, outcome) if not math.isnan(outcome) else study.tell(trial, state=TrialState.FAIL)
    for _ in range(5):
        assert all(math.isfinite(v) for v in ask(study).params.values())


def test_feasible_trials_come_first() -> None:
    study = study_of(WeightedParentSampler(mode="classic", seed=0, defaults=DEFAULTS))
    for value, violation in ((9.0, 1.0), (1.0, -1.0), (8.0, 2.0), (2.0, 0.0)):
        trial = ask(study)
        trial.set_constraint("memory", violation)
        study.tell(trial, value)
    assert {parents_of(study, ask(study).number)[0] for _ in range(40)} <= {1, 3}


def test_the_least_violation_leads_while_nothing_is_feasible() -> None:
    study = study_of(WeightedParentSampler(mode="classic", seed=0, n_parents=1, defaults=DEFAULTS))
    for value, violation in ((9.0, 2.0), (1.0, 0.5), (8.0, 3.0)):
        trial = ask(study)
        trial.set_constraint("memory", violation)
        study.tell(trial, value)
    assert parents_of(study, ask(study).number) == [1]


# Offspring


def mixed_space(draw: Callable[[Any], Any]) -> dict[str, BaseDistribution]:
    low = draw(st.floats(-100, 100))
    width = draw(st.floats(0.1, 50))
    start = draw(st.integers(-20, 20))
    return {
        "float": FloatDistribution(low, low + width),
        "log": FloatDistribution(10 ** draw(st.floats(-9, -1)), 10.0, log=True),
        "step": FloatDistribution(start, start + 12, step=draw(st.sampled_from([0.1, 0.125, 0.3]))),
        "int": IntDistribution(start, start + 12, step=draw(st.integers(1, 4))),
        "int_log": IntDistribution(1, draw(st.integers(2, 5000)), log=True),
        "choice": CategoricalDistribution(("a", "b", 3.0)),
        "single": FloatDistribution(2.0, 2.0),
    }


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_every_relative_value_is_inside_its_distribution(data: st.DataObject) -> None:
    space = mixed_space(data.draw)
    for kwargs in SETTINGS.values():
        sampler = WeightedParentSampler(seed=data.draw(st.integers(0, 2**64)), **kwargs)
        study = study_of(sampler)
        for _ in range(6):
            trial = ask(study, space)
            study.tell(trial, data.draw(st.floats(-10, 10)))
        asking = running(study)
        relative = sampler.infer_relative_search_space(study, asking)
        offspring = sampler.sample_relative(study, asking, relative)
        assert offspring.keys() == relative.keys() == {name for name, d in space.items() if not d.single()}
        for name, value in offspring.items():
            assert space[name]._contains(space[name].to_internal_repr(value)), (name, value)


def test_offspring_are_rounded_to_five_decimals() -> None:
    study = study_of(WeightedParentSampler(mode="classic", seed=0), finished(1.0, x=1.23456, y=2.34567))
    assert all(value == round(value, 5) for value in ask(study).params.values())


def test_frozen_parameters_keep_their_parents_value(kwargs: dict[str, Any]) -> None:
    sampler = WeightedParentSampler(seed=0, gains={"x": 0}, **kwargs)
    study = study_of(sampler, finished(1.0, x=3.12345, y=4.0))
    offspring = [ask(study).params for _ in range(10)]
    assert {one["x"] for one in offspring} == {3.12345}
    assert len({one["y"] for one in offspring}) == 10


def test_running_and_finished_individuals_are_not_repeated(kwargs: dict[str, Any]) -> None:
    space: dict[str, BaseDistribution] = {"x": IntDistribution(1, 50), "y": IntDistribution(1, 40)}
    study = study_of(WeightedParentSampler(seed=0, defaults={"x": 20, "y": 10}, **kwargs))
    study.tell(ask(study, space), 1.0)
    individuals = []
    for number in range(8):
        trial = ask(study, space)  # half of them stay running
        individuals.append(tuple(trial.params.values()))
        if number % 2:
            study.tell(trial, state=TrialState.FAIL if number % 3 else TrialState.PRUNED)
    assert len({(20, 10), *individuals}) == 9


def test_an_exhausted_space_still_gives_offspring(kwargs: dict[str, Any]) -> None:
    space: dict[str, BaseDistribution] = {"x": CategoricalDistribution((False, True))}
    study = study_of(WeightedParentSampler(seed=0, **kwargs))
    for _ in range(6):
        study.tell(ask(study, space), 1.0)
    assert {trial.params["x"] for trial in study.trials} == {False, True}


def test_every_choice_of_a_categorical_parameter_is_reached(kwargs: dict[str, Any]) -> None:
    space: dict[str, BaseDistribution] = {**XY, "c": CategoricalDistribution("abcd")}
    study = study_of(WeightedParentSampler(seed=0, **kwargs))
    for _ in range(60):
        study.tell(ask(study, space), 1.0)
    assert {trial.params["c"] for trial in study.trials} == set("abcd")


# Changing spaces


def test_a_parameter_new_to_the_study_starts_at_its_default_and_then_joins(kwargs: dict[str, Any]) -> None:
    sampler = WeightedParentSampler(seed=0, defaults={**DEFAULTS, "z": 0.5}, **kwargs)
    study = study_of(sampler, finished(1.0, x=3.0, y=4.0))
    space = {**XY, "z": FloatDistribution(0.0, 1.0)}
    trial = ask(study, space)
    assert trial.params["z"] == 0.5
    study.tell(trial, 2.0)
    assert {ask(study, space).params["z"] for _ in range(5)} != {0.5}  # dormant in some, not in all


def test_a_parameter_that_only_some_parents_have_is_inherited_from_them() -> None:
    sampler = WeightedParentSampler(mode="classic", seed=0)
    study = study_of(sampler, finished(1.0, x=3.0, y=4.0), finished(2.0, x=3.0))
    values = [ask(study).params["y"] for _ in range(20)]
    assert all(0.3 * 4.0 <= value <= 10.0 for value in values)
    assert min(abs(value - 4.0) for value in values) < 0.2


def test_a_changed_range_is_respected(kwargs: dict[str, Any]) -> None:
    study = study_of(WeightedParentSampler(seed=0, **kwargs), finished(1.0, x=3.0, y=4.0))
    moved: dict[str, BaseDistribution] = {**XY, "x": FloatDistribution(20.0, 30.0)}
    for _ in range(3):
        trial = ask(study, moved)
        assert 20.0 <= trial.params["x"] <= 30.0
        study.tell(trial, 0.5)
    relative = study.sampler.infer_relative_search_space(study, study.get_trials()[-1])
    assert relative == moved


def test_conditional_parameters_are_mutated_from_the_trials_that_have_them() -> None:
    optimizer = CategoricalDistribution(("sgd", "adam"))
    rate = FloatDistribution(0.0, 1.0)
    study = study_of(WeightedParentSampler(mode="classic", seed=0, sigma=0.01))
    for name, value in (("sgd", 0.2), ("adam", 0.7)):
        params, distributions = {"optimizer": name, name: value}, {"optimizer": optimizer, name: rate}
        study.add_trial(create_trial(params=params, distributions=distributions, value=1.0))
    for _ in range(10):
        trial = ask(study, {"optimizer": optimizer})
        # Mutations of 1 % stay within 0.03 of the one parent with this parameter.
        assert trial.suggest_float("sgd", 0, 1) == pytest.approx(0.2, abs=0.03)
        assert trial.suggest_float("adam", 0, 1) == pytest.approx(0.7, abs=0.03)


def test_partial_fixed_sampler_keeps_its_value(kwargs: dict[str, Any]) -> None:
    study = study_of(WeightedParentSampler(seed=0, **kwargs), finished(1.0, x=3.0, y=4.0))
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.sampler = optuna.samplers.PartialFixedSampler({"y": 7.0}, study.sampler)
    for _ in range(3):
        trial = ask(study)
        assert trial.params["y"] == 7.0
        assert trial.params["x"] != 3.0
        study.tell(trial, 0.5)


# Reproduction


def objective(trial: optuna.Trial) -> float:
    return trial.suggest_float("x", 0, 10) - (trial.suggest_float("y", 0, 10) - 3.0) ** 2


CONTINUE = """
import optuna
from samplers import WeightedParentSampler
storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend({path!r}))
sampler = WeightedParentSampler(seed=5, defaults={{"x": 1.0, "y": 2.0}}, **{kwargs!r})
study = optuna.create_study(storage=storage, study_name="s", direction="maximize", sampler=sampler,
                            load_if_exists=True)
study.optimize(lambda t: t.suggest_float("x", 0, 10) - (t.suggest_float("y", 0, 10) - 3.0) ** 2,
               n_trials={n})
"""


def test_twenty_trials_equal_twelve_and_then_eight_in_new_processes(
    kwargs: dict[str, Any], tmp_path: Any
) -> None:
    path = str(tmp_path / "study.journal")
    for n in (12, 8):
        code = CONTINUE.format(path=path, kwargs=kwargs, n=n)
        subprocess.run([sys.executable, "-c", code], check=True)
    backend = optuna.storages.journal.JournalFileBackend(path)
    storage = optuna.storages.JournalStorage(backend)
    resumed = optuna.load_study(study_name="s", storage=storage)
    straight = study_of(WeightedParentSampler(seed=5, defaults=DEFAULTS, **kwargs))
    straight.optimize(objective, n_trials=20)
    assert [t.params for t in resumed.trials] == [t.params for t in straight.trials]


def test_two_workers_with_one_seed_propose_different_offspring(kwargs: dict[str, Any]) -> None:
    storage = optuna.storages.InMemoryStorage()
    workers = [
        optuna.create_study(
            storage=storage,
            study_name="s",
            load_if_exists=True,
            sampler=WeightedParentSampler(seed=0, **kwargs),
        )
        for _ in range(2)
    ]
    individuals = [tuple(ask(worker).params.values()) for _ in range(5) for worker in workers]
    assert len(set(individuals)) == 10


def test_different_seeds_differ(kwargs: dict[str, Any]) -> None:
    start = finished(1.0, x=3.0, y=4.0)
    first, second = (ask(study_of(WeightedParentSampler(seed=s, **kwargs), start)).params for s in (0, 1))
    assert first != second


def test_threads_share_a_sampler(kwargs: dict[str, Any]) -> None:
    study = study_of(WeightedParentSampler(seed=0, defaults=DEFAULTS, **kwargs))
    study.optimize(objective, n_trials=40, n_jobs=4)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 40


def test_a_pickled_sampler_continues_as_the_original(kwargs: dict[str, Any]) -> None:
    sampler = WeightedParentSampler(seed=None, defaults=DEFAULTS, **kwargs)
    study = study_of(sampler)
    study.optimize(objective, n_trials=5)
    copy = pickle.loads(pickle.dumps(sampler))
    trial = running(study)
    assert copy.sample_relative(study, trial, XY) == sampler.sample_relative(study, trial, XY)


def test_one_sampler_serves_several_studies(kwargs: dict[str, Any]) -> None:
    sampler = WeightedParentSampler(seed=0, **kwargs)
    first = study_of(sampler, finished(1.0, x=3.0, y=4.0))
    second = study_of(sampler, finished(1.0, x=3.0, y=4.0))
    ask(first)
    second.add_trial(finished(5.0, x=8.0, y=8.0))
    third = study_of(WeightedParentSampler(seed=0, **kwargs), *second.get_trials())
    assert ask(second).params == ask(third).params


def test_order_of_finishing_does_not_matter(kwargs: dict[str, Any]) -> None:
    def offspring(order: tuple[int, ...]) -> dict[str, float]:
        study = study_of(WeightedParentSampler(seed=0, defaults=DEFAULTS, **kwargs))
        trials = [ask(study) for _ in order]
        for i in order:
            study.tell(trials[i], float(i))
            study.sampler.infer_relative_search_space(study, study.get_trials()[-1])
        return ask(study).params

    assert offspring((0, 1, 2, 3)) == offspring((3, 1, 0, 2))


# Lineage


def test_a_trial_records_its_parents_and_factors() -> None:
    sampler = WeightedParentSampler(mode="classic", seed=0, gains={"x": 0}, decimals=None)
    study = study_of(sampler, finished(1.0, x=3.0, y=4.0))
    trial = ask(study)
    frozen = study.get_trials(deepcopy=False)[trial.number]
    lineage = frozen.system_attrs["WeightedParentSampler:lineage"]
    assert lineage["parents"] == [0]
    assert list(lineage["factors"]) == ["y"]
    assert frozen.params["y"] == pytest.approx(4.0 * lineage["factors"]["y"])
    assert frozen.user_attrs["lineage"] == f"0: y ×{lineage['factors']['y']:.4g}"


def test_a_weighted_parent_records_all_its_trials() -> None:
    sampler = WeightedParentSampler(mode="classic", parent="weighted", seed=0)
    study = study_of(sampler, finished(1.0, x=3.0, y=4.0), finished(2.0, x=3.0, y=5.0))
    assert parents_of(study, ask(study).number) == [1, 0]


def test_the_running_trial_shows_its_lineage(kwargs: dict[str, Any]) -> None:
    study = study_of(WeightedParentSampler(seed=0, **kwargs), finished(1.0, x=3.0, y=4.0))
    assert ask(study).user_attrs["lineage"].startswith("0: ")


def test_mutants_of_the_defaults_say_so(kwargs: dict[str, Any]) -> None:
    study = study_of(WeightedParentSampler(seed=0, defaults=DEFAULTS, **kwargs))
    ask(study)
    second = ask(study)
    assert second.user_attrs["lineage"].startswith("defaults: ")


# Arguments


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("mode", "modern"),
        ("seed", -1),
        ("gains", {"x": -1.0}),
        ("gains", {"x": math.nan}),
        ("parent", "double"),
        ("n_parents", 0),
        ("mutation_prob", 0.0),
        ("mutation_prob", 1.1),
        ("sigma", 0.0),
        ("sigma", math.inf),
        ("clip", (1.1, 3.0)),
        ("clip", (1.0, 1.0)),
        ("decimals", -1),
    ],
)
def test_an_argument_out_of_its_range_is_refused_by_name(argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"`{argument}` must be"):
        WeightedParentSampler(**({"mode": "classic"} | {argument: value}))


@pytest.mark.parametrize("n_feasible", [1, 5])
def test_no_infeasible_trial_is_a_parent_while_there_is_a_feasible_one(
    kwargs: dict[str, Any], n_feasible: int
) -> None:
    study = study_of(WeightedParentSampler(seed=0, **kwargs))
    for number in range(20 + n_feasible):  # the feasible ones come last, and have the worse values
        trial = study.ask(XY)
        trial.set_constraint("c", 1.0 if number < 20 else -1.0)
        study.tell(trial, -float(number))
    for _ in range(5):
        assert set(parents_of(study, ask(study).number)) <= set(range(20, 20 + n_feasible))


def test_parents_outside_a_narrowed_range_are_moved_into_it_before_they_mutate() -> None:
    study = study_of(WeightedParentSampler(mode="classic", seed=0), finished(1.0, x=8.0))
    narrow = {"x": FloatDistribution(0.0, 3.0)}
    study.tell(ask(study, narrow), 0.0)
    assert len({ask(study, narrow).params["x"] for _ in range(10)}) > 1


def test_a_grid_is_searched_to_its_end_without_repeats() -> None:
    space: dict[str, BaseDistribution] = {
        "i": IntDistribution(1, 6),
        "c": CategoricalDistribution(("a", "b", "c")),
    }
    study = study_of(WeightedParentSampler(mode="adaptive", seed=0, defaults={"i": 3, "c": "a"}))
    for _ in range(18):
        trial = ask(study, space)
        study.tell(trial, -abs(trial.params["i"] - 2))
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 18


def test_choices_need_not_be_hashable(kwargs: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="Choices for a categorical"):
        layers = CategoricalDistribution(([64], [64, 32]))  # type: ignore[arg-type]
    study = study_of(WeightedParentSampler(seed=0, **kwargs))
    for _ in range(5):
        study.tell(ask(study, {**XY, "layers": layers}), 1.0)
    assert len(study.trials) == 5


def test_a_finished_trial_without_parameters_is_no_parent(kwargs: dict[str, Any]) -> None:
    study = study_of(
        WeightedParentSampler(seed=0, **kwargs), create_trial(value=9.0), finished(1.0, x=5.0, y=5.0)
    )
    assert parents_of(study, ask(study).number) == [1]


def test_a_default_trial_that_died_before_its_first_parameter_is_measured_again(
    kwargs: dict[str, Any],
) -> None:
    study = study_of(WeightedParentSampler(seed=0, defaults=DEFAULTS, **kwargs))
    study.tell(study.ask(), state=TrialState.FAIL)
    assert ask(study).params == DEFAULTS


def test_an_enqueued_value_is_not_recorded_as_a_mutation(kwargs: dict[str, Any]) -> None:
    study = study_of(WeightedParentSampler(seed=0, **kwargs), finished(1.0, x=5.0, y=5.0))
    study.enqueue_trial({"x": 1.0})
    study.enqueue_trial({"x": 1.0, "y": 1.0})
    numbers = ask(study).number, ask(study).number
    some, none = (study.trials[number].system_attrs for number in numbers)
    lineage = some["WeightedParentSampler:lineage"]
    assert "x" not in {**lineage.get("factors", {}), **lineage.get("steps", {})}
    assert "WeightedParentSampler:lineage" not in none


def test_huge_values_are_survived(kwargs: dict[str, Any]) -> None:
    study = study_of(WeightedParentSampler(seed=0, **kwargs))
    for sign in (1, -1) * 10:
        trial = ask(study)
        study.tell(trial, sign * 1.7e308)
    assert len({trial.params["x"] for trial in study.trials}) > 10


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_choice_beside_a_range_that_ends_at_minus_one_mutates_without_a_warning(
    kwargs: dict[str, Any],
) -> None:
    space: dict[str, BaseDistribution] = {
        "x": FloatDistribution(-5.0, -1.0),
        "c": CategoricalDistribution(("a", "b")),
    }
    study = study_of(WeightedParentSampler(seed=0, **kwargs))
    for _ in range(5):
        study.tell(ask(study, space), 1.0)
    assert all(-5.0 <= trial.params["x"] <= -1.0 for trial in study.trials)
