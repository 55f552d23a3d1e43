"""Which genes matter, of a study and of a file."""

import numpy as np
import optuna
import pytest
from optuna.trial import create_trial

from hypevo.problem.gene import Gene
from hypevo.problem.space import Space
from hypevo.results.evolve_csv import Row
from hypevo.study.importance import ENOUGH, importances, importances_of

SPACE = Space(
    [
        Gene("lr", 1e-4, 1e-1, log=True),
        Gene("depth", 1, 6, type="int"),
        Gene("act", 0, 1, type="categorical", choices=("relu", "tanh")),
    ]
)


def individuals(count: int) -> list[Row]:
    """The learning rate decides."""
    rng = np.random.default_rng(1)
    found = []
    for number in range(count):
        lr, depth = 10 ** rng.uniform(-4, -1), int(rng.integers(1, 7))
        hyp = {"lr": float(lr), "depth": depth, "act": ("relu", "tanh")[number % 2]}
        found.append(Row(number, {}, hyp, -abs(float(np.log10(lr)) + 2)))
    return found


def test_the_individuals_of_a_study_weigh_the_same_in_a_list_and_the_one_that_decides_most():
    rows = individuals(40)
    study = optuna.create_study(direction="maximize")
    for row in rows:
        study.add_trial(
            create_trial(value=row.fitness, params=dict(row.hyp), distributions=SPACE.distributions())
        )
    weights = importances(study, list(SPACE))
    assert weights == importances_of(rows, SPACE)
    assert next(iter(weights)) == "lr"
    assert sum(weights.values()) == pytest.approx(1)


def test_a_file_needs_no_space_and_may_have_values_outside_of_one():
    rows = individuals(40)
    rows[3] = Row(3, {}, {**rows[3].hyp, "lr": 0.5, "depth": 9}, -9.0)
    rows.append(Row(40, {}, rows[0].hyp, float("nan")))
    assert next(iter(importances_of(rows, None))) == "lr"
    assert next(iter(importances_of(rows, SPACE))) == "lr"


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (individuals(ENOUGH - 1), "expected 20 or more trials with a fitness; got 19"),
        (
            [Row(n, {}, {"lr": 0.1}, float(n)) for n in range(30)],
            "expected a gene with a value in all trials",
        ),
    ],
)
def test_what_says_nothing_says_why(rows, why):
    with pytest.raises(ValueError, match=why):
        importances_of(rows, None)
