"""The verdict on a candidate, and how often it is wrong."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypevo.retraining.verdict import ERROR, Verdict, error_of_look, judge, paired_interval

differences = st.lists(st.floats(-1, 1), min_size=2, max_size=20)


def test_interval_is_that_of_the_tables():
    gain, half_width = paired_interval([0.01, 0.02, 0.03, 0.04, 0.05])
    assert gain == pytest.approx(0.03)
    assert half_width == pytest.approx(2.776 * stdev([0.01, 0.02, 0.03, 0.04, 0.05]) / math.sqrt(5), rel=1e-3)


@given(differences)
def test_interval_is_centred_on_the_mean(values):
    assert paired_interval(values)[0] == pytest.approx(fmean(values))


@given(differences, st.integers(1, 10))
def test_a_later_look_has_no_narrower_interval(values, look):
    assert (
        paired_interval(values, error_of_look(look + 1))[1] >= paired_interval(values, error_of_look(look))[1]
    )


def test_all_looks_together_may_be_wrong_in_one_of_twenty():
    assert sum(error_of_look(look) for look in range(1, 60)) == pytest.approx(ERROR)


def test_interval_covers_the_truth_as_often_as_it_says():
    """2,000 intervals at 95 %: the count of hits is binomial, sd 0.5 %, so 93.5 to 96.5 % is three sd."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        gain, half_width = paired_interval(list(rng.normal(0.02, 0.01, 5)))
        hits += abs(gain - 0.02) <= half_width
    assert 0.935 <= hits / 2000 <= 0.965


@pytest.mark.parametrize("candidates", [1, 3])
@pytest.mark.parametrize("looks", [(5,), (3, 5, 8, 12, 20)])
def test_without_an_effect_few_confirmations_are_wrong_however_often_one_looks(looks, candidates):
    """2,000 confirmations, each looked at until it says something: wrong in at most 5 % and a half (one sd)."""
    rng = np.random.default_rng(len(looks) + candidates)
    wrong = wins = 0
    for _ in range(2000):
        default = rng.normal(0.5, 0.01, looks[-1])
        others = rng.normal(0.5, 0.01, (candidates, looks[-1]))
        for look, seeds in enumerate(looks, 1):
            error = error_of_look(look) / candidates
            verdicts = [
                judge("c", dict(enumerate(other[:seeds])), dict(enumerate(default[:seeds])), error=error)
                for other in others
            ]
            if any(verdict.wins or verdict.loses for verdict in verdicts):
                wrong += 1
                wins += any(verdict.wins for verdict in verdicts)
                break
    assert wrong / 2000 <= 0.055
    assert wins / 2000 <= 0.035  # a half of them


def test_a_real_effect_is_found():
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(200):
        default, other = rng.normal(0.5, 0.01, 12), rng.normal(0.52, 0.01, 12)
        found += judge("c", dict(enumerate(other)), dict(enumerate(default)), error=error_of_look(1)).wins
    assert found >= 190


def test_a_gain_within_its_interval_shows_no_difference():
    verdict = Verdict("trial 3", 0.01, 0.02, 5)
    assert not verdict.wins
    assert "no difference shown" in str(verdict)


def test_a_gain_beyond_its_interval_wins():
    verdict = Verdict("trial 3", 0.021, 0.006, 5, fitness=0.421, default_fitness=0.4)
    assert verdict.wins
    assert str(verdict) == (
        "trial 3: better than the default: +0.0210 ± 0.0060 over 5 seeds (fitness 0.4210, default 0.4000)"
    )


def test_a_loss_beyond_its_interval_is_called_a_loss():
    verdict = Verdict("trial 3", -0.021, 0.006, 5, fitness=0.379, default_fitness=0.4)
    assert (verdict.wins, verdict.loses, verdict.word) == (False, True, "worse")
    assert "worse than the default: -0.0210 ± 0.0060" in str(verdict)


def test_who_fails_where_the_default_does_not_cannot_win():
    default = dict.fromkeys(range(5), 0.5)
    candidate = {0: 0.9, 1: None, 2: 0.91, 3: None, 4: 0.92}
    verdict = judge("trial 3", candidate, default, error=0.05)
    assert (verdict.wins, verdict.pairs, verdict.failures) == (False, 3, 2)
    assert "not better: it failed on 2 seeds where the default did not" in str(verdict)


def test_a_default_that_fails_too_costs_the_pair_only():
    default = {0: 0.5, 1: None, 2: 0.51, 3: 0.5}
    candidate = {0: 0.9, 1: None, 2: 0.91, 3: 0.9}
    verdict = judge("trial 3", candidate, default, error=0.05)
    assert (verdict.wins, verdict.pairs, verdict.failures) == (True, 3, 0)


def test_a_candidate_that_always_fails_is_judged():
    verdict = judge("trial 3", dict.fromkeys(range(3)), dict.fromkeys(range(3), 0.5), error=0.05)
    assert (verdict.judged, verdict.wins) == (True, False)
    assert str(verdict) == "trial 3: not better: it failed on 3 seeds where the default did not"


def test_without_two_pairs_nothing_is_said():
    verdict = judge("trial 3", {0: 0.5}, {0: 0.4}, error=0.05)
    assert (verdict.judged, verdict.wins) == (False, False)
    assert verdict.to_dict()["gain"] is None


def test_a_candidate_is_held_against_not_training_at_all():
    default = dict(enumerate([0.18, 0.181, 0.182, 0.183, 0.184]))
    candidate = dict(enumerate([0.197, 0.198, 0.199, 0.2, 0.201]))
    verdict = judge("trial 3", candidate, default, error=0.025, untouched=0.257)
    assert (verdict.wins, verdict.over_untouched) == (True, -1)
    assert str(verdict).endswith("; worse than not training at all: -0.0580 ± 0.0040 (untouched 0.2570)")
    assert judge("trial 3", candidate, default, error=0.025, untouched=0.15).over_untouched == 1
    assert judge("trial 3", candidate, default, error=0.025, untouched=0.199).over_untouched == 0
    assert judge("trial 3", candidate, default, error=0.025).over_untouched is None


def test_both_comparisons_together_are_wrong_no_more_often_than_they_may():
    """4,000 candidates as good as the default and as the untouched weights; 2.5 % is 100, sd 10."""
    rng = np.random.default_rng(3)
    wrong = 0
    for default, candidate in zip(
        rng.normal(0.5, 0.01, (4000, 5)), rng.normal(0.5, 0.01, (4000, 5)), strict=True
    ):
        verdict = judge("c", dict(enumerate(candidate)), dict(enumerate(default)), error=0.025, untouched=0.5)
        wrong += verdict.wins or verdict.loses or verdict.over_untouched != 0
    assert wrong <= 125
