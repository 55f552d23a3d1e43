from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from samplers import WeightedParentSampler
from samplers._adaptive import _N_MUTANTS, AdaptiveStrategy, offspring_of, posterior, rank_weights
from samplers._cube import Cube
from samplers._evidence import Evidence
from samplers._genes import Genes
from samplers._history import History
from samplers._mutation import _N_NEIGHBOURS
from samplers._proposal import LINEAGE
from samplers._surrogate import Hyperparameters

SQUARE: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}


def trial(
    value: float | None, state: TrialState = TrialState.COMPLETE, **params: float
) -> optuna.trial.FrozenTrial:
    return create_trial(state=state, value=value, params=params, distributions={n: SQUARE[n] for n in params})


def evidence_of(study: optuna.Study, asking: int = -1) -> Evidence:
    history = History(study, include_pruned=False)
    history.update(study.get_trials(deepcopy=False))
    return Evidence.of(history, Cube.of(Genes.of(SQUARE)), asking)


def adaptive_study(
    space: dict[str, BaseDistribution], defaults: dict[str, float], seed: int = 0
) -> optuna.Study:
    return optuna.create_study(
        direction="maximize", sampler=WeightedParentSampler(mode="adaptive", seed=seed, defaults=defaults)
    )


def test_rank_weights_fall_and_sum_to_one() -> None:
    weights = rank_weights(5)
    assert weights.sum() == pytest.approx(1.0)
    assert np.all(np.diff(weights) < 0)
    assert rank_weights(1).tolist() == [1.0]


def test_evidence_holds_finished_trials_by_age_and_the_others_apart() -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            trial(2.0, x=0.2, y=0.2),
            trial(None, TrialState.FAIL, x=0.9, y=0.9),
            trial(3.0, x=0.1, y=0.3),
            trial(None, TrialState.PRUNED, x=0.8, y=0.7),
            trial(9.0, x=0.5),
        ]
    )
    running = study.ask(SQUARE)
    asking = study.ask(SQUARE)
    evidence = evidence_of(study, asking.number)
    assert evidence.numbers == (0, 2)
    assert evidence.fitness.tolist() == [2.0, 3.0]
    assert evidence.failed.tolist() == [[0.9, 0.9]]
    assert evidence.pruned.tolist() == [[0.8, 0.7]]
    assert evidence.running.tolist() == [[running.params["x"], running.params["y"]]]


def test_failed_trials_count_as_the_worst_and_pruned_ones_as_the_median() -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trials([trial(float(value), x=value / 10, y=0.0) for value in range(5)])
    study.add_trial(trial(None, TrialState.FAIL, x=0.9, y=0.9))
    study.add_trial(trial(None, TrialState.PRUNED, x=0.8, y=0.7))
    _, y = evidence_of(study).measurements()
    assert y[5] == y[:5].min()
    assert y[6] == pytest.approx(0.0)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_pruned_trial_counts_as_finished_ones_that_were_like_it_at_that_step(direction: str) -> None:
    sign = 1 if direction == "maximize" else -1

    def reported(early: dict[int, float], value: float | None, x: float) -> optuna.trial.FrozenTrial:
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        reports = {step: sign * one for step, one in early.items()}
        return create_trial(
            state=state,
            value=None if value is None else sign * value,
            params={"x": x, "y": 0.0},
            distributions=SQUARE,
            intermediate_values=reports,
        )

    study = optuna.create_study(direction=direction)
    study.add_trials([reported({1: n / 10, 2: n / 4}, float(n), n / 10) for n in range(6)])
    for early in ({1: 0.15}, {1: 0.1, 2: 1.0}, {1: 0.4, 3: 9.0}, {1: -9.0}, {1: math.nan}, {3: 0.1}, {}):
        study.add_trial(reported(early, None, 0.9))
    evidence = evidence_of(study)
    expected = [1.5, 4.0, 4.0, 0.0, -math.inf, math.nan, math.nan]
    assert evidence.expected == pytest.approx(expected, nan_ok=True)
    _, y = evidence.measurements()
    median = np.median(y[:6])
    assert y[6] == pytest.approx((y[1] + y[2]) / 2)
    assert y[7:9] == pytest.approx([median, median])  # stopped, so no place to be
    assert y[9] == y[10] == y[0]  # the second has diverged
    assert y[11:] == pytest.approx([median] * 2)


def test_pruned_trials_that_tie_with_finished_ones_share_their_ranks() -> None:
    study = optuna.create_study(direction="maximize")
    for n in range(5):
        study.add_trial(
            create_trial(
                value=n, params={"x": n / 10, "y": 0.0}, distributions=SQUARE, intermediate_values={0: 0.0}
            )
        )
    tied = create_trial(
        state=TrialState.PRUNED,
        params={"x": 0.9, "y": 0.0},
        distributions=SQUARE,
        intermediate_values={0: 0.0},
    )
    study.add_trial(tied)
    assert evidence_of(study).expected.tolist() == [2.0]


def test_infeasible_trials_are_no_better_than_the_worst_feasible_one() -> None:
    study = optuna.create_study(direction="maximize")
    for value, violation in ((1.0, 0.0), (9.0, 1.0), (2.0, 0.0)):
        asked = study.ask(SQUARE)
        asked.set_constraint("memory", violation)
        study.tell(asked, value)
    assert evidence_of(study).fitness.tolist() == [1.0, 1.0, 2.0]


def test_a_long_study_shows_its_newest_and_its_best_trials() -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trials([trial(-float(n), x=n / 1000, y=0.5) for n in range(500)])
    numbers = evidence_of(study).numbers
    assert numbers == (*range(50), *range(350, 500))


def test_mutants_stay_in_the_cube_and_leave_frozen_genes() -> None:
    cube = Cube.of(Genes.of(SQUARE))
    evidence = Evidence.lone(np.array([0.02, 0.123456789]), cube)
    offspring = list(
        islice(offspring_of(evidence, cube, np.array([1.0, 0.0]), None, np.random.default_rng(1)), _N_MUTANTS)
    )
    vectors = np.array([one.vector for one in offspring])
    assert np.all((vectors >= 0) & (vectors <= 1))
    assert set(vectors[:, 1]) == {0.123456789}
    assert len(set(vectors[:, 0])) > 20
    assert (vectors[:, 0] == 0).any()  # steps beyond a bound end at it: optima at bounds are reached exactly


def test_genes_return_to_their_defaults_in_some_mutants() -> None:
    cube = Cube.of(Genes.of(SQUARE))
    alone = Evidence.lone(np.array([0.9, 0.9]), cube)
    evidence = replace(alone, n_total=10**6, ancestor=np.array([0.1, np.nan]))  # so late that steps are tiny
    offspring = islice(offspring_of(evidence, cube, np.ones(2), None, np.random.default_rng(0)), _N_MUTANTS)
    vectors = np.array([one.vector for one in offspring])
    returned = np.abs(vectors[:, 0] - 0.1) < 0.01
    assert 0 < np.mean(returned) < 0.3
    assert np.all(np.abs(vectors[~returned, 0] - 0.9) < 0.01)
    assert np.all(np.abs(vectors[:, 1] - 0.9) < 0.01)  # no default, nowhere to return


def test_dormant_genes_stay_as_often_as_in_the_parents_and_few_wake_together() -> None:
    space = {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(20)}
    cube = Cube.of(Genes.of(space))
    rng = np.random.default_rng(0)
    parents = np.where(rng.random((30, 20)) < 0.5, 0.0, 0.5)
    parents[:, 0], parents[:, 1] = 0.0, 0.5
    one = Evidence.lone(parents[0], cube)
    evidence = replace(
        one,
        vectors=parents,
        points=parents,
        fitness=np.arange(30.0),
        eligible=np.arange(30),
        n_total=10**6,  # so late that steps are tiny
        ancestor=np.zeros(20),
    )
    offspring = islice(offspring_of(evidence, cube, np.ones(20), None, rng), _N_MUTANTS)
    points = np.array([one.vector for one in offspring])
    home, away = points < 0.01, np.abs(points - 0.5) < 0.01
    assert np.all(home | away)  # no mean of a dormant gene and a moved one
    assert home[:, 0].all()
    assert home[:, 1].mean() < 0.25  # backcrossing only
    assert 0.4 < home[:, 2:].mean() < 0.75


def test_few_dormant_genes_wake_together_also_before_anything_has_finished() -> None:
    genes = Genes.of({f"x{i}": FloatDistribution(1e-3, 1.0, log=True) for i in range(20)})
    strategy = AdaptiveStrategy(dict.fromkeys(genes.distributions, 0.1))
    offspring = strategy.mutants(np.full(20, 0.1), genes, np.ones(20), np.random.default_rng(0))
    vectors = np.array([one.vector for one in islice(offspring, _N_MUTANTS)])
    woken = (np.abs(vectors - 0.1) > 1e-9).sum(axis=1)
    assert np.quantile(woken, 0.1) <= 4  # one probability for all genes of an offspring, in [0, 0.8]
    assert np.quantile(woken, 0.9) >= 12


def test_neighbours_lie_around_the_best_farther_along_long_length_scales() -> None:
    space = {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(4)} | {
        "c": CategoricalDistribution([1, 2, 3])
    }
    cube = Cube.of(Genes.of(space))
    rng = np.random.default_rng(0)
    parents = np.column_stack([rng.random((12, 4)), rng.integers(0, 3, 12)])
    parents[:, 2] = 0.5
    fitness = -np.abs(parents[:, 0] - 0.5)
    evidence = replace(
        Evidence.lone(parents[0], cube),
        vectors=parents,
        points=parents,
        fitness=fitness,
        eligible=np.arange(12),
        numbers=tuple(range(12)),
        groups=np.full(12, -1),
        ancestor=np.array([np.nan, np.nan, 0.5, np.nan, np.nan]),
    )
    kernel = Hyperparameters.prior(cube.n_features)
    kernel.length_scales[:4] += np.log([1.0, 4.0, 1.0, 1.0])
    gains = np.array([1.0, 1.0, 1.0, 0.0, 1.0])
    offspring = islice(offspring_of(evidence, cube, gains, kernel, rng, near=True), _N_NEIGHBOURS)
    offspring = list(offspring)
    ((best,),) = {one.parents for one in offspring}
    process = posterior(evidence, cube, kernel)
    assert best == np.argmax(process.fitted)
    moved = np.abs(np.array([one.vector for one in offspring]) - parents[best])
    assert np.all(moved[:, 3] == 0)  # frozen
    assert 0 < moved[:, 0].max() < 0.2 < moved[:, 1].max() < 0.6
    woken = (moved[:, 2] > 0).mean()
    assert 0.2 < woken < 0.6 < (moved[:, 0] > 0).mean()  # dormant, and not
    assert 0 < (moved[:, 4] > 0).mean() < 0.3  # another choice now and then


def test_even_trials_choose_mutants_and_odd_ones_neighbours() -> None:
    study = optuna.create_study(direction="maximize", sampler=WeightedParentSampler(seed=0))
    study.optimize(
        lambda trial: -((trial.suggest_float("x", 0, 1) - trial.suggest_float("y", 0, 1)) ** 2), 40
    )
    parents = [len(trial.system_attrs[LINEAGE]["parents"]) for trial in study.trials[10:]]
    assert set(parents[1::2]) == {1}
    assert min(parents[0::2]) > 1


def test_a_default_off_the_grid_is_dormant_where_the_first_trial_has_it() -> None:
    genes = Genes.of({"n": IntDistribution(0, 9), "m": IntDistribution(0, 100, step=20)})
    strategy = AdaptiveStrategy({"n": 3.4, "m": 30})
    start = genes.snap(np.array([3.4, 30.0]))
    offspring = strategy.mutants(start, genes, np.full(2, 1e-12), np.random.default_rng(0))
    assert {tuple(one.vector) for one in islice(offspring, _N_MUTANTS)} == {tuple(start)}


def test_a_gene_alone_is_not_dormant() -> None:
    """In conditional spaces each gene is mutated alone: an offspring that leaves it would be a repeat."""
    study = optuna.create_study(
        sampler=WeightedParentSampler(mode="adaptive", seed=0, defaults={"c": "a", "xa": 0.2})
    )

    def objective(t: optuna.Trial) -> float:
        return t.suggest_float("xa", 0.0, 1.0) if t.suggest_categorical("c", ["a", "b"]) == "a" else 1.0

    study.optimize(objective, n_trials=40)
    values = [t.params["xa"] for t in study.trials if "xa" in t.params]
    assert len(set(values)) > 0.7 * len(values)


def test_a_gene_at_zero_can_leave_it() -> None:
    study = adaptive_study(SQUARE, {"x": 0.0, "y": 0.0})
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + 0 * t.suggest_float("y", 0, 1), n_trials=40)
    assert study.best_value > 0.8


def test_a_noisy_optimum_is_found_in_a_mixed_space() -> None:
    space: dict[str, BaseDistribution] = {
        **SQUARE,
        "n": IntDistribution(1, 9),
        "c": CategoricalDistribution("abc"),
        "lr": FloatDistribution(1e-5, 1e-1, log=True),
    }
    study = adaptive_study(space, {"x": 0.1, "y": 0.1, "n": 2, "c": "a", "lr": 1e-2})  # type: ignore[dict-item]
    rng = np.random.default_rng(0)

    def regret(params: dict[str, float]) -> float:
        far = (params["x"] - 0.7) ** 2 + ((params["n"] - 7) / 8) ** 2 + 0.3 * (params["c"] != "c")
        return far + (np.log10(params["lr"] / 1e-3) / 4) ** 2

    for _ in range(120):
        asked = study.ask(space)
        study.tell(asked, -regret(asked.params) + 0.05 * rng.standard_normal())
    at_defaults = regret(study.trials[0].params)
    assert np.mean([regret(t.params) for t in study.trials[-20:]]) < 0.25 * at_defaults


def test_crashing_regions_are_left_alone() -> None:
    study = adaptive_study(SQUARE, {"x": 0.4, "y": 0.5})
    crashes = []
    for _ in range(80):
        asked = study.ask(SQUARE)
        crashes.append(asked.params["x"] > 0.5)
        if crashes[-1]:
            study.tell(asked, state=TrialState.FAIL)
        else:
            study.tell(asked, asked.params["x"])
    # The optimum is the cliff's edge; where every second step of a blind search would fall, few do in the end.
    assert np.mean(crashes[-40:]) < 0.35
    assert study.best_value > 0.47


def test_every_fourth_trial_fits_the_model_and_records_it() -> None:
    study = adaptive_study(SQUARE, {"x": 0.5, "y": 0.5})
    study.optimize(lambda t: t.suggest_float("x", 0, 1) - t.suggest_float("y", 0, 1), n_trials=45)
    key = "WeightedParentSampler:lineage"
    fitted = [t.number for t in study.trials[1:] if "fitted" in t.system_attrs[key]]
    assert fitted == [6, *range(8, 45, 4)]  # the first one that may, and then by number


def test_of_trials_in_flight_every_fourth_fits_the_model() -> None:
    study = adaptive_study(SQUARE, {"x": 0.5, "y": 0.5})
    study.optimize(lambda t: t.suggest_float("x", 0, 1) - t.suggest_float("y", 0, 1), n_trials=20)
    key = "WeightedParentSampler:lineage"
    in_flight = [study.ask(SQUARE).number for _ in range(8)]
    assert [n for n in in_flight if "fitted" in study.trials[n].system_attrs[key]] == [20, 24]


def test_steps_of_the_lineage_lead_from_the_parents_mean_to_the_offspring() -> None:
    study = adaptive_study(SQUARE, {"x": 0.5, "y": 0.5})
    study.optimize(lambda t: t.suggest_float("x", 0, 1) - t.suggest_float("y", 0, 1), n_trials=2)
    lineage = study.trials[1].system_attrs["WeightedParentSampler:lineage"]
    assert lineage["parents"] == [0]
    for name, step in lineage["steps"].items():
        assert study.trials[1].params[name] == pytest.approx(0.5 + step, abs=1e-5)


def test_parallel_trials_are_spread_out() -> None:
    study = adaptive_study(SQUARE, {"x": 0.2, "y": 0.2})
    study.optimize(
        lambda t: -((t.suggest_float("x", 0, 1) - 0.5) ** 2) - t.suggest_float("y", 0, 1), n_trials=10
    )
    points = np.array([list(study.ask(SQUARE).params.values()) for _ in range(8)])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(8, 1)]
    assert distances.min() > 1e-4
    assert np.median(distances) > 0.01


def test_settings_of_the_classic_operator_are_refused() -> None:
    with pytest.raises(ValueError, match="belong to mode 'classic'"):
        WeightedParentSampler(mode="adaptive", sigma=0.1)


def test_a_model_recorded_in_a_longer_study_does_not_stop_the_fits_in_this_one() -> None:
    space = {"x": FloatDistribution(0.0, 1.0)}

    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0.0, 1.0)

    long = adaptive_study(dict(space), {"x": 0.5})
    long.optimize(objective, n_trials=60)
    short = adaptive_study(dict(space), {"x": 0.5}, seed=1)
    short.add_trials(long.trials[-15:])
    short.optimize(objective, n_trials=12)
    lineages = [t.system_attrs["WeightedParentSampler:lineage"] for t in short.trials[15:]]
    assert any("fitted" in lineage for lineage in lineages)


def test_a_narrow_range_far_from_zero_is_resolved() -> None:
    cube = Cube.of(Genes.of({"x": FloatDistribution(1550.0, 1550.1)}))
    points = np.linspace(0.0, 1.0, 101)[:, np.newaxis]
    assert len(np.unique(cube.unscale(points, np.zeros_like(points)))) == 101
