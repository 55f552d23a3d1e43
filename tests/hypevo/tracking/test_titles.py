"""What people read in MLflow's lists: names, the star that moves, the notes."""

from __future__ import annotations

import re
import sys

import pytest

from hypevo.protocol import Failure, Outcome
from hypevo.tracking.charts import run_path
from hypevo.tracking.store import Store
from hypevo.tracking.titles import NOTE, ended, given_by_us, running, starred, unstarred
from hypevo.tracking.tracker import Tracker
from hypevo.trainings.record import Record


@pytest.fixture
def tracked(arena):
    """A study's tracker, and what sends it trials: `trial(number, outcome, fitness)`."""
    trackers = []

    def start():
        tracker = Tracker("s", Store.default())
        tracker.open(
            trackers[0].parent if trackers else None, experiment=None, params={}, tags={}, dataset=None
        )
        trackers.append(tracker)

        def trial(number, outcome=None, fitness=None, **tags):
            record = Record(arena / "trials" / f"{number:04d}", number)
            record.start({"lr0": 0.1}, {"attempt": 1, "tags": tags})
            if outcome is not None:
                record.end(outcome, fitness)
            tracker.update(record)

        return tracker, trial

    return start


def named(tracker):
    """The names of the trials' runs, and the one that is tagged as the best."""
    client = Store.default().client()
    runs = [run for run in client.search_runs([tracker.experiment_id]) if "hypevo.trial" in run.data.tags]
    names = sorted(run.info.run_name for run in runs)
    return names, [run.info.run_name for run in runs if "hypevo.best" in run.data.tags]


def test_names_say_number_fitness_and_failure():
    assert running(7) == "007"
    assert ended(17, 0.34123, None) == "017 · 0.3412"
    assert ended(18, None, Failure.OUT_OF_MEMORY) == "018 · out of memory"
    assert unstarred(starred(starred("017 · 0.3412"))) == "017 · 0.3412"
    assert all(map(given_by_us, ("017", "017 · 0.3412 ★", "1234 · timed out", "trial 0003", None)))
    assert not given_by_us("my favourite")


def test_the_star_moves_with_the_best_also_from_one_driver_to_the_next(tracked):
    tracker, trial = tracked()
    tracker.crown(0)  # before its run is there
    trial(0, Outcome({"mAP_0.5": 0.5}), 0.25)
    trial(
        1, Outcome(failure=Failure.OUT_OF_MEMORY, reason="12 GiB *wanted*"), None, **{NOTE: "From trial 0."}
    )
    trial(2)
    assert tracker.close("KILLED", "interrupted") == 0
    assert named(tracker) == (["000 · 0.2500 ★", "001 · out of memory", "002"], ["000 · 0.2500 ★"])

    tracker, trial = tracked()
    trial(2, Outcome({"mAP_0.5": 0.7}), 0.5)
    tracker.crown(2)
    assert tracker.close("FINISHED", "complete") == 0
    assert named(tracker) == (["000 · 0.2500", "001 · out of memory", "002 · 0.5000 ★"], ["002 · 0.5000 ★"])
    failed = Store.default().client().get_run(tracker.run_id(1))
    assert failed.info.status == "FAILED"
    assert failed.data.tags["hypevo.reason"] == "12 GiB *wanted*"
    assert failed.data.tags[NOTE] == "**Out of memory**\n\n    12 GiB *wanted*\n\nFrom trial 0."


def test_a_name_that_a_user_gave_stays(tracked):
    tracker, trial = tracked()
    trial(0)
    assert tracker.close("KILLED", "interrupted") == 0
    Store.default().client().update_run(tracker.run_id(0), name="my favourite")
    tracker, trial = tracked()
    trial(0, Outcome({"mAP_0.5": 0.5}), 0.25)
    tracker.crown(0)
    assert tracker.close("FINISHED", "complete") == 0
    assert named(tracker) == (["my favourite ★"], ["my favourite ★"])


def test_a_link_to_a_run_opens_the_pages_for_trainings():
    assert run_path("7", "abc") == "/#/experiments/7/runs/abc?workflowType=machine_learning"


def test_the_notes_say_how_the_study_stands_and_where_a_trial_is_from(evolution, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["hypevo", "evolve", "--study", "s"])
    summary = evolution(3)
    note = evolution.parent.data.tags[NOTE]
    assert f"Best: trial {summary.best.number}, fitness {summary.best.value:.4f}" in note
    assert "landscape:train" in note
    assert "epochs 2" in note
    assert str(summary.folder.resolve()) in note
    assert "    hypevo evolve --study s" in note
    assert "hypevo confirm" in note
    children = evolution.children
    assert children[0].data.tags[NOTE] == "The default: what the others are compared with."
    for number in (1, 2):
        assert re.match(r"From trials? [\d, ]+\. Mutated most: \w", children[number].data.tags[NOTE])
