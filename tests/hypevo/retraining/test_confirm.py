from __future__ import annotations

import io
import json
import math
import sys
from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypevo.protocol import InputError, WorkError
from hypevo.retraining.confirm import ConfirmSettings, Verdict, paired_interval

differences = st.lists(st.floats(-1, 1), min_size=2, max_size=20)


def test_interval_is_that_of_the_tables():
    gain, half_width = paired_interval([0.01, 0.02, 0.03, 0.04, 0.05])
    assert gain == pytest.approx(0.03)
    assert half_width == pytest.approx(2.776 * stdev([0.01, 0.02, 0.03, 0.04, 0.05]) / math.sqrt(5), rel=1e-3)


@given(differences)
def test_interval_is_centred_on_the_mean(values):
    assert paired_interval(values)[0] == pytest.approx(fmean(values))


@given(differences)
def test_more_candidates_make_it_no_narrower(values):
    assert paired_interval(values, comparisons=5)[1] >= paired_interval(values)[1]


def test_interval_covers_the_truth_as_often_as_it_says():
    """2,000 intervals at 95 %: the count of hits is binomial, sd 0.5 %, so 93.5 to 96.5 % is three sd."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        gain, half_width = paired_interval(list(rng.normal(0.02, 0.01, 5)))
        hits += abs(gain - 0.02) <= half_width
    assert 0.935 <= hits / 2000 <= 0.965


def test_a_gain_within_its_interval_is_no_win():
    loses = Verdict("trial 3", 0.01, 0.02, 5, 0.5, 0.4)
    assert not loses.wins
    assert "no significant gain" in str(loses)


def test_a_gain_beyond_its_interval_wins():
    wins = Verdict("trial 3", 0.021, 0.006, 5, 0.5, 0.4)
    assert wins.wins
    assert str(wins) == "trial 3: gain +0.0210 ± 0.0060 over 5 seeds"


def test_failed_trainings_are_no_win():
    assert not Verdict("trial 3", math.nan, math.inf, 0, 0.5, math.nan).wins


@pytest.mark.parametrize(("name", "value"), [("top", 0), ("seeds", 1)])
def test_settings_that_cannot_decide_are_refused(name, value):
    with pytest.raises(InputError, match=f"--{name}"):
        ConfirmSettings(**{name: value})


def confirmed(**settings):
    from rich.console import Console

    from hypevo.retraining.confirm import confirm

    lines = io.StringIO()
    verdicts = confirm(ConfirmSettings(study="s", device="cpu", **settings), Console(file=lines, width=200))
    return verdicts, lines.getvalue().splitlines()


@pytest.mark.slow
def test_the_winner_is_trained_with_fresh_seeds_beside_the_default(evolution, arena):
    evolution(4, seed=0)
    best = evolution.summary.best
    (verdict,), lines = confirmed(seeds=2)
    assert verdict.candidate == f"trial {best.number}"
    assert verdict.pairs == 2
    assert verdict.search_fitness == best.value
    assert len(lines) == 4
    starts = [json.loads(path.read_text()) for path in arena.glob("runs/evolve/s/confirm-*/*/trial.json")]
    assert sorted(start["seed"] for start in starts) == [10_000, 10_000, 10_001, 10_001]
    assert {start["tags"]["hypevo.candidate"] for start in starts} == {"baseline", verdict.candidate}


@pytest.mark.slow
def test_more_seeds_repeat_nothing_and_a_winner_leaves_its_file(evolution, arena):
    evolution(4)
    confirmed(seeds=2)
    (verdict,), lines = confirmed(seeds=3)
    assert len(lines) == 2
    assert verdict.pairs == 3
    assert (arena / "runs/evolve/s/hyp_confirmed.yaml").exists() == verdict.wins


@pytest.mark.slow
def test_a_fitness_function_that_fails_costs_no_training(evolution, arena, monkeypatch):
    (arena / "rules_to_confirm.py").write_text(
        "from pathlib import Path\n\n\ndef fitness(metrics):\n"
        "    assert not Path('broken').exists()\n    return metrics['recall']\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    evolution(2, seed=0, fitness="rules_to_confirm:fitness")
    (arena / "broken").touch()
    with pytest.raises(WorkError, match="rules_to_confirm:fitness: AssertionError"):
        confirmed(seeds=2)
    (arena / "broken").unlink()
    (verdict,), lines = confirmed(seeds=2)
    assert (verdict.pairs, len(lines)) == (2, 3)  # of the four trainings, one was there


def test_a_study_without_a_finished_trial_cannot_be_confirmed(arena):
    with pytest.raises(InputError, match="no such file"):
        confirmed(seeds=2)


@pytest.mark.slow
def test_the_recommended_individual_is_a_candidate_on_request(evolution, arena):
    evolution(4)
    verdicts, lines = confirmed(seeds=2, recommended=True)
    assert [verdict.candidate for verdict in verdicts] == [
        f"trial {evolution.summary.best.number}",
        "recommended",
    ]
    assert len(lines) == 6
    written = json.loads(next(arena.glob("runs/evolve/s/confirm-*/verdict.json")).read_text())
    assert written[1]["search_fitness"] is None


@pytest.mark.slow
def test_a_lost_training_is_run_again_by_the_next_call(evolution):
    evolution(2, seed=0)
    options = {"fail": "kill once", "fail_above": 0.0}
    (verdict,), lines = confirmed(seeds=2, options=options)
    assert len(lines) == 4
    assert "killed by SIGKILL" in lines[0]
    assert (verdict.judged, verdict.pairs) == (False, 1)
    assert "cannot be judged, 1 of its seeds" in str(verdict)
    (verdict,), lines = confirmed(seeds=2, options=options)
    assert (verdict.judged, verdict.pairs, len(lines)) == (True, 2, 1)


@pytest.mark.slow
def test_two_confirmations_at_once_are_one_too_many(evolution, arena):
    from hypevo.study.lease import lock

    evolution(2, seed=0)
    with lock(arena / "runs/evolve/s/confirm", "s"), pytest.raises(InputError, match="already running on"):
        confirmed(seeds=2)
