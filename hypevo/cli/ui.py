"""Both views of a folder's studies, as their own servers: MLflow's page and optuna-dashboard."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from rich.console import Console

from hypevo.interrupts import asked_first
from hypevo.messages import hidden
from hypevo.protocol import InputError, WorkError
from hypevo.study.storage import EXPERIMENT, PARENT_RUN, load_study
from hypevo.tracking.address import default_address
from hypevo.tracking.charts import view_path

HOST = "127.0.0.1"  # neither server asks for a password: this machine only


def serve(storage: str, mlflow_port: int, dashboard_port: int, console: Console) -> None:
    """Start both servers, print their addresses, and wait for Ctrl-C.

    Raises:
        InputError: a port is taken, or there is no study yet.
    """
    if "://" not in storage and not Path(storage).exists():
        raise InputError(
            f"{storage}: no such file; run `hypevo evolve` here first, or name another with --storage"
        )
    for port, option in ((mlflow_port, "--mlflow-port"), (dashboard_port, "--dashboard-port")):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                raise InputError(f"port {port} is taken; choose another with {option}")
    store = default_address()
    scripts = Path(sys.executable).parent
    dashboard = [str(scripts / "optuna-dashboard"), storage, "--host", HOST, "--port", str(dashboard_port)]
    commands = {f"optuna-dashboard  http://{HOST}:{dashboard_port}/": dashboard}
    if store.startswith("http"):
        console.print(f"MLflow            {hidden(store)} (your server)", markup=False)
    else:
        page = f"http://{HOST}:{mlflow_port}{_path(storage)}"
        serving = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store]
        serving += ["--host", HOST, "--port", str(mlflow_port), "--workers", "1"]
        commands[f"MLflow            {page}"] = serving
    environ = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # two processes instead of fifteen
    servers = [
        subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) for command in commands.values()
    ]
    stop = threading.Event()
    try:
        with asked_first(stop.set):
            for address in commands:
                console.print(address, markup=False, highlight=False)
            console.print("Ctrl-C stops both", style="dim")
            while not stop.wait(0.5):
                if any(server.poll() is not None for server in servers):
                    raise WorkError("a server ended by itself; its message is above")
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait()


def _path(storage: str) -> str:
    """The page of the only study there is, or the list of experiments."""
    try:
        study = load_study(storage, None)
    except InputError:
        return "/"
    experiment = study.user_attrs.get(EXPERIMENT)
    return (
        view_path(str(experiment), study.study_name)
        if experiment and study.user_attrs.get(PARENT_RUN)
        else "/"
    )
