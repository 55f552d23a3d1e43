"""Best, budget and patience, brought forward trial by trial."""

import math
from datetime import datetime, timedelta

import pytest
from optuna.trial import TrialState, create_trial

from hypevo.study.tally import Tally

BEGAN = datetime(2026, 1, 1)


def ended(number, value=None, state=TrialState.COMPLETE, **attrs):
    trial = create_trial(state=state, value=value, user_attrs=attrs)
    trial.number = number
    trial.datetime_complete = BEGAN + timedelta(seconds=number)
    return trial


def test_a_new_study_has_nothing():
    tally = Tally([])
    assert (tally.best, tally.generations, tally.best_after, tally.stale(0)) == (None, 0, [], 0)
    assert math.isnan(tally.mean_seconds)


def test_the_earliest_of_equally_fit_trials_is_the_best():
    tally = Tally([ended(2, 0.5), ended(0, 0.4), ended(1, 0.5)])
    assert tally.best.number == 1
    assert [trial.number for trial in tally.finished] == [0, 1, 2]
    assert [(generation, best.number) for generation, best in tally.best_after] == [(1, 0), (2, 1), (3, 1)]


def test_a_clock_that_was_set_back_does_not_reorder_what_finished():
    trials = [ended(0, 0.4, ended_as=0), ended(2, 0.5, ended_as=1), ended(1, 0.6, ended_as=2)]
    trials[2].datetime_complete = BEGAN - timedelta(days=1)
    assert [trial.number for trial in Tally(reversed(trials)).finished] == [0, 2, 1]
    old = ended(7, 0.1)  # of version 0.1, which did not say
    assert [trial.number for trial in Tally([*trials, old]).finished] == [7, 0, 2, 1]


def test_pruned_trials_are_generations_and_failed_ones_are_not():
    tally = Tally([ended(0, 0.4), ended(1, state=TrialState.PRUNED), ended(2, state=TrialState.FAIL)])
    assert tally.generations == 2
    assert len(tally.finished) == 1


def test_a_budget_counts_every_trial_that_used_a_device():
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    tally = Tally(
        [
            ended(n, 0.1 if n == 0 else None, state, seconds=9.0, device_seconds=4.0)
            for n, state in enumerate(states)
        ]
    )
    assert tally.device_seconds == 12.0
    assert tally.mean_seconds == 9.0


@pytest.mark.parametrize(
    ("values", "min_gain", "stale"),
    [([0.1, 0.2, 0.3], 0.0, 0), ([0.3, 0.2, 0.1], 0.0, 2), ([0.10, 0.14, 0.18, 0.22], 0.1, 0),
     ([0.10, 0.14, 0.18], 0.1, 2), ([0.1, 0.1, 0.1], 0.0, 2)],
)  # fmt: skip
def test_stale_counts_generations_since_the_last_real_gain(values, min_gain, stale):
    """Small steps add up: they are measured from the last fitness that counted, not from the last best."""
    assert Tally([ended(n, value) for n, value in enumerate(values)]).stale(min_gain) == stale


def test_one_by_one_is_the_same_as_all_at_once():
    trials = [ended(n, (n * 7 % 10) / 10) for n in range(10)]
    together, one_by_one = Tally(trials), Tally([])
    for trial in trials:
        one_by_one.add(trial)
    assert [(g, b.number) for g, b in together.best_after] == [
        (g, b.number) for g, b in one_by_one.best_after
    ]
    assert together.stale(0) == one_by_one.stale(0)
