"""How early a training shows how it will end."""

import json

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial
from typer.testing import CliRunner

from hypevo.cli.app import app
from hypevo.problem.hyp import check_hyp
from hypevo.problem.plan import Plan
from hypevo.problem.settings import BUILT_IN
from hypevo.problem.space import yolov5_space
from hypevo.study.fidelity import epoch_of, fidelity, spearman, survival
from hypevo.study.pruning import LOTS
from hypevo.study.storage import begin_study, load_study


def _add(study: optuna.Study, curves: np.ndarray, state: TrialState = TrialState.COMPLETE) -> None:
    """Trials with these fitnesses by epoch, (N, E); the last one is that of the end."""
    for curve in curves.tolist():
        study.add_trial(
            create_trial(
                state=state,
                value=curve[-1] if state is TrialState.COMPLETE else None,
                intermediate_values=dict(enumerate(curve)),
            )
        )


def _curves(trials: int, noise: tuple[float, ...], seed: int = 0) -> np.ndarray:
    """Curves whose epochs tell the end with so much noise each, and then the end."""
    rng = np.random.default_rng(seed)
    end = rng.permutation(trials) / trials
    return np.stack([*(end + one * rng.normal(size=trials) for one in noise), end], axis=1)


def test_rank_correlation_of_values_ranked_by_hand():
    one, other = np.array([0.1, 0.4, 0.2, 0.3]), np.array([1.0, 9.0, 5.0, 2.0])  # ranks 1 4 2 3 and 1 4 3 2
    assert spearman(one, other) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert spearman(one, -(one**3)) == pytest.approx(-1)
    assert np.isnan(spearman(one, np.ones(4)))


def test_a_cut_to_the_better_half_counted_by_hand():
    ends = np.array([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    values = np.array([0.2, 0.5, 0.1, 0.6, 0.7, 0.3])  # the better half: the second, fourth and fifth
    assert survival(values, ends, 1) == 0
    assert survival(values, ends, 2) == 0.5
    assert survival(np.zeros(6), ends, 2) == 0.5  # by lot
    assert survival(ends, ends, 2) == 1


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Spearman's of a bivariate normal with correlation r is 6/π asin(r/2)."""
    truth, r = 6 / np.pi * np.arcsin(0.4), 0.8
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(60):
        ends = rng.normal(size=24)
        found = epoch_of(1, r * ends + np.sqrt(1 - r * r) * rng.normal(size=24), ends, rng)
        inside += found.low <= truth <= found.high
    assert inside / 60 >= 0.85  # 95 % less three standard errors of 60


def _study(trainer: str = "m:train", **settings: int) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    space = yolov5_space().only(["lr0"])
    begin_study(study, Plan(trainer, settings, space, check_hyp({}, space), "mAP_0.5", "fixed", 0))
    return study


def test_epochs_that_tell_the_end_make_trials_shorter_and_the_pruner_safe():
    study = _study()
    _add(study, _curves(40, (1.0, 0.05, 0.01)))
    found = fidelity(study)
    assert found.trials == 40
    first, second = found.epochs[:2]
    assert second.low > 0.6 > first.low
    assert first.low < first.correlation < first.high
    assert second.third_survives == 1 > first.third_survives
    assert found.epochs[-1].correlation == 1
    short, *pruners, limits = found.conclusion
    assert short.startswith("A trial may end after 2 of 4 epochs of the same schedule: from")
    assert [one.pruner for one in found.pruners] == list(LOTS)
    for sentence, replayed in zip(pruners, found.pruners, strict=True):
        assert sentence.startswith(f"--pruner {replayed.pruner} is safe here: it would have stopped")
        assert "0 of the best 5, and saved" in sentence
    assert "would have proposed other trials" in limits


def test_a_pruner_that_stops_nothing_is_not_called_safe():
    study = _study()
    _add(study, np.tile(np.arange(4.0), (12, 1)))
    median, *_ = [line for line in fidelity(study).conclusion if "--pruner median" in line]
    assert median.startswith("--pruner median does nothing here: it would have stopped 0 of 12 trials")


@pytest.mark.parametrize(("settings", "schedule"), [({}, 4), ({"schedule_epochs": 100}, 100)])
def test_the_built_in_trainer_has_options_for_a_shorter_trial(settings, schedule):
    study = _study(BUILT_IN, **settings)
    _add(study, _curves(40, (1.0, 0.05, 0.01)))
    assert f"(--epochs 2 --schedule-epochs {schedule})" in fidelity(study).conclusion[0]


def test_epochs_that_tell_nothing_say_so():
    study = _study()
    _add(study, _curves(40, (5.0, 5.0, 5.0)))
    short, *pruners, _ = fidelity(study).conclusion
    assert short.startswith("No trial should be shorter: after fewer than 4 epochs")
    for pruner in pruners:
        assert "is not safe here" in pruner or "costs good trials here" in pruner


def test_a_pruner_that_stops_the_best_is_not_safe_and_what_is_lost_is_said():
    study = _study()
    best = [0.0, 0.0, 0.0, 2.0]
    _add(study, np.array([*_curves(12, (0.0, 0.0, 0.0)).tolist(), best]))
    _, median, halving, _, _ = fidelity(study).conclusion
    for pruner in (median, halving):
        assert "is not safe here: it would have stopped" in pruner
        assert "the best of all (1.08 of fitness lost), and saved" in pruner  # 2 less the next best, 11 of 12


def test_pruned_and_imported_trials_are_left_out_and_named():
    study = _study()
    _add(study, _curves(20, (0.01, 0.01)))
    _add(study, np.zeros((3, 2)), TrialState.PRUNED)
    study.add_trial(create_trial(value=0.5))
    study.add_trial(create_trial(state=TrialState.FAIL, intermediate_values={0: 0.5}))
    found = fidelity(study)
    assert (found.trials, found.pruned, found.silent, found.failed) == (20, 3, 1, 1)
    assert found.conclusion[0].startswith("Pruned trials: 3. They have no end and are left out")
    assert found.conclusion[1].startswith(
        "Trials without a fitness of any epoch, imported ones for example: 1."
    )
    assert found.conclusion[2].startswith("Failed trials: 1. Left out")


def test_a_study_without_epochs_is_not_told_that_nothing_ran_in_full():
    study = _study()
    study.add_trials([create_trial(value=0.5)] * 14)
    silent, nothing = fidelity(study).conclusion
    assert silent.startswith("Trials without a fitness of any epoch, imported ones for example: 14.")
    assert nothing.endswith("expected 12 trials or more that ran in full and reported epochs, got 0.")


def test_a_fitness_after_the_last_epoch_only_tells_nothing():
    study = _study()
    for number in range(20):
        study.add_trial(create_trial(value=number / 20, intermediate_values={7: number / 20}))
    found = fidelity(study)
    assert [epoch.epoch for epoch in found.epochs] == [8]
    assert "after one epoch only" in found.conclusion[0]


def test_epochs_that_few_trials_reach_decide_nothing():
    """Trainings of other programs may end early, each after another epoch."""
    study = _study()
    _add(study, _curves(40, (1.0, 0.01)))
    _add(study, _curves(3, (1.0, 0.01, 9.0, 9.0)))
    assert fidelity(study).conclusion[0].startswith("A trial may end after 2 of 5 epochs")


def test_equal_fitnesses_have_no_correlation():
    first = epoch_of(1, np.zeros(20), np.arange(20.0), np.random.default_rng(0))
    assert (first.correlation, first.low, first.high) == (None, None, None)
    assert (first.best_survives, first.third_survives) == (0.5, 0.5)


def test_the_fitness_of_an_epoch_is_what_the_driver_reported_and_the_command_prints_it(evolution):
    evolution(1)
    study = load_study("mlruns/optuna.journal", "s")
    trial = study.get_trials()[0]
    assert trial.intermediate_values[max(trial.intermediate_values)] == trial.value
    run = CliRunner().invoke(app, ["fidelity"])
    assert run.exit_code == 0, run.output
    assert "Nothing can be concluded: expected 12 trials or more" in run.output
    _add(study, _curves(15, (0.1,) * 44))
    run = CliRunner().invoke(app, ["fidelity", "--study", "s"])
    assert "15 of 45 epochs are shown" in run.output
    assert "A trial may end after" in run.output
    for pruner in LOTS:
        assert f"--pruner {pruner} " in run.output
    found = json.loads(CliRunner().invoke(app, ["fidelity", "--json"]).output)
    assert [epoch["epoch"] for epoch in found["epochs"]] == list(range(1, 46))
    assert found["trials"] == 16
