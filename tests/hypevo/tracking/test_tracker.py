"""What MLflow holds of a study, and that it holds it once whatever happened on the way."""

import json
import math
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from hypevo.protocol import Failure, Outcome, WorkError
from hypevo.tracking import outbox
from hypevo.tracking.charts import view_key
from hypevo.tracking.runs import status_of
from hypevo.tracking.store import Store
from hypevo.tracking.titles import NOTE
from hypevo.tracking.tracker import Tracker
from hypevo.tracking.verdict import Verdict
from hypevo.trainings.record import Record

METRICS = {"metrics/mAP_0.5-0.95", "metrics/precision", "val/box_loss", "train/box_loss", "fitness"}


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
        star = " ★" * (number == summary.best.number)
        assert run.info.run_name == f"{number:03d} · {trial.value:.4f}{star}"
        assert run.data.tags.get("hypevo.best") == ("true" if star else None)
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
        "evolve.csv", "evolve.png", "history.png", "hyp_evolved.yaml", "importance.png", "lineage.png", "plan.json",
        f"weights/{evolution.summary.best.number:04}/best.pt",
    ]  # fmt: skip
    place = f"#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}/artifacts/"
    assert f"[evolve.png]({place}evolve.png?workflowType=machine_learning)" in parent.data.tags[NOTE]
    about = evolution.client.get_experiment(parent.info.experiment_id).tags[NOTE]
    assert about.startswith("Searches for the hyperparameters")
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
    view = json.loads(tags[f"mlflow.sharedViewState.{view_key(summary.parent_run)}"])
    assert view["name"] == "hypevo: s"
    assert view["state"].startswith("deflate;")


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
    tracker = opened()
    yield tracker
    tracker.stop()


def opened(known=None, study="s"):
    """A tracker that has opened its study, as a start of the driver does it."""
    tracker = Tracker(study, Store.default())
    tracker.open(known, experiment="e", params={"a": 1}, tags={}, dataset=None)
    return tracker


def delivered(tracker, *records):
    """Send the records, and end: as a driver that has nothing more to do."""
    for record in records:
        tracker.update(record)
    assert tracker.close("FINISHED", "complete") == 0
    return trial_runs(tracker)


def trial_runs(tracker):
    client = MlflowClient(tracker.store.uri)
    return client.search_runs([tracker.experiment_id], f"tags.mlflow.parentRunId = '{tracker.parent}'")


def client():
    return MlflowClient(Store.default().uri)


def finished_record(folder, number=0, attempt=1, values=(0.0, 0.1), final=0.5, metrics=None):
    record = Record(folder / f"{number:04d}", number)
    record.start({"lr0": 0.01}, {"attempt": attempt})
    for step, value in enumerate(values):
        record.add_epoch(step, {"mAP_0.5": value, "fitness": value})
    if final is not None:
        record.end(Outcome({"mAP_0.5": final} if metrics is None else metrics), final)
    return record


def failing(monkeypatch, method, *, after=False):
    """Have a call to MLflow fail, before it has done anything or after all."""
    whole = getattr(MlflowClient, method)

    def cut_off(*args, **more):
        if after:
            whole(*args, **more)
        raise OSError("connection lost")

    monkeypatch.setattr(MlflowClient, method, cut_off)


def interrupted_delivery(tracker, record, monkeypatch, method, *, after=False):
    """A delivery that was cut off in one of its calls, and the driver ended then; MLflow is whole again afterwards."""
    with monkeypatch.context() as patch:
        failing(patch, method, after=after)
        tracker.update(record)
        assert tracker.close("FINISHED", "complete", patience=0.2) == 1


@pytest.mark.parametrize(
    "method", ["log_batch", "log_artifact", "set_terminated", "create_run", "log_inputs"]
)
@pytest.mark.parametrize("after", [False, True])
def test_a_delivery_that_was_cut_off_anywhere_is_once_in_mlflow(tracker, arena, monkeypatch, method, after):
    record = finished_record(arena / "trials")
    interrupted_delivery(tracker, record, monkeypatch, method, after=after)
    (run,) = delivered(opened(tracker.parent), record)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr0": "0.01"}
    assert points(client(), run) == [(0, 0.0), (1, 0.1), (2, 0.5)]
    assert points(client(), run, "metrics/mAP_0.5") == [(0, 0.0), (1, 0.1), (2, 0.5)]


def test_a_request_for_a_run_whose_answer_was_lost_makes_one_run(tracker, arena, monkeypatch):
    whole, lost = MlflowClient.create_run, []

    def lost_once(*args, **more):
        made = whole(*args, **more)
        if not lost:
            lost.append(made)
            raise OSError("connection lost")
        return made

    monkeypatch.setattr(MlflowClient, "create_run", lost_once)
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.01)
    (run,) = delivered(tracker, finished_record(arena / "trials"))
    assert run.info.run_id == lost[0].info.run_id
    assert run.info.status == "FINISHED"


def test_final_metrics_that_the_last_epoch_reported_are_no_step_of_their_own(tracker, arena):
    (run,) = delivered(tracker, finished_record(arena / "trials", values=(0.1, 0.4), final=0.4))
    assert points(client(), run) == [(0, 0.1), (1, 0.4)]
    assert points(client(), run, "epoch") == [(0, 0.0), (1, 1.0)]


@pytest.mark.parametrize("reported", [1, 2])
def test_a_trial_that_is_run_again_after_it_reported_has_each_epoch_once(tracker, arena, reported):
    values = (0.1, 0.4)
    record = finished_record(arena / "trials", values=values[:reported], final=None)
    tracker.update(record)
    assert tracker.close("KILLED", "interrupted") == 0
    record = finished_record(arena / "trials", attempt=2, values=values, final=0.4)
    (run,) = delivered(opened(tracker.parent), record)
    assert points(client(), run) == [(0, 0.1), (1, 0.4)]
    assert points(client(), run, "epoch") == [(0, 0.0), (1, 1.0)]
    assert run.info.status == "FINISHED"


def test_epochs_that_threads_report_out_of_order_are_all_there(tracker, arena):
    record = finished_record(arena / "trials", values=(), final=None)
    for step in (3, 1):
        record.add_epoch(step, {"fitness": step / 10})
    tracker.update(record)
    assert tracker.close("KILLED", "interrupted") == 0
    for step in (0, 5, 2, 4, 2):
        record.add_epoch(step, {"fitness": step / 10})
    record.end(Outcome({"fitness": 0.5}), 0.5)
    (run,) = delivered(opened(tracker.parent), record)
    assert sorted(points(client(), run)) == [(step, step / 10) for step in range(6)]
    assert sorted(points(client(), run, "epoch")) == [(step, float(step)) for step in range(6)]


def test_a_trial_that_comes_out_differently_when_run_again_shows_its_own_result(tracker, arena):
    tracker.update(finished_record(arena / "trials", values=(0.1, 0.2, 0.3), final=None))
    assert tracker.close("KILLED", "interrupted") == 0
    record = finished_record(arena / "trials", attempt=2, values=(0.7,), final=0.7)
    (run,) = delivered(opened(tracker.parent), record)
    assert run.data.metrics["fitness"] == 0.7
    assert run.data.metrics["metrics/mAP_0.5"] == 0.7


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_final_metric_that_is_no_number_is_not_logged_again(tracker, arena, value):
    (run,) = delivered(tracker, finished_record(arena / "trials", values=(value,), final=value))
    assert [step for step, _ in points(client(), run)] == [0]


def test_two_runs_of_one_trial_become_one_at_the_next_start(tracker, arena):
    tags = {"mlflow.parentRunId": tracker.parent, "hypevo.trial": "0", "hypevo.study": "s"}
    first = client().create_run(tracker.experiment_id, tags=tags, start_time=1000)
    client().create_run(tracker.experiment_id, tags=tags, start_time=2000)
    runs = delivered(opened(tracker.parent))
    assert [run.info.run_id for run in runs] == [first.info.run_id]


def test_a_run_that_a_killed_driver_had_asked_for_and_got_late_is_not_there_at_the_end(tracker, arena):
    tracker.update(finished_record(arena / "trials"))
    while tracker.run_id(0) is None or tracker.needs(0):
        time.sleep(0.01)
    tags = {"mlflow.parentRunId": tracker.parent, "hypevo.trial": "0", "hypevo.study": "s"}
    client().create_run(tracker.experiment_id, tags=tags)
    (run,) = delivered(tracker)
    assert run.info.run_id == tracker.run_id(0)


def test_nothing_is_sent_once_another_driver_has_the_study(arena):
    """A suspended machine wakes up with deliveries in its outbox, before the driver knows."""
    taken_over = threading.Event()

    def still_ours():
        if taken_over.is_set():
            raise WorkError("another driver took the study over")

    tracker = Tracker("s", Store.default(), still_ours=still_ours)
    tracker.open(None, experiment="e", params={}, tags={}, dataset=None)
    record = finished_record(arena / "trials", final=None)
    tracker.update(record)
    while tracker.run_id(0) is None or tracker._outbox.left():
        time.sleep(0.01)
    taken_over.set()
    record.end(Outcome({"mAP_0.5": 0.5}), 0.5)
    tracker.update(record)
    tracker.update(finished_record(arena / "trials", number=1))
    assert tracker.close("FAILED", "stopped", patience=20) == 0
    (run,) = trial_runs(tracker)
    assert (run.info.status, run.data.tags["hypevo.state"]) == ("RUNNING", "running")
    assert client().get_run(tracker.parent).info.status == "RUNNING"
    assert tracker.notices() == []


def test_a_result_that_comes_while_the_epochs_are_read_waits_for_the_next_delivery(
    tracker, arena, monkeypatch
):
    record = finished_record(arena / "trials", values=(0.1,), final=None)
    read = Record.epochs.fget

    def read_slowly(self):
        epochs = read(self)
        if self.result is None:  # and the driver is faster
            self.add_epoch(1, {"fitness": 0.2})
            self.end(Outcome({"mAP_0.5": 0.7}), 0.2)
            tracker.update(self)
        return epochs

    monkeypatch.setattr(Record, "epochs", property(read_slowly))
    (run,) = delivered(tracker, record)
    assert points(client(), run) == [(0, 0.1), (1, 0.2), (2, 0.2)]
    assert run.info.status == "FINISHED"


def test_a_folder_being_made_anew_is_left_for_later(tracker, arena):
    assert delivered(tracker, Record(arena / "trials" / "0000", 0)) == []


def test_the_study_s_own_curve_is_sent_in_batches_and_once(tracker, monkeypatch):
    """5,000 imported trials: MLflow takes 1,000 values at a time, and has them all at the second start."""
    whole, sizes = MlflowClient.log_batch, []

    def counted(self, run, metrics=(), **more):
        sizes.append(len(metrics))
        return whole(self, run, metrics=metrics, **more)

    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    for again in (tracker, opened(tracker.parent)):
        for step in range(1, 5001):
            again.progress(step, {"fitness": step / 5000, "best_trial": float(step), "mAP_0.5": 0.5})
        assert again.close("FINISHED", "complete") == 0
    sent = [size for size in sizes if size]
    assert sum(sent) == 5000 * 4
    assert len(sent) <= 30
    history = points(client(), client().get_run(tracker.parent))
    assert history == [(step, step / 5000) for step in range(1, 5001)]


def test_metrics_and_values_that_mlflow_would_refuse_are_fitted(tracker, arena):
    odd = {
        "a(b)": 1.0, "a[b]": 2.0, "a_b_": 3.0, "/up": 2.0, "../x": 3.0, "é": 4.0, "nan": math.nan, "inf": math.inf,
        "n" * 400: 5.0, "n" * 401: 6.0, "nul\0": 7.0, "a\n": 10.0, "": 11.0,
        "half " + chr(0xDC80): 8.0, "half " + chr(0xDC81): 9.0,
    }  # fmt: skip
    record = Record(arena / "trials" / "0000", 0)
    long = {"long": "x" * 9000, "half": "\udc80", "nul": "\0"}
    record.start({f"gene{i}": float(i) for i in range(250)}, {"attempt": 1, "params": long})
    record.add_epoch(0, odd)
    record.end(Outcome(failure=Failure.CRASHED, reason="\udcff\0" + "r" * 20000), None)
    (run,) = delivered(tracker, record)
    assert tracker.notices() == []
    assert run.info.status == "FAILED"
    assert run.data.tags["hypevo.reason"].startswith("\\udcff\\x00rrr")
    assert len(run.data.params) == 253
    assert run.data.params["half"] == "\\udc80"
    assert {"metrics/a_b_", "metrics/é", "metrics/nan", "metrics/inf"} <= set(run.data.metrics)
    assert len(run.data.metrics) == len(odd) + 1


def test_files_whose_names_no_address_can_hold_arrive_under_others(tracker, arena):
    record = finished_record(arena / "trials", final=None)
    names = [os.fsdecode(b"half\xff.txt"), "a%2Fb", "a#b", "a?b", "plain (1).txt"]
    (record.folder / "sub").mkdir()
    for name in names:
        (record.folder / name).write_text(name, errors="surrogateescape")
        (record.folder / "sub" / name).write_text("below")
    record.end(Outcome({"mAP_0.5": 0.5}), 0.5)
    (run,) = delivered(tracker, record)
    assert tracker.notices() == []
    stored = files(client(), run)
    assert {"plain (1).txt", "sub/plain (1).txt"} <= set(stored)
    assert len(stored) == 2 * len(names) + 2  # and hyp.yaml, result.json
    assert len([name for name in stored if name.startswith("a_")]) == 3


def test_a_study_of_version_0_1_shows_its_old_trials_in_today_s_charts(tracker, arena):
    """Version 0.1 sent `metrics/mAP_0.5:0.95`, which MLflow on Windows refuses."""
    old, new = "metrics/mAP_0.5:0.95", "metrics/mAP_0.5-0.95"
    tags = {"mlflow.parentRunId": tracker.parent, "hypevo.trial": "0", "hypevo.study": "s"}
    run = client().create_run(tracker.experiment_id, tags=tags)
    for step in range(2):
        client().log_metric(run.info.run_id, old, step / 4, timestamp=1000 + step, step=step)
        client().log_metric(run.info.run_id, "epoch", float(step), step=step)
    client().log_param(run.info.run_id, "lr0", "0.01")
    client().set_terminated(run.info.run_id)
    for _ in range(2):
        (run,) = delivered(opened(tracker.parent))
        assert points(client(), run, new) == points(client(), run, old) == [(0, 0.0), (1, 0.25)]


def test_every_metric_arrives_where_mlflow_runs_on_windows(tracker, arena, monkeypatch):
    monkeypatch.setattr("mlflow.utils.validation.is_windows", lambda: True)
    metrics = {"mAP_0.5:0.95": 0.3, "a:b": 0.1, "a_b": 0.2}
    record = Record(arena / "trials" / "0000", 0)
    record.start({"lr0": 0.01, "head:depth": 2.0}, {"attempt": 1})
    record.add_epoch(0, metrics)
    record.end(Outcome(metrics), 0.3)
    tracker.progress(1, {"fitness": 0.3, "metrics/mAP_0.5:0.95": 0.3})
    (run,) = delivered(tracker, record)
    assert tracker.notices() == []
    assert run.data.metrics["metrics/mAP_0.5-0.95"] == 0.3
    assert sorted(run.data.metrics.values()) == [0.0, 0.1, 0.2, 0.3, 0.3]
    assert len(run.data.params) == 2
    assert client().get_run(tracker.parent).data.metrics["metrics/mAP_0.5-0.95"] == 0.3


def test_runs_of_another_study_under_the_same_parent_are_let_alone(tracker, arena):
    tags = {"mlflow.parentRunId": tracker.parent, "hypevo.trial": "0", "hypevo.study": "other"}
    foreign = client().create_run(tracker.experiment_id, tags=tags)
    again = opened(tracker.parent)
    assert again.needs(0)
    runs = delivered(again, finished_record(arena / "trials"))
    assert {run.data.tags["hypevo.study"]: run.info.status for run in runs} == {
        "s": "FINISHED",
        "other": "RUNNING",
    }
    assert client().get_run(foreign.info.run_id).data.metrics == {}


def test_a_verdict_that_was_cut_off_counts_as_undelivered_and_is_once_in_mlflow(tracker, arena, monkeypatch):
    (arena / "verdict.json").touch()
    files = (arena / "verdict.json",)
    verdict = Verdict("confirm s · better", {"seeds": 2}, {}, "why", files, None, {}, lambda note: note)
    with monkeypatch.context() as patch:
        failing(patch, "log_artifact", after=True)
        tracker.judge(verdict)
        assert tracker.close("FINISHED", "complete", patience=0.2) == 1
    again = opened(tracker.parent)
    again.judge(verdict)
    assert again.close("FINISHED", "complete") == 0
    run = client().get_run(tracker.parent)
    assert points(client(), run, "seeds") == [(1, 2.0)]
    assert (run.info.run_name, [one.path for one in client().list_artifacts(tracker.parent)]) == (
        "confirm s · better",
        ["verdict.json"],
    )
