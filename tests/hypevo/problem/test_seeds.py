"""Which seed a trial's training has."""

import pytest

from hypevo.evolution import baseline
from hypevo.problem.seeds import MOST, policy, training_seed
from hypevo.problem.settings import EvolveSettings
from hypevo.protocol import InputError
from hypevo.retraining import confirm


@pytest.mark.parametrize(
    ("typed", "spelled", "seeds"),
    [
        ("fixed", "fixed", [7, 7, 7, 7, 7]),
        ("per-trial", "per-trial", [7, 8, 9, 10, 11]),
        ("rotate", "rotate:3", [7, 8, 9, 7, 8]),
        ("rotate:02", "rotate:2", [7, 8, 7, 8, 7]),
    ],
)
def test_a_seed_is_a_function_of_the_number(typed, spelled, seeds):
    assert EvolveSettings(trial_seed=typed).trial_seed == spelled
    assert [training_seed(spelled, 7, number) for number in range(5)] == seeds


@pytest.mark.parametrize(
    "typed", ["", "rotate:", "rotate:1", "rotate:101", "rotate:-2", "rotate:3.5", "Rotate"]
)
def test_another_policy_is_refused_with_those_there_are(typed):
    with pytest.raises(
        InputError, match=r"expected fixed, per-trial, rotate or rotate:K with K from 2 to 100"
    ):
        EvolveSettings(trial_seed=typed)


def test_seeds_in_turn_are_none_that_judge_the_winner():
    turn = {training_seed(policy(f"rotate:{MOST}"), 0, number) for number in range(1000)}
    assert max(turn) < confirm.FRESH < baseline.FRESH
