"""MLflow's measurements of the driver's machine."""

import time

from mlflow import MlflowClient

from hypevo.tracking.machine import UNSEEN, Machine


def test_the_machine_is_measured_where_it_is_wanted_until_the_end(arena, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    uri = f"sqlite:///{arena / 'mlflow.db'}"
    client = MlflowClient(uri)
    run = client.create_run("0").info.run_id
    unwanted = Machine(uri, wanted=False)
    unwanted.watch(run)
    unwanted.end()
    machine = Machine(uri, wanted=True)
    machine.watch(run)
    machine.watch(run)
    while "system/cpu_utilization_percentage" not in client.get_run(run).data.metrics:
        time.sleep(0.05)
    machine.end()
    before = client.get_metric_history(run, "system/cpu_utilization_percentage")
    assert [point.step for point in before] == list(range(len(before)))


def test_gpus_that_are_not_measured_are_said(arena, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert Machine("sqlite:///mlflow.db", wanted=True).unseen == UNSEEN
    assert Machine("sqlite:///mlflow.db", wanted=False).unseen == ""
