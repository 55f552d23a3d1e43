"""When a pruner ends a trial early, and what it would have done to trials that ran in full."""

from dataclasses import fields

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from hypevo.problem.settings import EvolveSettings
from hypevo.study.attributes import DEFAULT, ORIGIN, SECONDS
from hypevo.study.pruning import LOTS, _stops, enter, replay
from hypevo.study.search import make_pruner


def _trials(
    curves: list[list[float]], seconds: list[float] | None = None, default: int = -1
) -> list[FrozenTrial]:
    """Complete trials with these fitnesses by epoch; the last one is that of the end."""
    return [
        create_trial(
            value=curve[-1],
            intermediate_values=dict(enumerate(curve)),
            user_attrs=({SECONDS: seconds[place]} if seconds else {})
            | ({ORIGIN: DEFAULT} if place == default else {}),
        )
        for place, curve in enumerate(curves)
    ]


def _flat(ends: list[float], epochs: int = 9) -> list[list[float]]:
    return [[end] * epochs for end in ends]


def test_every_pruner_that_can_be_asked_for_is_replayed():
    (pruner,) = [field for field in fields(EvolveSettings) if field.name == "pruner"]
    assert {"none", *LOTS} == set(pruner.metadata["choices"])


def test_halving_counted_by_hand():
    """Each is judged after its second epoch: of fewer than six there, only the best goes on."""
    better = replay(_trials(_flat([1.0, 2.0, 3.0, 4.0])), "halving")
    assert (better.stopped, better.of_few, better.best, better.loss, better.saved) == (0, 0, 0, 0, 0)
    worse = replay(_trials(_flat([4.0, 3.0, 2.0, 1.0])), "halving")
    assert (worse.stopped, worse.few, worse.of_few, worse.best) == (3, 2, 1, 0)
    assert worse.saved == pytest.approx(3 * (7 / 9) / 4)
    assert not worse.timed


def test_median_counted_by_hand():
    """Five run in full; then what is below their median after the second epoch is stopped there."""
    found = replay(_trials(_flat([1.0, 2.0, 3.0, 4.0, 5.0, 2.9, 3.1], epochs=4)), "median")
    assert (found.stopped, found.of_few) == (1, 0)
    assert found.saved == pytest.approx((2 / 4) / 7)


def test_a_late_starter_is_lost_and_its_fitness_with_it():
    late = [0.0] * 8 + [9.0]
    found = replay(_trials([*_flat([1.0, 2.0, 3.0, 4.0, 5.0]), late]), "median")
    assert (found.stopped, found.few, found.of_few, found.best, found.loss) == (1, 2, 1, 1, 4)


def test_what_is_saved_is_of_the_time_that_each_training_took():
    found = replay(_trials(_flat([4.0, 3.0, 2.0]), seconds=[10.0, 20.0, 30.0]), "halving")
    assert found.timed
    assert found.saved == pytest.approx((20 + 30) * (7 / 9) / 60)


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_the_default_runs_in_full(pruner):
    curves = _flat([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    assert np.isfinite(_stops(_trials(curves), pruner, 0)[-1])
    assert np.isnan(_stops(_trials(curves, default=5), pruner, 0)[-1])


def test_a_trial_at_its_last_epoch_is_kept():
    assert replay(_trials(_flat([4.0, 3.0, 2.0, 1.0], epochs=2)), "halving").stopped == 0
    assert replay(_trials(_flat([4.0, 3.0, 2.0, 1.0], epochs=3)), "halving").stopped == 3


def test_hyperband_draws_other_brackets_each_time_and_the_mean_is_given():
    rng = np.random.default_rng(0)
    trials = _trials((rng.normal(size=(30, 1)) + rng.normal(size=(30, 9))).tolist())
    draws = [np.isfinite(_stops(trials, "hyperband", lot)) for lot in range(LOTS["hyperband"])]
    assert len({draw.tobytes() for draw in draws}) > 10
    found = replay(trials, "hyperband")
    best = int(np.argmax([trial.value for trial in trials]))
    assert found.lots == LOTS["hyperband"]
    assert found.stopped == pytest.approx(np.mean([draw.sum() for draw in draws]))
    assert found.best == pytest.approx(np.mean([draw[best] for draw in draws]))


def test_an_epoch_after_which_complete_trials_ended_stops_nobody():
    study = optuna.create_study(direction="maximize", pruner=make_pruner("halving"))
    first = study.ask()
    assert not [step for step in range(3) if enter(study, first, 1.0, step)]
    study.tell(first, 1.0)
    second = study.ask()
    assert [enter(study, second, 0.0, step) for step in range(3)] == [False, True, False]


def test_the_replay_stops_what_the_driver_stops(evolution):
    """Random proposals do not depend on what was stopped: all these studies have the same trials."""
    how = {"sampler": "random", "options": {"epochs": 6, "sleep": 0.02, "rough": 0.05}}
    evolution(12, **how, study="whole")
    whole = evolution.stored("whole")
    for lot, pruner in enumerate(LOTS):
        evolution(
            12, **how, pruner=pruner, study=str(lot)
        )  # the name of a draw: it decides hyperband's brackets
        pruned = evolution.stored(str(lot))
        assert [one.params for one in pruned] == [one.params for one in whole]
        stopped = [trial.number for trial in pruned if trial.state is TrialState.PRUNED]
        assert stopped, pruner
        assert np.flatnonzero(np.isfinite(_stops(whole, pruner, lot))).tolist() == stopped
