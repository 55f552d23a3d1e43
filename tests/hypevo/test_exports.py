from __future__ import annotations

import pytest

from hypevo.exports import export_study, plot_csv
from hypevo.fitness import DEFAULT_FITNESS
from hypevo.hyp import load_hyp
from hypevo.protocol import InputError
from hypevo.space import load_space


def test_a_study_is_exported_again_to_the_same_bytes(evolution, arena):
    evolution(3)
    paths = export_study("mlruns/optuna.journal", "s", arena / "again")
    for path in paths[:2]:
        assert path.read_bytes() == (arena / "runs/evolve/s" / path.name).read_bytes()


def test_what_is_recommended_is_a_whole_hyp_file_within_the_space(evolution, arena):
    evolution(3)
    *_, path = export_study("mlruns/optuna.journal", "s", arena / "again")
    hyp, space = load_hyp(path), load_space()
    assert list(hyp) == list(space)
    assert all(space[name].misfit(value) is None for name, value in hyp.items())


def test_a_study_that_is_not_there_is_said(arena):
    with pytest.raises(InputError, match="no such file"):
        export_study("mlruns/optuna.journal", "s", None)


def test_any_evolve_csv_is_drawn_beside_itself(evolution, arena):
    evolution(2)
    picture = plot_csv(arena / "runs/evolve/s/evolve.csv", None, None, DEFAULT_FITNESS)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_short_training_does_not_wait_for_the_picture(evolution, arena):
    """The picture is drawn after the first and the last trial, and seldom in between while trials take milliseconds."""
    evolution(6)
    stamps = (
        (arena / "runs/evolve/s/evolve.png").stat().st_mtime,
        (arena / "runs/evolve/s/evolve.csv").stat().st_mtime,
    )
    assert stamps[0] >= stamps[1]  # the last one shows all
