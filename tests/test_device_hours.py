"""The account that `benchmarks/device_hours.py` keeps: what a search pays for, and what it may hand over."""

from __future__ import annotations

import math

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

pytestmark = pytest.mark.usefixtures("benchmarks")
EPOCHS = 9


@pytest.fixture
def subject(benchmarks):
    """A training whose fitness grows from 0 to its only gene, and that diverges where the gene is below .2."""
    from device_trainings import Subject
    from search_problem import Problem

    def fitness(point, seed):
        for epoch in range(EPOCHS):
            yield math.nan if point[0] < 0.2 else float(point[0]) * epoch / (EPOCHS - 1)
            if point[0] < 0.2:
                return

    problem = Problem({"x": FloatDistribution(0.0, 1.0)}, np.array([0.5]), lambda _: 0.0, {})
    return Subject("toy", problem, 10, EPOCHS, fitness, lambda point, _: float(point[0]), range(1))


def search(subject, method, trainings, slots=1):
    from device_methods import Account, SpentError, all_methods

    account = Account(subject, 0, [EPOCHS, trainings * EPOCHS], slots)
    with pytest.raises(SpentError):
        all_methods()[method](account)
    return account


@pytest.mark.parametrize("method", ["adaptive", "turbo"])
def test_without_early_stopping_a_trial_costs_its_length_or_until_it_diverges(subject, method):
    account = search(subject, method, 12)
    assert account.spent == 12 * EPOCHS
    diverged = account.begun - 1 - len(account.ended)  # the last one was begun with nothing left
    assert 12 * EPOCHS - (EPOCHS - 1) <= len(account.ended) * EPOCHS + diverged <= 12 * EPOCHS


@pytest.mark.parametrize("method", ["adaptive+median", "tpe+hyperband", "priorband:0.25"])
@pytest.mark.parametrize("slots", [1, 3])
def test_early_stopping_begins_more_and_hands_over_only_what_ran_in_full(subject, method, slots):
    account = search(subject, method, 40, slots)
    assert account.spent == 40 * EPOCHS
    assert account.begun > 45
    assert len(account.ended) < 40
    assert all(fitness == pytest.approx(point[0]) for _, fitness, point in account.ended)
    assert account.ended[0][2] == pytest.approx(0.5)


def test_what_is_handed_over_at_a_mark_knows_the_trial_that_ended_there(subject):
    account = search(subject, "adaptive", 2)
    assert account.handed[0] == pytest.approx(0.5)  # the default, one training old
    assert len(account.handed) == len(account.times) == 2


def test_a_promoted_training_goes_on_where_it_stopped(subject):
    account = search(subject, "priorband:0.25", 1 + 4)  # the default, and a bracket of 9, 3, 1 and some
    full = account.ended[1][0]
    assert full == EPOCHS + 9 * 1 + 3 * 2 + 1 * 6


def test_the_network_ends_epoch_by_epoch_where_it_ends_at_once():
    from landscapes_training import HYPERPARAMETERS, Training, train

    hyp = {name: default for name, (_, default) in HYPERPARAMETERS.items()}
    training = Training(hyp, 3, 103)
    values = []
    for _ in range(8):
        training.epoch()
        values.append(training.fitness())
    assert values[-1] == train(hyp, 3, 103)
    assert len(set(values)) == 8
    # What the searches of before 2026-11-26 measured; another BLAS may round another way.
    assert train(hyp, 0) == pytest.approx(0.5952918799383913, abs=1e-6)


def test_a_paused_training_of_another_thread_says_what_went_wrong_and_can_be_stopped():
    from device_trainings import stepwise

    stopped = []

    def training(report):
        try:
            report(0.1)
            report(0.2)
            raise ValueError("no images")
        finally:
            stopped.append(True)

    values = stepwise(training)
    assert [next(values), next(values)] == [0.1, 0.2]
    with pytest.raises(ValueError, match="no images"):
        next(values)
    values = stepwise(training)
    next(values)
    values.close()
    assert stopped == [True, True]


def test_the_time_is_where_the_line_between_two_marks_has_the_share():
    from device_report import first_at

    marks = np.array([1.0, 10.0, 20.0, 40.0])
    assert first_at(marks, np.array([0.0, 0.8, 1.0, 1.0])) == pytest.approx(15.0)
    assert first_at(marks, np.array([0.0, 0.95, 0.5, 1.0])) < 10
    assert first_at(marks, np.array([0.0, 0.1, 0.2, 0.3])) == 40.0
