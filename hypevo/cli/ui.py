"""Both views of a folder's studies, as their own servers: MLflow's page and optuna-dashboard."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hypevo.cli.tables import generations
from hypevo.interrupts import asked_first
from hypevo.messages import hidden, printable
from hypevo.protocol import InputError, WorkError
from hypevo.study.status import all_studies
from hypevo.tracking.address import HOST, default_address, page_of

_LAST = 15  # lines of a server that failed
_WIDTH = 80


def serve(storage: str, mlflow_port: int, dashboard_port: int, console: Console) -> None:
    """Start both servers, print their addresses and each study's pages, and wait for Ctrl-C.

    Raises:
        InputError: a port is taken, or there is no study yet.
        WorkError: a server ended by itself.
    """
    if "://" not in storage and not Path(storage).exists():
        raise InputError(
            f"{storage}: no such file; run `hypevo evolve` here first, or name another with --storage"
        )
    for port, option in ((mlflow_port, "--mlflow-port"), (dashboard_port, "--dashboard-port")):
        if _answers(port):
            raise InputError(f"port {port} is taken; choose another with {option}")
    found, store = all_studies(storage), default_address()
    local = not store.startswith("http")
    mlflow, dashboard = (f"http://{HOST}:{port}" for port in (mlflow_port, dashboard_port))
    page = mlflow if local else page_of(store)
    path = Path("mlruns") / f"ui-{dashboard_port}.log"
    log = opened(path)
    if not local:
        console.print(f"MLflow            {page}/ (your server)")
    servers = [Server("optuna-dashboard", dashboard, ["dashboard", storage, page], log)]
    if local:
        servers.append(Server("MLflow", mlflow, ["mlflow", store], log))
    stop = threading.Event()
    try:
        with asked_first(stop.set):
            console.print(f"starting the servers …; what they say is in {path}", style="dim")
            waiting = list(servers)
            while not stop.wait(0.5):
                for server in servers:
                    if server.ended:
                        said = "\n".join(f"  {line}" for line in server.last_words())
                        raise WorkError(f"{server.name} ended by itself; all it said is in {path}\n{said}")
                for server in [server for server in waiting if server.answers]:
                    waiting.remove(server)
                    console.print(f"{server.name:<16}  {server.address}/")
                    if not waiting:
                        console.print(
                            _table(found, dashboard)
                            if found
                            else f"no study of hypevo's in {hidden(storage)} yet",
                            soft_wrap=False,
                        )
                        console.print("Ctrl-C stops both" if local else "Ctrl-C stops it", style="dim")
    finally:
        for server in servers:
            server.stop()
        for server in servers:
            server.wait()


def _table(found: Sequence[Mapping[str, Any]], dashboard: str) -> Table:
    """Each study's state and pages. MLflow's own links are longer than a line: optuna-dashboard leads there."""
    table = Table(box=None, width=_WIDTH, padding=(0, 1, 0, 0))
    pages = [
        (f"{dashboard}/mlflow/{one['id']}", f"{dashboard}/dashboard/studies/{one['id']}") for one in found
    ]
    longest = max((len(page) for two in pages for page in two), default=0)
    table.add_column("study", overflow="fold")
    table.add_column("generations", no_wrap=True)
    table.add_column("in MLflow, in optuna-dashboard", no_wrap=True, min_width=longest)
    for one, (run, study) in zip(found, pages, strict=True):
        best = one["best_fitness"]
        table.add_row(
            printable(one["study"]),
            f"{generations(one)}\n{'no result' if best is None else f'best {best:.5f}'}",
            f"{run if one['mlflow_run'] else '–'}\n{study}",
        )
    return table


def _answers(port: int) -> bool:
    """Whether a server of this machine listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def opened(path: Path) -> logging.Logger:
    """What writes a file of its own, from any thread.

    Raises:
        InputError: The file cannot be written.
    """
    log = logging.Logger("hypevo ui")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error}); run `hypevo ui` in a folder of yours"
        ) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    return log


class Server:
    """One server at work, in a process that ends with this one."""

    def __init__(self, name: str, address: str, told: Sequence[str], log: logging.Logger) -> None:
        """Start it.

        Args:
            name: What people call it.
            address: Where its page will be.
            told: What it is, and what it serves. It learns this through its input, where no list of processes shows it.
            log: Gets what it says, without secrets.
        """
        self.name, self.address = name, address
        self._port, self._log = int(address.rpartition(":")[2]), log
        self._last: deque[str] = deque(maxlen=_LAST)
        what, *rest = told
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hypevo.cli.served", what, str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        )
        self._listener = threading.Thread(target=self._listen, name=f"{name} says", daemon=True)
        self._listener.start()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # ended already, which is noticed
                self._process.stdin.write(f"{json.dumps(rest)}\n")
                self._process.stdin.flush()

    @property
    def answers(self) -> bool:
        """Whether its page is there."""
        return _answers(self._port)

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def last_words(self) -> list[str]:
        """The last lines it said."""
        self._listener.join(2)  # a process of its own may live on, and hold the pipe open
        return list(self._last)

    def stop(self) -> None:
        """Have it end."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def wait(self) -> None:
        """Wait until it has ended."""
        self._process.wait()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            said = hidden(printable(line.rstrip().expandtabs()))
            self._last.append(said)
            self._log.warning("%s: %s", self.name, said)
