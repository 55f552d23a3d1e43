"""The two servers, for real: started by the command, asked over HTTP, deaf to other pages, gone after any signal."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psutil
import pytest
from rich.console import Console

from hypevo.cli.served import guarded
from hypevo.cli.ui import Server, opened, serve
from hypevo.protocol import InputError
from hypevo.tracking.address import page_of


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answer(address: str, seconds: float = 120) -> str:
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10) as response:
                return response.read().decode()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > end:
                raise
            time.sleep(0.3)


def status(address: str, method: str = "GET", body: bytes | None = None, **headers: str) -> int:
    request = urllib.request.Request(address, method=method, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def until(true, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def commands() -> list[str]:
    return [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_both_pages_obey_their_own_browser_alone_and_end_with_the_command(evolution, arena, number):
    evolution(2)
    evolution(1, study="a second study with a name that is longer than its column")
    mlflow, dashboard = free_port(), free_port()
    options = ["--mlflow-port", str(mlflow), "--dashboard-port", str(dashboard)]
    said = arena / "said.txt"
    with (
        said.open("w") as file,
        subprocess.Popen([sys.executable, "-m", "hypevo", "ui", *options], stderr=file) as process,
    ):
        try:
            studies = f"http://127.0.0.1:{dashboard}/api/studies"
            assert '"study_name":"s"' in answer(studies).replace(" ", "")
            assert "<title>MLflow</title>" in answer(f"http://127.0.0.1:{mlflow}/")
            until(lambda: "Ctrl-C stops both" in said.read_text())
            shown = said.read_text()
            assert max(map(len, shown.splitlines())) <= 80
            assert "2 of 2" in shown
            for study in (0, 1):
                assert f" http://127.0.0.1:{dashboard}/dashboard/studies/{study} " in shown
            assert f" http://127.0.0.1:{dashboard}/mlflow/0 " in shown
            lead = urllib.request.urlopen(f"http://127.0.0.1:{dashboard}/mlflow/0", timeout=30).geturl()
            page = f"http://127.0.0.1:{mlflow}/#/experiments/"
            assert lead == f"{page}1/runs/{evolution.parent.info.run_id}?workflowType=machine_learning"
            log = f"mlruns/ui-{dashboard}.log"
            assert log in shown
            assert "Uvicorn" not in shown
            assert (
                f"MLflow: [MLflow] Security middleware enabled. Allowed hosts: 127.0.0.1:{mlflow}"
                in (arena / log).read_text()
            )
            assert status(studies.replace("127.0.0.1", "localhost")) == 200
            experiments = f"http://127.0.0.1:{mlflow}/api/2.0/mlflow/experiments"
            for host in ("evil.example", "127.0.0.1.evil.example", f"evil.example:{mlflow}", "192.168.0.1"):
                assert status(studies, Host=host) == 403
                assert status(f"{experiments}/search?max_results=1", Host=host) == 403
            for origin, theirs in (
                ("http://evil.example", 403),
                ("null", 403),
                ("http://127.0.0.1:{port}", 404),
            ):
                there = status(f"{studies}/99", "DELETE", Origin=origin.format(port=dashboard))
                assert (there == 403) is (
                    theirs == 403
                )  # a study that is not there: 500 with an artifact store
                asked = {"Origin": origin.format(port=mlflow), "Content-Type": "application/json"}
                assert status(f"{experiments}/delete", "POST", b'{"experiment_id": "99"}', **asked) == theirs
            for port in (mlflow, dashboard):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as response:
                    assert response.headers["X-Frame-Options"] == "DENY"
            assert not any("sqlite:" in command and str(mlflow) in command for command in commands())
        finally:
            process.send_signal(number)
        assert process.wait(60) == (0 if number == signal.SIGTERM else -number)
    end = time.monotonic() + 60
    while any("-P -m hypevo.cli.served" in command and str(dashboard) in command for command in commands()):
        assert time.monotonic() < end
        time.sleep(0.1)
    for port in (mlflow, dashboard):
        while socket.socket().connect_ex(("127.0.0.1", port)) == 0:
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"Host": "127.0.0.1:8080"}, True),
        ({"Host": "localhost:8080"}, True),
        ({"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:8080"}, True),
        ({"Host": "localhost:8080", "Origin": "http://127.0.0.1:8080"}, False),
        ({"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:9999"}, False),
        ({"Host": "127.0.0.1:8080", "Origin": "https://127.0.0.1:8080"}, False),
        ({"Host": "127.0.0.1:8080", "Origin": "null"}, False),
        ({"Host": "127.0.0.1:8080", "Origin": ""}, False),
        ({"Host": "evil.example:8080"}, False),
        ({"Host": "127.0.0.1.evil.example"}, False),
        ({"Host": "127.0.0.1@evil.example"}, False),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, False),
        ({"Host": "10.0.0.1:8080"}, False),
        ({"Host": "0.0.0.0:8080"}, False),
        ({"Host": ""}, False),
        ({}, False),
    ],
)
def test_only_the_page_s_own_name_and_origin_get_an_answer(headers, taken):
    def app(environ, start):
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"the page"]

    environ = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    environ |= {"wsgi.url_scheme": "http", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8080"}
    said = []
    (body,) = guarded(app)(environ, lambda *started: said.append(started))
    assert said[0][0] == ("200 OK" if taken else "403 Forbidden")
    assert (body == b"the page") is taken


def test_a_taken_port_is_said_before_anything_starts(evolution, arena):
    evolution(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} is taken; choose another with --mlflow-port"):
            serve("mlruns/optuna.journal", port, free_port(), Console())


@pytest.mark.parametrize(("path", "sandboxed"), [("/artifacts/0/0a", True), ("/dashboard/studies/0", False)])
def test_a_stranger_s_artifact_is_no_page_with_rights(path, sandboxed):
    def app(environ, start):
        start("200 OK", [("Content-Type", "text/html")])
        return [b"<script>"]

    environ = {"HTTP_HOST": "localhost", "wsgi.url_scheme": "http", "PATH_INFO": path}
    said = []
    guarded(app)(environ, lambda *started: said.append(started))
    assert (("Content-Security-Policy", "sandbox") in said[0][1]) is sandboxed


def test_the_last_words_of_a_server_that_ended_are_known_without_its_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_PASSWORD", "correct-horse")
    monkeypatch.setenv("PYTHONWARNINGS", "correct-horse")  # which Python complains about
    log = tmp_path / "log"
    server = Server("one", f"http://127.0.0.1:{free_port()}", ["dashboard"], opened(log))
    server.wait()
    assert server.ended
    first, *_, last = server.last_words()
    assert first == "Invalid -W option ignored: invalid action: '***'"
    assert last.startswith("TypeError: ")
    assert last in log.read_text()
    assert "correct" not in log.read_text()


def test_an_mlflow_server_s_page_is_addressed_without_its_password():
    assert page_of("https://me:secret@host:5000/mlflow/") == "https://host:5000/mlflow"


def test_a_folder_without_studies_is_said(bare_arena):
    with pytest.raises(InputError, match="no such file"):
        serve("mlruns/optuna.journal", 1, 2, Console())
