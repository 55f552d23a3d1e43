"""The weights that a study starts from are measured before it, once, where the trainer can."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from hypevo.study.attributes import UNTOUCHED
from hypevo.study.standing import standing


def _study() -> optuna.Study:
    from hypevo.study.storage import load_study

    return load_study("mlruns/optuna.journal", None)


def test_the_untouched_weights_are_measured_once_and_a_default_below_them_is_warned_of(evolution, arena):
    evolution(1, options={"weights": "0.99"})
    assert Path("validated.txt").read_text() == "cpu\n"
    stored = _study().user_attrs[UNTOUCHED]
    assert (stored["fitness"], stored["data"]) == (pytest.approx(0.99), None)
    assert stored["metrics"]["recall"] == 0.99
    assert standing(_study()).untouched == pytest.approx(0.99)
    said = "\n".join(evolution.watcher.messages)
    assert "without any training the starting weights have fitness 0.99000" in said
    (warning,) = [one.message for one in evolution.watcher.findings if "these trainings" in one.message]
    assert "the starting weights have 0.99000 without any training" in warning
    assert evolution.parent.data.metrics["untouched_fitness"] == pytest.approx(0.99)

    evolution(2, options={"weights": "0.99"})
    assert Path("validated.txt").read_text() == "cpu\n"


def test_a_default_above_the_untouched_weights_is_not_warned_of(evolution, arena):
    evolution(1, options={"weights": "0.001"})
    assert not any("these trainings" in one.message for one in evolution.watcher.findings)


def test_without_weights_nothing_is_measured_and_nothing_said(evolution, arena):
    evolution(1)
    assert not Path("validated.txt").exists()
    assert UNTOUCHED not in _study().user_attrs
    assert not any("weights" in text for text in evolution.watcher.messages)


def test_weights_that_cannot_be_measured_are_said_once_and_end_nothing(evolution, arena):
    evolution(1, options={"weights": "none"})
    said = [one for one in evolution.watcher.messages if "the starting weights" in one]
    assert said == ["the starting weights are not measured: could not convert string to float: 'none'"]
    assert standing(_study()).untouched is None
    assert len(evolution.trials) == 1
    evolution(2, options={"weights": "none"})
    assert Path("validated.txt").read_text() == "cpu\n"
