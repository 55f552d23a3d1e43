"""A study whose trainings have a few seeds in turn: who is told which."""

from pathlib import Path

import pytest

from hypevo.cli.tables import standing_lines
from hypevo.protocol import InputError
from hypevo.study.status import study_status


def test_every_trial_says_its_seed_and_a_resume_goes_on_in_turn(evolution):
    evolution(2, trial_seed="rotate", options={"seeded": 0.02})
    columns = Path("runs/evolve/s/evolve.csv").read_text().splitlines()[0].split(",")
    evolution(5, trial_seed="rotate:3", options={"seeded": 0.02})
    assert [number for number, _ in evolution.watcher.starts] == [2, 3, 4]
    assert [trial.user_attrs["training_seed"] for trial in evolution.trials] == [2, 3, 4, 2, 3]
    tags = [evolution.children[number].data.tags for number in range(5)]
    assert [run["hypevo.seed"] for run in tags] == ["2", "3", "4", "2", "3"]
    assert len(columns) == 7 + 29  # YOLOv5's, and no seed: its readers count columns
    found = study_status("mlruns/optuna.journal", "s")
    assert found["trial_seed"] == "rotate:3"
    assert found["best_seed"] == (2, 3, 4, 2, 3)[found["best_trial"]]
    (said,) = [line for line in standing_lines(found) if line.startswith("seeds differ between trials")]
    assert f"(rotate:3): the best had seed {found['best_seed']}" in said
    with pytest.raises(InputError, match="trial-seed was rotate:3 and is now fixed"):
        evolution(6, options={"seeded": 0.02})
