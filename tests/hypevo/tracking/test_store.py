"""The store: made whole or not at all, found in folders of any name, and explained where it does not answer."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from mlflow import MlflowClient

from hypevo.protocol import InputError, Outcome
from hypevo.tracking import outbox, patience
from hypevo.tracking.store import Store
from hypevo.tracking.tracker import Tracker
from hypevo.trainings.record import Record

PAGE = b"<!doctype html><html><title>Please log in</title></html>"


@pytest.fixture
def server():
    """A real server on this machine that answers as `server.answer` says; its address is `server.uri`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, body = self.server.answer
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name that the server calls

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.uri = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class PostgreSQL:
    """A server of its own on a free port, which can be stopped and started."""

    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"postgresql+psycopg://hypevo@127.0.0.1:{self.port}/postgres"
        self.user = {"user": "nobody"} if os.getuid() == 0 else {}  # the server refuses to be run by root
        if self.user:
            shutil.chown(folder, "nobody")
        self.run("initdb", "-U", "hypevo", "-A", "trust")
        self.start()

    def start(self):
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1"
        self.run("pg_ctl", "start", "-w", "-l", self.folder / "log", "-o", options)

    def stop(self):
        self.run("pg_ctl", "stop", "-w", "-m", "immediate")

    def run(self, program, *arguments):
        command = [self.programs / program, "-D", self.folder / "data", *arguments]
        subprocess.run(
            command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, timeout=120, **self.user
        )


@pytest.fixture
def postgresql_of_its_own():
    pytest.importorskip("psycopg")
    found = shutil.which("pg_ctl") or next(
        iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))), None
    )
    if found is None:
        pytest.skip("no PostgreSQL server here")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # its sockets' names must be short
    server = PostgreSQL(Path(found).resolve().parent, folder)
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("code", "body", "words"),
    [
        (401, PAGE, ["does not know you (401)", "MLFLOW_TRACKING_USERNAME"]),
        (401, b'{"error_code": "UNAUTHENTICATED", "message": "who are you"}', ["(401)", "who are you"]),
        (403, PAGE, ["forbids this (403)", "right to write"]),
        (404, PAGE, ["no MLflow server (404)"]),
        (200, PAGE, ["answers with a web page", "login page", "in a browser"]),
        (200, b"hello", ["answers with something else"]),
        (503, PAGE, ["does not answer", "503", "Start the server"]),
    ],
)
def test_each_wrong_answer_has_its_own_words(server, code, body, words):
    server.answer = code, body
    with pytest.raises(InputError) as caught:
        Store(server.uri).check()
    assert all(word in str(caught.value) for word in [server.uri, *words]), caught.value
    assert len(str(caught.value).splitlines()) == 2


def test_what_only_the_user_can_mend_is_not_waited_for(server, monkeypatch):
    server.answer = 401, PAGE
    monkeypatch.setattr(patience, "OPENING_PATIENCE", 3600.0)
    with pytest.raises(InputError, match="does not know you"):
        Tracker("s", Store(server.uri)).open(None, experiment=None, params={}, tags={}, dataset=None)


@pytest.mark.parametrize("revision", ["3500d859a5c7", "ffffffffffff"], ids=["older", "newer"])
def test_a_database_of_another_mlflow_is_told_with_what_to_do(arena, revision):
    name = f"{revision}.db"  # MLflow keeps a database it has seen
    Path("mlflow.db").rename(name)
    with sqlite3.connect(name) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", [revision])
    database.close()
    with pytest.raises(InputError) as caught:
        Store(f"sqlite:///{arena / name}").check()
    said = str(caught.value)
    assert f"got {revision}" in said
    assert "expected schema" in said
    assert f"mlflow db upgrade sqlite:///{arena / name}" in said
    assert "does not answer" not in said


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(uri):
    with pytest.raises(InputError, match="expected a store that lasts"):
        Store(uri).check()


def test_a_new_local_store_is_complete_or_not_there(bare_arena):
    store = Store(f"sqlite:///{bare_arena / 'new' / 'mlflow.db'}")
    store.check()
    assert not (bare_arena / "new").exists()  # a check makes nothing
    assert len(store.client().search_experiments()) == 1
    assert [path.name for path in (bare_arena / "new").iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("driver", ["postgresql+psycopg", "mysql+no_such_driver"])
def test_a_database_that_is_away_is_refused(driver):
    with pytest.raises(InputError, match="does not answer") as caught:
        Store(f"{driver}://user:word@127.0.0.1:1/none").check()
    assert "word" not in str(caught.value)


def test_a_store_that_is_no_database_is_refused(bare_arena):
    (bare_arena / "mlflow.db").write_text("no database")
    with pytest.raises(InputError, match="does not answer"):
        Store.default().check()


STUDY = """
from pathlib import Path
from hypevo.protocol import Outcome
from hypevo.tracking.store import Store
from hypevo.tracking.tracker import Tracker
from hypevo.trainings.record import Record

study = Tracker("s", Store.default())
study.open(None, experiment=None, params={}, tags={}, dataset=None)
record = Record(Path("trials/0000"), 0)
record.start({"lr0": 0.01}, {"attempt": 1})
record.add_epoch(0, {"mAP_0.5": 0.5})
record.end(Outcome({"mAP_0.5": 0.5}), 0.5)
study.update(record)
assert study.close("FINISHED", "complete") == 0
assert study.notices() == []
client = Store.default().client()
assert client.get_run(study.run_id(0)).data.metrics["fitness"] == 0.5
assert Path(client.download_artifacts(study.run_id(0), "hyp.yaml")).read_text() == "lr0: 0.01\\n"
"""


@pytest.mark.parametrize("name", ["a%2Fb", "a?b", "a#b", "a b", "ä%&=+b"])
def test_a_study_in_a_folder_of_any_name_is_in_that_folder(arena, name):
    folder = arena / name
    folder.mkdir()
    (arena / "mlflow.db").rename(folder / "mlflow.db")
    # A process of its own, as MLflow keeps what it knows of an address for as long as a process lives.
    answer = subprocess.run(
        [sys.executable, "-c", STUDY], cwd=folder, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert sorted(path.name for path in arena.iterdir()) == sorted([name, "landscape.py"])
    assert sorted(path.name for path in folder.iterdir()) == ["mlflow.db", "mlruns", "trials"]
    assert [file.name for file in folder.glob("mlruns/hypevo/*/artifacts/hyp.yaml")] == ["hyp.yaml"]


def test_a_new_store_is_made_in_a_folder_of_any_name(bare_arena, monkeypatch):
    (bare_arena / "a?%2Fb").mkdir()
    monkeypatch.chdir(bare_arena / "a?%2Fb")
    Store.default().client()
    assert [path.name for path in Path().iterdir()] == ["mlflow.db"]
    assert sorted(path.name for path in bare_arena.iterdir()) == ["a?%2Fb", "landscape.py"]


def test_a_store_that_goes_away_while_a_study_opens_is_waited_for(arena, monkeypatch):
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.01)
    store = Store.default()
    calls = (
        "get_experiment_by_name",
        "create_experiment",
        "create_run",
        "update_run",
        "search_runs",
        "log_batch",
    )
    for name in calls:  # each is cut off once, after it has done its work: a restart that comes at any moment
        whole = getattr(MlflowClient, name)

        def once(*args, _whole=whole, _name=name, **more):
            answer = _whole(*args, **more)
            if _name not in cut:
                cut.append(_name)
                raise ConnectionResetError("restarted")
            return answer

        monkeypatch.setattr(MlflowClient, name, once)
    cut, told = [], []
    study = Tracker("s", store, tell=told.append)
    study.open(None, experiment="e", params={"a": 1}, tags={}, dataset=None)
    assert study.close("FINISHED", "complete") == 0
    assert sorted(cut) == sorted(calls)
    assert "MLflow does not answer (restarted); waiting for it" in told[0]
    assert told[1:] == ["MLflow answers again"]
    (run,) = MlflowClient(store.uri).search_runs([study.experiment_id])
    assert (run.info.run_name, run.info.status, run.data.params) == ("evolve s", "FINISHED", {"a": "1"})


def test_a_store_that_stays_away_is_not_waited_for_without_end(arena, monkeypatch):
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(patience, "OPENING_PATIENCE", 0.1)

    def away(*_, **__):
        raise ConnectionResetError("gone")

    monkeypatch.setattr(MlflowClient, "create_run", away)
    with pytest.raises(InputError, match="does not answer: gone"):
        Tracker("s", Store.default()).open(None, experiment="e", params={}, tags={}, dataset=None)


@pytest.mark.slow
def test_a_postgresql_server_that_restarts_is_waited_out(arena, postgresql_of_its_own, monkeypatch):
    """While the study opens, and while it delivers."""
    monkeypatch.setattr(outbox, "LONGEST_PAUSE", 1.0)
    server = postgresql_of_its_own
    store = Store(server.uri)
    store.client()
    told = []
    study = Tracker("s", store, tell=told.append)
    server.stop()
    starting = threading.Timer(1.0, server.start)
    starting.start()
    study.open(None, experiment="e", params={}, tags={}, dataset=None)
    starting.join()
    assert "waiting for it" in told[0]
    assert "answers again" in told[1]

    server.stop()
    record = Record(arena / "0000", 0)
    record.start({"lr0": 0.01, "nul\0": 1.0}, {"attempt": 1, "params": {"text": "nul\0"}})
    record.add_epoch(0, {"mAP_0.5": 0.5, "nul\0": 1.0, "n" * 600: 2.0})
    record.end(Outcome({"mAP_0.5": 0.5}), 0.5)
    study.update(record)
    away = []
    while not away:  # the first try has failed
        away = study.notices()
    server.start()
    assert study.close("FINISHED", "complete", patience=120.0) == 0
    assert "MLflow does not answer" in away[0]
    assert study.notices() == ["MLflow answers again"]
    run = MlflowClient(store.uri).get_run(study.run_id(0))
    assert run.info.status == "FINISHED"
    assert len(run.data.metrics) == 5
    assert len(run.data.params) == 3


def test_a_new_database_is_closed_before_it_is_moved(bare_arena, monkeypatch):
    """Windows moves and deletes no file that is open."""
    moved = []
    for name, system in (("link", os.link), ("unlink", os.unlink)):

        def closed(path, *more, really=system, name=name):
            if ".mlflow.db." in str(path):
                moved.append(name)
                held = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]  # noqa: PTH208
                assert not [path for path in held if ".mlflow.db." in path]
            return really(path, *more)

        monkeypatch.setattr(os, name, closed)
    Store.default().client()
    assert moved == ["link", "unlink"]
    assert (bare_arena / "mlflow.db").exists()


@pytest.mark.parametrize(
    "name",
    ["../../x", "..", ".", "/etc/x", "C:\\x", "\\\\server\\x", "~/x", "a/../../../b", "../x%2F..", "a\nb"],
)
def test_an_experiment_s_artifacts_stay_below_mlruns(arena, name):
    store = Store.default()
    client = store.client()
    place = client.get_experiment(store.experiment(client, name)).artifact_location
    folder = Path(unquote(urlsplit(place).path)).resolve()
    assert folder.is_relative_to(arena / "mlruns")
