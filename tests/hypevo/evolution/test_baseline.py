"""The default's trainings with other seeds: beside the trials, outside of the search, once each, whatever happens."""

from __future__ import annotations

import signal
from pathlib import Path
from statistics import stdev

import pytest

from hypevo.problem.settings import EvolveSettings
from hypevo.study.attributes import NOISE
from hypevo.study.standing import standing
from hypevo.study.storage import load_study

FIRST = 1_000_000_000
SEEDED = {"seeded": 0.01}


def _study():
    return load_study("mlruns/optuna.journal", "s")


def test_the_default_is_trained_with_further_seeds_outside_of_the_search(evolution, arena):
    evolution(3, baseline_seeds=3, options=SEEDED)
    noise = _study().user_attrs[NOISE]
    assert [entry["seed"] for entry in noise] == [20_002, 20_003, 20_004]  # the study's seed is 2
    assert len(evolution.trials) == 3
    assert len(evolution.csv) == 3
    assert sorted(path.name for path in Path("runs/evolve/s/noise").iterdir()) == [
        f"seed-{n}" for n in range(20_002, 20_005)
    ]
    assert not list(Path("runs/evolve/s/noise").glob("*/weights/*"))

    found = standing(_study())
    fitness = [evolution.trials[0].value, *(entry["fitness"] for entry in noise)]
    assert found.noise == pytest.approx(stdev(fitness))
    assert (found.noise > 0, found.seeds) == (True, 4)
    assert evolution.watcher.beside == found.beside
    assert evolution.parent.data.metrics["noise"] == pytest.approx(found.noise)
    assert evolution.parent.data.metrics["default_mean"] == pytest.approx(found.default)
    runs = [evolution.children[FIRST + number] for number in range(3)]
    assert {run.data.tags["hypevo.kind"] for run in runs} == {"noise"}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert runs[0].info.run_name == "the default with seed 20002"

    evolution(3, baseline_seeds=3, options=SEEDED)
    assert _study().user_attrs[NOISE] == noise
    evolution(3, baseline_seeds=4, options=SEEDED)  # asked for after the trials
    assert len(_study().user_attrs[NOISE]) == 4
    assert len(evolution.trials) == 3


def test_slots_are_busy_with_noise_and_trials_at_once(evolution, arena):
    evolution(2, baseline_seeds=2, slots_per_device=4, options=SEEDED)
    assert {number for number, _ in evolution.watcher.starts} == {0, 1, FIRST, FIRST + 1}
    assert [number for number, _ in evolution.watcher.starts][:3] == [0, FIRST, FIRST + 1]


def test_a_failed_one_is_recorded_and_is_no_trial(evolution, arena):
    evolution(1, baseline_seeds=1, options={"fail": "raise", "fail_seed": 20_002})
    (entry,) = _study().user_attrs[NOISE]
    assert (entry["fitness"], entry["failure"]) == (None, "crashed")
    assert len(evolution.trials) == 1
    assert evolution.children[FIRST].info.status == "FAILED"
    evolution(1, baseline_seeds=1, options={"fail": "raise", "fail_seed": 20_002})
    assert len(_study().user_attrs[NOISE]) == 1


def test_kill_9_loses_no_noise_and_repeats_none(driver, evolution, arena, nobody_left):
    asked = ("--generations", "2", "--baseline-seeds", "2", "--sleep", "1")
    first = driver(*asked)
    first.until("runs/evolve/s/noise/seed-20003/epochs.jsonl")
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    nobody_left(arena)
    assert [entry["seed"] for entry in _study().user_attrs[NOISE]] == [20_002]
    assert driver(*asked).wait() == 0
    assert [entry["seed"] for entry in _study().user_attrs[NOISE]] == [20_002, 20_003]
    assert _study().user_attrs["noise_begun"]["20003"]["attempts"] == 2
    assert _study().user_attrs["noise_begun"]["20002"]["attempts"] == 1
    assert sorted(evolution.children) == [0, 1, FIRST, FIRST + 1]
    assert {run.info.status for run in evolution.children.values()} == {"FINISHED"}
    assert len(evolution.csv) == 2


@pytest.mark.parametrize(
    ("generations", "asked", "seeds"), [(99, None, 0), (100, None, 3), (0, None, 3), (300, 0, 0), (5, 2, 2)]
)
def test_long_studies_measure_the_noise_unasked(generations, asked, seeds):
    assert EvolveSettings(generations=generations, baseline_seeds=asked).noise_seeds == seeds


def test_their_device_time_counts(evolution, arena):
    evolution(50, baseline_seeds=2, gpu_hours=0.3 / 3600, options={"sleep": 0.1})
    assert len(evolution.trials) < 3
