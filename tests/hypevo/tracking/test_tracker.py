"""What MLflow holds of a study, and that it holds it once whatever happened on the way."""

import json
import os
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from hypevo.protocol import Failure, InputError, Outcome
from hypevo.tracking.charts import view_key
from hypevo.tracking.tracker import Store, Tracker, status_of
from hypevo.trainings.record import Record

METRICS = {"metrics/mAP_0.5:0.95", "metrics/precision", "val/box_loss", "train/box_loss", "fitness"}


def points(client, run, key="fitness"):
    return [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key)]


def files(client, run, path=None):
    found = []
    for entry in client.list_artifacts(run.info.run_id, path):
        found += files(client, run, entry.path) if entry.is_dir else [entry.path]
    return sorted(found)


def test_a_study_is_a_parent_run_with_a_child_run_for_each_trial(evolution):
    summary = evolution(2, options={"epochs": 3})
    parent, children = evolution.parent, evolution.children
    assert parent.info.run_name == "evolve s"
    assert parent.info.status == "FINISHED"
    assert sorted(children) == [0, 1]
    for number, run in children.items():
        trial = evolution.trials[number]
        assert run.info.run_name == f"trial {number:04d}"
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert len(run.data.params) == 29
        assert float(run.data.params["lr0"]) == trial.params["lr0"]
        assert set(run.data.metrics) >= METRICS
        assert [step for step, _ in points(evolution.client, run)] == [0, 1, 2]
        assert run.data.metrics["fitness"] == trial.value
        assert files(evolution.client, run) == ["hyp.yaml", "log.txt", "result.json", "witness.json"]
        assert run.data.tags["hypevo.seed"] == "2"
        assert run.data.tags["hypevo.device"] == "cpu"
    assert children[0].data.tags["hypevo.origin"] == "default"
    assert files(evolution.client, parent) == [
        "evolve.csv", "evolve.png", "hyp_evolved.yaml", "plan.json", "weights/best.pt",
    ]  # fmt: skip
    assert parent.data.metrics["fitness"] == summary.best.value
    assert [step for step, _ in points(evolution.client, parent)] == [1, 2]


def test_all_that_is_needed_to_repeat_it_is_in_the_parent_run(evolution):
    evolution(1, options={"data": "hills.yaml"})
    tags, params = evolution.parent.data.tags, evolution.parent.data.params
    for name in ("command", "python", "machine", "version.optuna", "version.mlflow", "version.numpy"):
        assert tags[f"hypevo.{name}"]
    assert tags["hypevo.dataset"] == "5eed0f1a7d5ca9e"
    (given,) = evolution.parent.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("hills", "5eed0f1a")
    assert evolution.children[0].inputs.dataset_inputs[0].dataset.digest == "5eed0f1a"
    assert params["seed"] == "2"
    assert params["sampler"] == "classic"
    assert params["trainer"] == "landscape:train"
    assert params["trainer.epochs"] == "2"
    assert params["trial_seed"] == "fixed"
    place = evolution.client.download_artifacts(evolution.parent.info.run_id, "plan.json")
    plan = json.loads(Path(place).read_text())
    assert plan["hyp"]["lr0"] == 0.01
    assert plan["space"]["lr0"]["low"] == 1e-5


def test_a_chart_view_of_the_study_is_saved_with_the_experiment(evolution):
    summary = evolution(1)
    tags = evolution.client.get_experiment(summary.experiment_id).tags
    view = json.loads(tags[f"mlflow.sharedViewState.{view_key('s')}"])
    assert view["name"] == "hypevo: s"
    assert view["state"].startswith("deflate;")


def test_the_run_that_mlflow_run_made_becomes_the_parent(evolution, monkeypatch):
    client = evolution.client
    launched = client.create_run("0", run_name="launched")
    client.log_param(launched.info.run_id, "seed", "2")
    monkeypatch.setenv("MLFLOW_RUN_ID", launched.info.run_id)
    evolution(1)
    assert evolution.parent.info.run_id == launched.info.run_id
    assert evolution.parent.info.experiment_id == "0"
    assert list(evolution.children) == [0]
    assert "MLFLOW_RUN_ID" not in os.environ
    seen = json.loads(Path("runs/evolve/s/trials/0000/witness.json").read_text())
    assert seen["MLFLOW_RUN_ID"] is None  # a training that logs to MLflow must not write into the study's run

    again = client.create_run("0", run_name="again")
    monkeypatch.setenv("MLFLOW_RUN_ID", again.info.run_id)
    evolution(2)
    assert evolution.parent.info.run_id == launched.info.run_id
    assert client.get_run(again.info.run_id).data.tags["hypevo.continues"] == launched.info.run_id


def test_another_store_is_filled_from_the_folders(evolution, arena, empty_store, monkeypatch):
    evolution(2)
    before = {number: run.data for number, run in evolution.children.items()}
    shutil.copy(empty_store, "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{arena / 'other.db'}")
    evolution(2)
    after = {number: run.data for number, run in evolution.children.items()}
    assert sorted(after) == [0, 1]
    for number in after:
        assert after[number].params == before[number].params
        assert after[number].metrics == before[number].metrics
    assert [step for step, _ in points(evolution.client, evolution.parent)] == [1, 2]


def test_deleted_runs_stop_nothing(evolution):
    evolution(1)
    evolution.client.delete_run(evolution.children[0].info.run_id)
    evolution.client.delete_run(evolution.parent.info.run_id)
    evolution(2)
    assert sorted(evolution.children) == [0, 1]
    assert evolution.parent.info.status == "FINISHED"


def test_a_new_local_store_is_complete_or_not_there(bare_arena):
    store = Store(f"sqlite:///{bare_arena / 'new' / 'mlflow.db'}")
    store.check()
    assert not (bare_arena / "new").exists()  # a check makes nothing
    assert len(store.client().search_experiments()) == 1
    assert [path.name for path in (bare_arena / "new").iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("driver", ["postgresql+psycopg", "mysql+no_such_driver"])
def test_a_database_that_is_away_is_refused(driver):
    with pytest.raises(InputError, match="does not answer"):
        Store(f"{driver}://user:word@127.0.0.1:1/none").check()


def test_a_store_that_is_no_database_is_refused(bare_arena):
    (bare_arena / "mlflow.db").write_text("no database")
    with pytest.raises(InputError, match="does not answer"):
        Store.default().check()


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (None, "FINISHED"),
        (Failure.PRUNED, "KILLED"),
        (Failure.INTERRUPTED, "KILLED"),
        (Failure.CRASHED, "FAILED"),
    ],
)
def test_statuses(failure, status):
    assert status_of(failure) == status


@pytest.fixture
def tracker(arena):
    tracker = Tracker("s", Store.default())
    tracker.open(None, experiment="e", params={"a": 1}, tags={}, dataset=None)
    return tracker


def finished_record(folder, number=0, attempt=1, steps=2, metrics=None):
    record = Record(folder / f"{number:04d}", number)
    record.start({"lr0": 0.01}, {"attempt": attempt})
    for step in range(steps):
        record.add_epoch(step, {"mAP_0.5": step / 10, "fitness": step / 10})
    record.finish(Outcome({"mAP_0.5": 0.5} if metrics is None else metrics), 0.5)
    return record


def children(tracker):
    client = MlflowClient(tracker.store.uri)
    return client, client.search_runs(
        [tracker.experiment_id], f"tags.mlflow.parentRunId = '{tracker.parent}'"
    )


def test_delivering_twice_logs_once(tracker, arena):
    record = finished_record(arena / "trials")
    tracker._deliver(record)
    tracker._open.add(0)  # as after a crash before the run was closed
    tracker._last_step.clear()
    tracker._deliver(record)
    client, (run,) = children(tracker)
    tracker.close("FINISHED", "complete")
    assert points(client, run) == [(0, 0.0), (1, 0.1), (2, 0.5)]
    assert points(client, run, "metrics/mAP_0.5") == [(0, 0.0), (1, 0.1), (2, 0.5)]


def test_a_run_whose_parameters_got_lost_gets_them(tracker, arena, monkeypatch):
    record = finished_record(arena / "trials")
    whole = MlflowClient.log_batch
    monkeypatch.setattr(MlflowClient, "log_batch", lambda *a, **k: (_ for _ in ()).throw(OSError("cut off")))
    with pytest.raises(OSError, match="cut off"):
        tracker._deliver(record)
    monkeypatch.setattr(MlflowClient, "log_batch", whole)
    successor = Tracker("s", tracker.store)
    successor.open(tracker.parent, experiment="e", params={}, tags={}, dataset=None)
    successor.update(record)
    assert successor.close("FINISHED", "complete") == 0
    _, (run,) = children(successor)
    assert run.data.params == {"lr0": "0.01"}
    tracker.close("FINISHED", "complete")


def test_a_request_for_a_run_whose_answer_was_lost_makes_one_run(tracker, arena, monkeypatch):
    record = finished_record(arena / "trials")
    whole = MlflowClient.create_run

    def made_but_not_told(*args, **more):
        whole(*args, **more)
        raise OSError("connection lost")

    monkeypatch.setattr(MlflowClient, "create_run", made_but_not_told)
    with pytest.raises(OSError, match="connection lost"):
        tracker._deliver(record)
    monkeypatch.setattr(MlflowClient, "create_run", whole)
    tracker._deliver(record)
    tracker.close("FINISHED", "complete")
    _, runs = children(tracker)
    assert [run.info.status for run in runs] == ["FINISHED"]


def test_two_runs_of_one_trial_become_one_at_the_next_start(tracker, arena):
    client = MlflowClient(tracker.store.uri)
    tags = {"mlflow.parentRunId": tracker.parent, "hypevo.trial": "0"}
    first = client.create_run(tracker.experiment_id, tags=tags, start_time=1000)
    client.create_run(tracker.experiment_id, tags=tags, start_time=2000)
    tracker.close("KILLED", "interrupted")
    successor = Tracker("s", tracker.store)
    successor.open(tracker.parent, experiment="e", params={}, tags={}, dataset=None)
    successor.close("FINISHED", "complete")
    _, runs = children(successor)
    assert [run.info.run_id for run in runs] == [first.info.run_id]


def test_another_attempt_s_last_metrics_are_those_of_the_run(tracker, arena):
    record = finished_record(arena / "trials", steps=3, metrics={"mAP_0.5": 0.2})
    tracker._deliver(Record(record.folder, 0))
    tracker._open.add(0)
    record.start({"lr0": 0.01}, {"attempt": 2})
    record.add_epoch(0, {"mAP_0.5": 0.7, "fitness": 0.7})
    record.finish(Outcome({"mAP_0.5": 0.7}), 0.7)
    tracker._deliver(record)
    tracker.close("FINISHED", "complete")
    _, (run,) = children(tracker)
    assert run.data.metrics["fitness"] == 0.7


def test_a_result_that_comes_while_the_epochs_are_read_waits_for_the_next_delivery(
    tracker, arena, monkeypatch
):
    record = Record(arena / "trials" / "0000", 0)
    record.start({"lr0": 0.01}, {"attempt": 1})
    record.add_epoch(0, {"fitness": 0.1})
    read = Record.epochs.fget

    def read_slowly(self):
        epochs = read(self)
        if self.result is None:  # and the driver is faster
            self.add_epoch(1, {"fitness": 0.2})
            self.finish(Outcome({"mAP_0.5": 0.7}), 0.2)
        return epochs

    monkeypatch.setattr(Record, "epochs", property(read_slowly))
    tracker._deliver(record)
    tracker._deliver(record)
    tracker.close("FINISHED", "complete")
    client, (run,) = children(tracker)
    assert points(client, run) == [(0, 0.1), (1, 0.2), (2, 0.2)]
    assert run.info.status == "FINISHED"


def test_a_folder_being_made_anew_is_left_for_later(tracker, arena):
    record = Record(arena / "trials" / "0000", 0)
    tracker.update(record)
    assert tracker.close("FINISHED", "complete") == 0
    assert children(tracker)[1] == []


def test_metrics_and_values_that_mlflow_would_refuse_are_fitted(tracker, arena):
    odd = {
        "a(b)": 1.0,
        "/up": 2.0,
        "../x": 3.0,
        "é": 4.0,
        "nan": float("nan"),
        "inf": float("inf"),
        "n" * 400: 5.0,
    }
    record = Record(arena / "trials" / "0000", 0)
    record.start({f"gene{i}": float(i) for i in range(250)}, {"attempt": 1, "params": {"long": "x" * 9000}})
    record.add_epoch(0, odd)
    record.finish(Outcome(failure=Failure.CRASHED, reason="r" * 20000), None)
    tracker.update(record)
    assert tracker.close("FINISHED", "complete") == 0
    assert tracker.news() == []
    _, (run,) = children(tracker)
    assert run.info.status == "FAILED"
    assert len(run.data.params) == 251
    assert {"metrics/a_b_", "metrics/é", "metrics/nan", "metrics/inf"} <= set(run.data.metrics)
    assert len(run.data.metrics) == len(odd) + 1
