"""Whether the search ranks as fresh seeds do: the correlation, and what chance alone gives."""

from __future__ import annotations

import math

import pytest

from hypevo.retraining.agreement import agreement
from hypevo.retraining.verdict import Verdict


def verdicts(*pairs):
    return [
        Verdict(f"trial {number}", gain, 0.1, 5, search_fitness=seen)
        for number, (seen, gain) in enumerate(pairs)
    ]


def test_the_same_order_by_chance_is_one_in_as_many_as_there_are():
    found = agreement(verdicts((0.4, 0.1), (0.3, 0.05), (0.2, 0.01), (0.1, -0.2)))
    assert (found.spearman, found.candidates, found.chance) == (1, 4, pytest.approx(1 / 24))
    assert str(found).startswith(
        "the search ranks the 4 candidates as fresh seeds do with Spearman 1.00; by chance "
    )
    assert "in 4 of 100 cases" in str(found)
    found = agreement(verdicts(*((i, i) for i in range(6))))  # 1 in 720
    assert "in fewer than 1 of 100 cases" in str(found)


def test_of_many_candidates_the_chance_is_drawn():
    found = agreement(verdicts(*((i, (i * 7) % 10) for i in range(10))))
    assert found.spearman == pytest.approx(0.2727, abs=0.0001)
    assert found.chance == pytest.approx(
        0.223, abs=0.015
    )  # scipy's approximation; 10,000 drawn have an sd of 0.004


def test_what_the_search_has_not_seen_or_never_succeeded_does_not_count():
    pairs = ((0.4, 0.1), (0.3, 0.05), (0.2, 0.01), (math.nan, 0.3), (0.1, math.nan))
    assert agreement(verdicts(*pairs)) is None
    assert agreement(verdicts(*((0.1 * i, 0.0) for i in range(5)))) is None
