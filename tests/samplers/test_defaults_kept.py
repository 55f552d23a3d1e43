"""In adaptive mode a gene that is at its default has exactly the default, whatever its digits."""

from __future__ import annotations

import numpy as np
import optuna
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from samplers import WeightedParentSampler, minimal
from samplers._cube import Cube
from samplers._genes import Genes
from samplers._mutation import _DORMANT

SPACE: dict[str, BaseDistribution] = {
    "linear": FloatDistribution(-2.0, 5.0),
    "log": FloatDistribution(1e-5, 1e-1, log=True),
    "wide": FloatDistribution(1e-3, 10.0),  # scaled logarithmically without being asked
    "stepped": FloatDistribution(0.0, 1.0, step=0.1),
    "integer": IntDistribution(1, 200, log=True),
    "word": CategoricalDistribution(["a", "b", "c"]),
}
FLOATS = ("linear", "log", "wide")
many_digits = st.fixed_dictionaries(
    {
        **{name: st.floats(SPACE[name].low, SPACE[name].high) for name in FLOATS},
        "stepped": st.sampled_from([round(0.1 * i, 10) for i in range(11)]),
        "integer": st.integers(1, 200),
        "word": st.sampled_from(["a", "b", "c"]),
    }
)


def _searched(
    defaults: dict[str, float | str], trials: int, seed: int, space: dict[str, BaseDistribution]
) -> optuna.Study:
    """A study whose values depend on nothing that was proposed."""
    sampler = WeightedParentSampler(mode="adaptive", seed=seed, defaults=defaults)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        study.tell(study.ask(space), float(rng.normal()))
    return study


@settings(max_examples=15, deadline=None)
@given(defaults=many_digits, seed=st.integers(0, 1000))
def test_a_gene_is_exactly_its_default_or_away_from_it(defaults, seed):
    """Until the model speaks, and by it: mutants and neighbours alike."""
    trials = _searched(defaults, 24, seed, SPACE).get_trials(deepcopy=False)
    genes = Genes.of({name: SPACE[name] for name in trials[0].params})
    cube = Cube.of(genes)
    there = cube.scale(genes.encode(defaults)[np.newaxis])
    vectors = np.array([genes.encode(trial.params) for trial in trials])
    near = np.abs(cube.scale(vectors) - there) < _DORMANT
    assert near[1:].any()
    assert not near.all()
    exact = np.array(
        [[trial.params[name] == defaults[name] for name in genes.distributions] for trial in trials]
    )
    assert (near == exact).all()


def test_no_gene_that_stayed_at_its_default_is_said_to_differ():
    defaults = {"linear": 0.123456789012, "log": 0.0123456789012, "wide": 1.23456789012}
    study = _searched(defaults, 40, 0, {name: SPACE[name] for name in FLOATS})
    ended = study.get_trials(deepcopy=False)
    start = max(ended, key=lambda trial: sum(trial.params[name] == defaults[name] for name in FLOATS))
    for trial in ended:
        told = minimal(study, trial.params, defaults, 0.0)
        moved = {name for name in FLOATS if abs(trial.params[name] / defaults[name] - 1) > 1e-4}
        assert {*told.kept, *told.returned} == moved
    assert start.number == 0


def test_values_beside_the_default_of_a_fine_grid_may_be_proposed():
    sampler = WeightedParentSampler(mode="adaptive", seed=0, defaults={"n": 500_000}, gains={"n": 1e-8})
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(12):
        study.tell(study.ask({"n": IntDistribution(0, 1_000_000)}), 0.0)
    away = [abs(trial.params["n"] - 500_000) for trial in study.get_trials(deepcopy=False)]
    assert away[0] == 0
    assert 0 < max(away) < _DORMANT * 1_000_000


def test_classic_mode_rounds_to_five_decimals_as_yolov5_does():
    sampler = WeightedParentSampler(mode="classic", seed=0, defaults={"lr0": 0.0123456789})
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(20):
        study.tell(study.ask({"lr0": FloatDistribution(1e-5, 1e-1)}), 0.0)
    values = [trial.params["lr0"] for trial in study.get_trials(deepcopy=False)]
    assert values[1:] == [round(value, 5) for value in values[1:]]
