"""A team's servers, as in deploy/compose.yaml: PostgreSQL below Optuna and MLflow, MLflow over HTTP, the dashboard."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from hypevo.study.storage import load_study

pytestmark = pytest.mark.slow


class Program:
    """A server of ours that can be killed and started again."""

    def __init__(self, folder: Path, words: list[str], path: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        program = Path(sys.executable).with_name(words[0])
        self._command = [program, *words[1:], "--port", str(self.port)]
        self._folder, self._path = folder, path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, stdout=log, stderr=log, start_new_session=True,
                env=environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            )  # fmt: skip
        end = time.monotonic() + 180
        while self.read(self._path) is None:
            assert time.monotonic() < end, (self._folder / "log").read_text()[-3000:]
            time.sleep(0.3)

    def read(self, path: str) -> bytes | None:
        try:
            return urllib.request.urlopen(self.uri + path, timeout=10).read()
        except OSError:
            return None

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def servers(postgresql_server, tmp_path, monkeypatch):
    """PostgreSQL's control, MLflow and the dashboard; the address of Optuna's database."""
    import psycopg

    plain = postgresql_server.address.replace("+psycopg", "")
    address = {}
    with psycopg.connect(plain, autocommit=True) as link:
        for name in ("team_optuna", "team_mlflow"):
            link.execute(f"CREATE DATABASE {name}")
            address[name] = postgresql_server.address.removesuffix("postgres") + name
    folders = [tmp_path / "servers" / name for name in ("mlflow", "dashboard")]
    for folder in folders:
        folder.mkdir(parents=True)
    words = ["mlflow", "server", "--workers", "1", "--backend-store-uri", address["team_mlflow"]]
    mlflow = Program(folders[0], [*words, "--artifacts-destination", "./artifacts"], "/health")
    dashboard = Program(folders[1], ["optuna-dashboard", address["team_optuna"]], "/api/studies")
    mlflow.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.uri)
    yield postgresql_server, mlflow, dashboard, address["team_optuna"]
    mlflow.kill()
    dashboard.kill()


def wait_for_trial(number: int) -> None:
    end = time.monotonic() + 180
    while not Path(f"runs/evolve/s/trials/{number:04d}/result.json").exists():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_each_server_may_be_restarted_under_a_study(evolution, servers, monkeypatch):
    from hypevo.tracking import outbox
    from hypevo.tracking.tracker import Tracker

    postgresql, mlflow, dashboard, storage = servers
    monkeypatch.setattr(outbox, "LONGEST_PAUSE", 2.0)
    whole = Tracker.close
    monkeypatch.setattr(
        Tracker, "close", lambda self, status, state: whole(self, status, state, patience=180.0)
    )
    shown = []

    def disturb():
        wait_for_trial(0)
        dashboard.start()
        shown.append(dashboard.read("/api/studies"))
        wait_for_trial(2)
        postgresql.stop()
        time.sleep(2)
        postgresql.start()
        wait_for_trial(4)
        mlflow.kill()
        time.sleep(2)
        mlflow.start()

    thread = threading.Thread(target=disturb)
    thread.start()
    summary = evolution(8, storage=storage, options={"epochs": 3, "sleep": 0.3})
    thread.join()
    assert (summary.done, summary.undelivered) == (8, 0)
    (study,) = json.loads(shown[0])["study_summaries"]
    assert study["study_name"] == "s"
    answers = [dashboard.read("/api/studies") for _ in range(3)]  # the first one after a restart is an error
    assert answers[-1] is not None, "the dashboard survives the restart of its database, too"
    trials = load_study(storage, "s").get_trials(deepcopy=False)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 8
    assert len(evolution.csv) == 8
    children = evolution.children
    assert sorted(children) == list(range(8))
    for run in children.values():
        assert run.info.status == "FINISHED"
        history = evolution.client.get_metric_history(run.info.run_id, "fitness")
        assert Counter(metric.step for metric in history) == Counter(range(3))
        names = {file.path for file in evolution.client.list_artifacts(run.info.run_id)}
        assert names >= {"hyp.yaml", "log.txt"}, "artifacts pass through the server"
        assert run.info.artifact_uri.startswith("mlflow-artifacts:")
