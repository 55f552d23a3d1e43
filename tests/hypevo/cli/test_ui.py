"""The two servers, for real: started by the command, asked over HTTP, gone after SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from rich.console import Console

from hypevo.cli.ui import serve
from hypevo.protocol import InputError


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


@pytest.mark.slow
def test_both_pages_show_the_study_and_end_together(evolution, arena):
    evolution(2)
    ports = free_port(), free_port()
    command = [
        sys.executable,
        "-m",
        "hypevo",
        "ui",
        "--mlflow-port",
        str(ports[0]),
        "--dashboard-port",
        str(ports[1]),
    ]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
        try:
            assert '"study_name":"s"' in answer(f"http://127.0.0.1:{ports[1]}/api/studies").replace(" ", "")
            assert "<title>MLflow</title>" in answer(f"http://127.0.0.1:{ports[0]}/")
        finally:
            process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0] or process.stderr
        assert said is not None
        assert process.returncode == 0
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_taken_port_is_said_before_anything_starts(evolution, arena):
    evolution(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} is taken; choose another with --mlflow-port"):
            serve("mlruns/optuna.journal", port, free_port(), Console())


def test_a_folder_without_studies_is_said(bare_arena):
    with pytest.raises(InputError, match="no such file"):
        serve("mlruns/optuna.journal", 1, 2, Console())
