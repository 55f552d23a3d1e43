"""What a confirmation without a winner leaves of an earlier winner's file, and what it tells to do next."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from hypevo.results.evolve_csv import Row
from hypevo.results.hyp_file import write_hyp_confirmed
from hypevo.retraining.candidates import Candidate
from hypevo.retraining.confirmation import Confirmation
from hypevo.retraining.verdict import Verdict
from hypevo.retraining.winner import earlier_winner, write_winner

HYP = {"lr0": 0.00001, "mosaic": 1, "flip": True, "optimizer": "SGD"}


def confirmation(folder, *verdicts):
    return Confirmation("s", (), "toy:train", "score", folder, 10_000, 5, {}, False, 1, verdicts, False)


@pytest.mark.parametrize(
    ("name", "pairs", "begin"), [("mine", 5, "withdrawn: "), ("other", 5, "stays: "), ("mine", 0, "stays: ")]
)
def test_a_winner_s_file_goes_only_when_its_candidate_was_judged_anew(tmp_path, name, pairs, begin):
    path, said = tmp_path / "hyp_confirmed.yaml", []
    write_hyp_confirmed(path, Row(0, {"score": 0.5}, HYP, 0.5), verdict="better", conditions="once")
    hyp = HYP if name == "mine" else {**HYP, "lr0": 0.1}
    now = confirmation(tmp_path, Verdict(name, 0.0, 0.1, pairs))
    write_winner(path, now, [Candidate(name, hyp)], {}, SimpleNamespace(message=said.append))
    assert path.exists() == (begin == "stays: ")
    assert [line.startswith(begin) for line in said] == [True]


def test_where_all_trainings_failed_the_next_step_is_about_the_failures(tmp_path):
    failed = Verdict("trial 1", math.nan, math.inf, 0)
    said = confirmation(tmp_path, failed).sentences[-1]
    assert said.startswith("next: see why trainings failed, in ")
    assert str(tmp_path / "*" / "log.txt") in said
    assert (
        confirmation(tmp_path, Verdict("trial 1", -0.1, 0.2, 5))
        .sentences[-1]
        .startswith("next: no candidate")
    )


def test_training_with_the_winner_is_typed_with_the_study_s_fitness(tmp_path):
    said = confirmation(tmp_path, Verdict("trial 1", 0.3, 0.1, 5)).sentences[-1]
    assert said.endswith("hyp_confirmed.yaml --fitness score")


def test_a_winner_that_is_worse_than_not_training_at_all_gets_no_file(tmp_path):
    path, said = tmp_path / "hyp_confirmed.yaml", []
    write_hyp_confirmed(path, Row(0, {"score": 0.5}, HYP, 0.5), verdict="better", conditions="once")
    harmful = Verdict("mine", 0.3, 0.1, 5, untouched=0.9, untouched_gain=-0.2, untouched_half_width=0.1)
    now = confirmation(tmp_path, harmful)
    assert (harmful.wins, now.confirmed) == (True, None)
    write_winner(path, now, [Candidate("mine", HYP)], {}, SimpleNamespace(message=said.append))
    assert not path.exists()
    assert now.sentences[-1].startswith("next: these trainings make the weights worse")


HARMFUL = {"untouched": 0.9, "untouched_gain": -0.2, "untouched_half_width": 0.1}


@pytest.mark.parametrize(
    ("now", "without"),
    [
        (Verdict("trial 8", -0.1, 0.2, 5), "train with the default"),
        (Verdict("trial 8", 0.1, 0.2, 5, failures=1, scatter=0.1), "train with the default"),
        (Verdict("trial 8", 1e-6, 0.2, 5, scatter=0.1), "train with the default"),
        (Verdict("trial 8", -0.1, 0.2, 5, **HARMFUL), "use the weights as they are"),
    ],
)
def test_an_earlier_winner_that_stays_is_what_to_train_with(tmp_path, now, without):
    path = tmp_path / "hyp_confirmed.yaml"
    folder, of_now = tmp_path / "confirm-1", [Candidate("trial 8", {**HYP, "lr0": 0.1})]
    first = confirmation(folder, now)
    assert earlier_winner(path, first, of_now) is None
    assert without in first.sentences[-1]
    earlier = Verdict("trial 7", 0.3, 0.1, 5)
    write_hyp_confirmed(path, Row(0, {"score": 0.5}, HYP, 0.5), verdict=str(earlier), conditions="once")
    whose = earlier_winner(path, first, of_now)
    said = replace(first, stays=whose).sentences[-1]
    assert f"train with {path} (trial 7, confirmed earlier)" in said
    assert without not in said
    assert earlier_winner(path, confirmation(folder, earlier), of_now) is None  # a new winner takes the file
    assert (
        earlier_winner(path, confirmation(folder, Verdict("mine", 0, 1, 5)), [Candidate("mine", HYP)]) is None
    )
    path.write_text("lr0: 0.2\n")
    assert earlier_winner(path, first, of_now) == ""  # it does not say whose it is
