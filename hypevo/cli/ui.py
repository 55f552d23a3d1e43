"""Both views of a folder's studies, as their own servers: MLflow's page and optuna-dashboard."""

from __future__ import annotations

import json
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
from hypevo.tracking.address import HOST, default_address
from hypevo.tracking.charts import view_path


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
        if _answers(port):
            raise InputError(f"port {port} is taken; choose another with {option}")
    store = default_address()
    servers = {
        f"optuna-dashboard  http://{HOST}:{dashboard_port}/": ("dashboard", dashboard_port, storage),
        f"MLflow            http://{HOST}:{mlflow_port}{_path(storage)}": ("mlflow", mlflow_port, store),
    }
    if store.startswith("http"):
        servers.popitem()
        console.print(f"MLflow            {hidden(store)} (your server)", markup=False)
    processes = [_start(*server) for server in servers.values()]
    stop = threading.Event()
    try:
        with asked_first(stop.set):
            console.print("starting the servers …", style="dim")
            waiting = {address: port for address, (_, port, _) in servers.items()}
            while not stop.wait(0.5):
                if any(process.poll() is not None for process in processes):
                    raise WorkError("a server ended by itself; its message is above")
                for address in [address for address, port in waiting.items() if _answers(port)]:
                    del waiting[address]
                    console.print(address, markup=False, highlight=False)
                    if not waiting:
                        console.print("Ctrl-C stops both", style="dim")
    finally:
        for process in processes:
            if process.stdin is not None:
                process.stdin.close()  # with which it ends
        for process in processes:
            process.wait()


def _answers(port: int) -> bool:
    """Whether a server of this machine listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _start(what: str, port: int, address: str) -> subprocess.Popen[bytes]:
    """Start a server; what it serves is told through its input, which stays open as long as this process lives."""
    command = [sys.executable, "-P", "-m", "hypevo.cli.served", what, str(port)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    if process.stdin is not None:
        process.stdin.write(f"{json.dumps(address)}\n".encode())
        process.stdin.flush()
    return process


def _path(storage: str) -> str:
    """The page of the only study there is, or the list of experiments."""
    try:
        study = load_study(storage, None)
    except InputError:
        return "/"
    experiment, run = (study.user_attrs.get(name) for name in (EXPERIMENT, PARENT_RUN))
    return view_path(str(experiment), str(run)) if experiment and run else "/"
