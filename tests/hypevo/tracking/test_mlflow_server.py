"""An MLflow server that goes away in the middle of a study, for a while or for good."""

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
from urllib.parse import quote

import psutil
import pytest

from hypevo.study.storage import load_study
from hypevo.tracking import outbox

pytestmark = pytest.mark.slow


class Server:
    """A real `mlflow server` on a free port, which can be stopped, killed and started again."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        environ = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        environ.pop("MLFLOW_TRACKING_URI", None)
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(self.port),
                "--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts",
            ],
            cwd=self.folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        end = time.monotonic() + 120
        while True:
            try:
                return urllib.request.urlopen(f"{self.uri}/health", timeout=5).read()
            except OSError:
                assert time.monotonic() < end, "the server did not start"
                time.sleep(0.2)

    def kill(self):
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(arena, monkeypatch):
    folder = arena / "server"
    folder.mkdir()
    (arena / "mlflow.db").rename(folder / "mlflow.db")
    server = Server(folder)
    server.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setattr(outbox, "LONGEST_PAUSE", 2.0)
    yield server
    server.kill()


def wait_for_trial(number):
    end = time.monotonic() + 120
    while not Path(f"runs/evolve/s/trials/{number:04d}/result.json").exists() and time.monotonic() < end:
        time.sleep(0.02)


def whole_and_once(evolution, total, epochs):
    """Every trial is one finished run with each epoch, parameter and artifact once."""
    children = evolution.children
    assert sorted(children) == list(range(total))
    for run in children.values():
        assert run.info.status == "FINISHED"
        assert len(run.data.params) == 29
        history = evolution.client.get_metric_history(run.info.run_id, "fitness")
        assert Counter(metric.step for metric in history) == Counter(range(epochs))
        assert {file.path for file in evolution.client.list_artifacts(run.info.run_id)} >= {
            "hyp.yaml",
            "log.txt",
        }
    assert evolution.parent.info.status == "FINISHED"
    history = evolution.client.get_metric_history(evolution.parent.info.run_id, "fitness")
    assert Counter(metric.step for metric in history) == Counter(range(1, total + 1))


def test_a_server_that_goes_and_comes_back_misses_nothing(evolution, server, monkeypatch):
    from hypevo.tracking.tracker import Tracker

    whole = Tracker.close
    monkeypatch.setattr(  # on a busy machine a server takes longer to start than the driver waits
        Tracker, "close", lambda self, status, state: whole(self, status, state, patience=120.0)
    )

    def outage():
        wait_for_trial(1)
        server.kill()
        wait_for_trial(4)
        server.start()

    thread = threading.Thread(target=outage)
    thread.start()
    summary = evolution(8, options={"epochs": 3, "sleep": 0.4})
    thread.join()
    said = " ".join(evolution.watcher.messages)
    assert "MLflow does not answer" in said
    assert summary.done == 8
    assert summary.undelivered == 0
    whole_and_once(evolution, 8, 3)


def test_what_a_server_that_stayed_away_did_not_get_it_gets_at_the_next_start(evolution, server, monkeypatch):
    from hypevo.tracking.tracker import Tracker

    whole = Tracker.close
    impatient = {"patience": 3.0}
    monkeypatch.setattr(Tracker, "close", lambda self, status, state: whole(self, status, state, **impatient))
    thread = threading.Thread(target=lambda: (wait_for_trial(1), server.kill()))
    thread.start()
    summary = evolution(6, options={"epochs": 3, "sleep": 0.3})
    thread.join()
    assert summary.done == len(evolution.csv) == 6
    assert summary.undelivered > 0

    server.start()
    impatient.clear()
    assert evolution.parent.info.status == "RUNNING"
    assert evolution(6, options={"epochs": 3, "sleep": 0.3}).undelivered == 0
    assert evolution.watcher.starts == []
    whole_and_once(evolution, 6, 3)


TALKS = """
import os
SPACE, METRICS = "yolov5", ("a",)
def train(hyp, *, out, seed, device, report):
    if (out.parent.parent / "once").exists():
        raise RuntimeError(f"no answer from {os.environ['MLFLOW_TRACKING_URI']}")
    (out.parent.parent / "once").touch()
    print("trained")
    return {"a": 1.0}
"""


def test_a_study_leaves_no_password_anywhere(server, arena, postgresql, monkeypatch):
    (arena / "talks.py").write_text(TALKS)
    secrets = "tr/ack @%3Ax9ing", "st/or @%3Ax9age"
    quoted = [quote(secret, "") for secret in secrets]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri.replace("://", f"://anna:{quoted[0]}@"))
    storage = postgresql.replace("hypevo@", f"hypevo:{quoted[1]}@")
    command = [
        sys.executable,
        "-m",
        "hypevo",
        "evolve",
        "--trainer",
        "talks:train",
        "--fitness",
        "a",
        "--device",
        "cpu",
    ]
    command += [
        "--study",
        "secrets",
        "--device",
        "cpu",
        "--generations",
        "3",
        "--max-failures",
        "2",
        "--storage",
        storage,
    ]
    titles, said = set(), b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        while process.poll() is None:
            if (arena / "runs").exists():  # it is at work: Python itself has had its command line
                everybody = psutil.process_iter(["cmdline"])
                titles |= {" ".join(one.info["cmdline"] or ()) for one in everybody}
            time.sleep(0.1)
        said += process.stdout.read()
    assert b"RuntimeError: no answer from http://***@127.0.0.1" in said
    assert any("hypevo evolve" in title for title in titles)
    server.kill()
    said += subprocess.run(command, capture_output=True, check=False).stderr
    assert b"MLflow at http://***@127.0.0.1" in said
    files = {path: path.read_bytes() for path in arena.rglob("*") if path.is_file()}
    assert any(path.name == "log.txt" and b"no answer from" in content for path, content in files.items())
    assert any(path.name == "mlflow.db" and b"no answer from" in content for path, content in files.items())
    study = load_study(storage, "secrets")
    stored = repr([study.user_attrs, study.get_trials()]).encode()
    assert b"no answer from" in stored
    files |= {"terminal": said, "Optuna": stored, "processes": "\n".join(titles).encode()}
    for secret in (*secrets, *quoted, "x9ing", "x9age"):
        assert [name for name, content in files.items() if secret.encode() in content] == []
