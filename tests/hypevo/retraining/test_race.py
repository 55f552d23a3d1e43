"""Races: who is dropped, when, and how seldom that is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from hypevo.retraining.candidates import Candidate
from hypevo.retraining.race import Race
from hypevo.retraining.verdict import error_of_look
from hypevo.retraining.weighing import weigh

DEFAULT = Candidate("default", {"a": 0})
CANDIDATES = [Candidate(f"trial {number}", {"a": number}) for number in range(1, 6)]


def race_of(seeds):
    return Race({one.key: one.name for one in CANDIDATES}, DEFAULT.key, range(seeds))


def scores_of(table):
    """Fitness of the candidates and, in the last row, the default; nan stands for a failure, inf for no result yet."""
    return {
        one.key: {
            seed: None if np.isnan(value) else float(value)
            for seed, value in enumerate(row)
            if not np.isinf(value)
        }
        for one, row in zip([*CANDIDATES, DEFAULT], table, strict=True)
    }


def drawn(rng, gains, seeds, sd=1.0):
    """Fitness with a part that all trainings of a seed share."""
    return (
        np.array([*gains, 0.0])[:, None]
        + rng.normal(0, sd, (len(gains) + 1, seeds))
        + rng.normal(0, 1, seeds)
    )


def names(standings):
    return {CANDIDATES[[one.key for one in CANDIDATES].index(key)].name for key in standings.dropped}


def test_without_an_effect_a_race_calls_few_candidates_better_however_often_one_looks():
    """250 races of five as good as the default, looked at after 5 and 10 seeds; 5 % is 12.5, sd 3.4."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(250):
        table = drawn(rng, [0.0] * 5, 10)
        for look, seeds in enumerate((5, 10), 1):
            scores = scores_of(table[:, :seeds])
            verdicts = weigh(
                CANDIDATES, DEFAULT, scores, error=error_of_look(look), untouched=np.nan,
                dropped=race_of(seeds).standings(scores).dropped,
            )  # fmt: skip
            if any(one.wins for one in verdicts):
                wrong += 1
                break
    assert wrong <= 12


@pytest.mark.parametrize("gains", [(0.01, 0, 0, 0, 0), (2, 1.5, 1, 0.5, 0)])
@pytest.mark.parametrize("sd", [1.0, np.array([[3], [1], [1], [1], [1], [1]])])
def test_the_best_is_kept(gains, sd):
    """300 races of 12 seeds, one with a best that scatters more; 5 % is 15, sd 3.8: 22 are two sd above it."""
    rng = np.random.default_rng(1)
    races = [race_of(12).standings(scores_of(drawn(rng, gains, 12, sd))) for _ in range(300)]
    assert sum(CANDIDATES[0].key in one.dropped for one in races) <= 22


def test_those_far_behind_go_early_and_the_leader_stays():
    rng = np.random.default_rng(2)
    table = drawn(rng, (9, 0, 0, 0, 8.9), 12)
    table[-1] += 30  # the default is far ahead of all
    standings = race_of(12).standings(scores_of(table))
    assert len(standings.racing) == 1
    assert {one.behind for one in standings.dropped.values()} == {"the default"}
    assert min(one.seeds for one in standings.dropped.values()) == 3


def test_decisions_are_those_of_the_seeds_in_order_whatever_has_arrived():
    rng = np.random.default_rng(3)
    table = drawn(rng, (4, 3, 0, 0, 0), 8)
    whole = race_of(8).standings(scores_of(table))
    assert whole.dropped
    partial = table.copy()
    partial[3, 2] = np.inf  # the third seed of one is not there yet, later ones are
    early = race_of(8).standings(scores_of(partial))
    assert (early.complete, early.dropped) == (2, {})
    for row, one in enumerate(CANDIDATES):  # of who is dropped, later seeds may never be trained
        if one.key in whole.dropped:
            table[row, whole.dropped[one.key].seeds :] = np.inf
    assert race_of(8).standings(scores_of(table)) == whole
    more = race_of(12).standings(scores_of(table))
    assert dict(more.dropped, **{key: whole.dropped[key] for key in more.dropped}) == more.dropped


def test_who_fails_where_the_default_does_not_is_dropped_at_once():
    table = np.full((6, 5), 0.5)
    table[1, 0] = np.nan
    table[-1, 1] = table[2, 1] = np.nan  # with the default it says nothing
    standings = race_of(5).standings(scores_of(table))
    assert names(standings) == {"trial 2"}
    verdicts = weigh(
        CANDIDATES, DEFAULT, scores_of(table), error=0.05, untouched=0.1, dropped=standings.dropped
    )
    assert (verdicts[1].word, verdicts[1].judged, verdicts[1].wins) == ("dropped", True, False)
    assert str(verdicts[1]) == ("trial 2: dropped after 1 seed: it failed where the default did not")


def test_nobody_is_left_where_all_have_failed():
    table = np.full((6, 5), 0.5)
    table[:5, 0] = np.nan
    assert race_of(5).standings(scores_of(table)).racing == ()


@pytest.mark.parametrize("fails_on", [4, 7])
def test_who_was_dropped_behind_one_that_fails_later_is_back(fails_on):
    table = drawn(np.random.default_rng(5), (9, 5, 0, 0, 0), 8, 0.1)
    assert "trial 2" in names(race_of(8).standings(scores_of(table)))
    table[0, fails_on] = np.nan
    standings = race_of(8).standings(scores_of(table))
    assert standings.racing == (CANDIDATES[1].key,)
    assert standings.dropped[CANDIDATES[0].key].seeds == fails_on + 1
    assert {standings.dropped[one.key].behind for one in CANDIDATES[2:]} == {"trial 2"}
    table[1, 3:] = np.inf  # as it was when it was dropped: it has to be trained now
    assert race_of(8).standings(scores_of(table)).complete == 3


def test_a_verdict_on_a_dropped_one_is_of_the_seeds_it_was_dropped_for():
    rng = np.random.default_rng(4)
    table = drawn(rng, (9, 0, 0, 0, 0), 8, 0.1)
    table[1:5, 3:] += 100  # what was trained in vain says nothing
    scores = scores_of(table)
    standings = race_of(8).standings(scores)
    scores = standings.counted(scores)
    verdicts = weigh(CANDIDATES, DEFAULT, scores, error=0.05, untouched=0.0, dropped=standings.dropped)
    assert [one.word for one in verdicts] == ["better", *["dropped"] * 4]
    assert (verdicts[1].pairs, abs(verdicts[1].gain) < 1) == (3, True)
    assert "dropped after 3 seeds: " in str(verdicts[1])
    assert " behind trial 1, at least " in str(verdicts[1])
    assert verdicts[1].to_dict()["dropped"]["behind"] == "trial 1"
    assert verdicts[1].over_untouched is None
