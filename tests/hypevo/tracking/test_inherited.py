"""MLFLOW_RUN_ID: a run made for the study becomes its own, somebody else's stays theirs, a stale one is told."""

import json
import os
from pathlib import Path

import pytest
import yaml

from hypevo.protocol import InputError, Outcome
from hypevo.tracking.inherited import SIGNATURES
from hypevo.tracking.store import Store
from hypevo.tracking.tracker import Tracker
from hypevo.trainings.record import Record

MADE_BY_MLFLOW_RUN = {"mlflow.project.entryPoint": "main", "mlflow.source.type": "PROJECT"}
PARAMETERS = {"seed": "2", "sampler": "classic", "generations": "1"}


@pytest.fixture
def client(arena):
    return Store.default().client()


def launched(
    client, monkeypatch, tags=MADE_BY_MLFLOW_RUN, params=PARAMETERS, experiment="0", name="launched"
):
    run = client.create_run(experiment, run_name=name, tags=tags)
    for key, value in params.items():
        client.log_param(run.info.run_id, key, value)
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    return run.info.run_id


def test_the_entry_points_that_a_launched_run_is_known_by_are_those_of_the_project():
    project = yaml.safe_load((Path(__file__).parents[3] / "MLproject").read_text())
    for name, signature in SIGNATURES.items():
        assert signature <= project["entry_points"][name]["parameters"].keys()


def test_the_run_that_mlflow_run_made_becomes_the_parent(evolution, monkeypatch):
    client = evolution.client
    run = launched(client, monkeypatch)
    evolution(1)
    assert evolution.parent.info.run_id == run
    assert evolution.parent.info.experiment_id == "0"
    assert list(evolution.children) == [0]
    assert "MLFLOW_RUN_ID" not in os.environ
    seen = json.loads(Path("runs/evolve/s/trials/0000/witness.json").read_text())
    assert seen["MLFLOW_RUN_ID"] is None  # a training that logs to MLflow must not write into the study's run

    again = launched(client, monkeypatch)
    evolution(2)
    assert evolution.parent.info.run_id == run
    assert client.get_run(again).data.tags["hypevo.continues"] == run


@pytest.mark.parametrize("tags", [{}, MADE_BY_MLFLOW_RUN], ids=["started", "launched"])
def test_a_pipeline_s_run_stays_the_pipeline_s_and_each_study_has_its_own(evolution, monkeypatch, tags):
    client = evolution.client
    experiment = client.create_experiment("pipeline")
    run = launched(client, monkeypatch, tags, {"seed": "2", "device": "cpu"}, experiment, "nightly")
    before = client.get_run(run)
    for study in ("a", "b"):
        monkeypatch.setenv("MLFLOW_RUN_ID", run)
        evolution(1, study=study)
        (parent,) = [r for r in evolution.runs(study) if "hypevo.trial" not in r.data.tags]
        (trial,) = [r for r in evolution.runs(study) if "hypevo.trial" in r.data.tags]
        assert parent.info.run_name == f"evolve {study}"
        assert parent.info.status == trial.info.status == "FINISHED"
        assert parent.data.tags["hypevo.pipeline"] == run
        assert trial.data.tags["mlflow.parentRunId"] == parent.info.run_id
    after = client.get_run(run)
    assert after.info.run_name == "nightly"
    assert after.info.status == "RUNNING"
    assert after.data.tags == before.data.tags


@pytest.mark.parametrize("value", ["deadbeef" * 4, "no run id at all!"])
def test_a_run_of_another_store_is_ignored_and_told(evolution, monkeypatch, value):
    monkeypatch.setenv("MLFLOW_RUN_ID", value)
    evolution(1)
    assert evolution.parent.info.run_name == "evolve s"
    assert evolution.parent.info.status == "FINISHED"
    assert any(f"MLFLOW_RUN_ID={value} is ignored" in message for message in evolution.watcher.messages)


def test_the_parent_run_of_another_study_is_not_taken_over(arena, client):
    """As version 0.1 left two studies of one pipeline."""
    run = client.create_run("0", tags={"hypevo.study": "other"}).info.run_id
    tracker = Tracker("s", Store.default())
    assert tracker.open(run, experiment="e", params={}, tags={}, dataset=None) != run
    assert tracker.close("FINISHED", "complete") == 0
    assert client.get_run(run).data.tags["hypevo.study"] == "other"


@pytest.mark.parametrize("ours", [True, False], ids=["launched", "pipeline"])
def test_a_single_training_takes_the_run_that_was_made_for_it_alone(arena, client, monkeypatch, ours):
    params = {"hyp": "scratch-low", "device": "cpu"} if ours else {}
    run = launched(client, monkeypatch, MADE_BY_MLFLOW_RUN if ours else {}, params)
    tracker = Tracker("once", Store.default())
    tracker.open_single("e", None)
    record = Record(arena / "once", 0)
    record.start({"lr0": 0.01}, {"attempt": 1})
    record.end(Outcome({"mAP_0.5": 0.5}), 0.5)
    tracker.update(record)
    assert tracker.drain() == 0
    assert (tracker.run_id(0) == run) is ours
    assert client.get_run(run).info.status == ("FINISHED" if ours else "RUNNING")
    assert client.get_run(run).info.run_name == "launched"
    if not ours:
        assert client.get_run(tracker.run_id(0)).data.tags["hypevo.pipeline"] == run


@pytest.mark.parametrize(
    ("option", "variable", "expected"),
    [
        (None, None, "hypevo"),
        (None, "mine", "mine"),
        ("given", "mine", "given"),
        ("hypevo", "mine", "hypevo"),
    ],
)
def test_mlflow_s_variable_names_the_experiment_unless_the_option_does(
    arena, client, monkeypatch, option, variable, expected
):
    if variable:
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", variable)
    tracker = Tracker("s", Store.default())
    tracker.open(None, experiment=option, params={}, tags={}, dataset=None)
    assert tracker.close("FINISHED", "complete") == 0
    assert client.get_experiment(tracker.experiment_id).name == expected


@pytest.mark.parametrize(
    ("option", "name", "expected"),
    [(None, None, "theirs"), (None, "theirs", "theirs"), ("given", None, "given"), ("given", "x", "given")],
)
def test_mlflow_s_variable_gives_the_experiment_s_id(arena, client, monkeypatch, option, name, expected):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", client.create_experiment("theirs"))
    if name:
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    tracker = Tracker("s", Store.default())
    tracker.open(None, experiment=option, params={}, tags={}, dataset=None)
    assert tracker.close("FINISHED", "complete") == 0
    assert client.get_experiment(tracker.experiment_id).name == expected


@pytest.mark.parametrize(
    ("number", "name", "said"),
    [
        ("4711", None, "MLFLOW_EXPERIMENT_ID=4711: MLflow at sqlite:///.* has no experiment of this id"),
        ("mine", None, "MLFLOW_EXPERIMENT_ID=mine: MLflow at sqlite:///.* has no experiment of this id"),
        ("1", None, "MLFLOW_EXPERIMENT_ID=1: MLflow at sqlite:///.* has deleted its experiment «gone»"),
        (
            "0",
            "mine",
            "MLFLOW_EXPERIMENT_NAME=mine and MLFLOW_EXPERIMENT_ID=0 mean two experiments: .* id 2;",
        ),
    ],
)
def test_an_experiment_s_id_that_means_nothing_is_told(arena, client, monkeypatch, number, name, said):
    client.delete_experiment(client.create_experiment("gone"))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", number)
    if name:
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    with pytest.raises(InputError, match=said):
        Tracker("s", Store.default()).open(None, experiment=None, params={}, tags={}, dataset=None)
