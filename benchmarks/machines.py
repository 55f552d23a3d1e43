"""A Ray cluster of several machines on this one, with GPUs that are declared and not there: for tests and the soak.

Each machine is a `ray start --block` of its own, with token authentication; one may be killed, join late, or not see
some folders (in a mount namespace of its own, which takes root).
"""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

PATIENCE = 120.0  # seconds in which a machine starts


class Machines:
    """Starts and kills the machines of a cluster; `address` is the head's, `environ` what a driver needs."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # sockets' names must be short
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.environ = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, *names: str, gpus: int = 1, hidden: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        """Start machines, the head first of all; `hidden` is a folder that they do not see."""
        for name in names:
            for attempt in range(3):
                self._started[name] = self._launch(name, gpus, hidden, environ or {}, head=not self._started)
                if self._is_up(name):
                    break
                self.kill(name)
                if attempt == 2:
                    raise AssertionError(
                        f"machine {name} does not start:\n{(self.folder / f'{name}.log').read_text()}"
                    )

    def _launch(
        self, name: str, gpus: int, hidden: Path | None, environ: Mapping[str, str], *, head: bool
    ) -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--node-name", name]
        command += ["--num-gpus", str(gpus), "--num-cpus", "1", "--object-store-memory", "80000000"]
        command += ["--disable-usage-stats"]
        if head:
            command += ["--head", "--port", str(self.port), "--include-dashboard", "false"]
            command += ["--temp-dir", str(self.folder)]
        else:
            command += ["--address", self.address]
        if hidden is not None:
            quoted = " ".join(command)
            command = ["unshare", "-m", "sh", "-c", f"mount -t tmpfs none {hidden} && exec {quoted}"]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "RAY_"))}
        with (self.folder / f"{name}.log").open("w") as log:
            return subprocess.Popen(
                command, cwd="/", stdout=log, stderr=log, start_new_session=True,
                env={**kept, **self.environ, "OMP_NUM_THREADS": "1", **environ},
            )  # fmt: skip

    def _is_up(self, name: str) -> bool:
        """Whether a machine has started: Ray gives its parts 30 s, which a busy machine may need longer than."""
        log, end = self.folder / f"{name}.log", time.monotonic() + PATIENCE
        while "Ray runtime started" not in log.read_text():
            if time.monotonic() > end or self._started[name].poll() is not None:
                return False
            time.sleep(0.1)
        return True

    def kill(self, name: str) -> None:
        """Kill a machine's Ray; the processes of its trainings are left to notice it."""
        process = self._started.pop(name)
        _kill([*_below(process.pid, deep=False), process])
        process.wait()

    def workers(self, name: str) -> list[psutil.Process]:
        """The processes of a machine that run tasks."""
        return [one for one in _below(self._started[name].pid) if "ray::" in " ".join(_words(one))]

    def stop(self) -> None:
        """Kill all machines and what runs on them."""
        for process in self._started.values():
            _kill([*_below(process.pid), process])
            process.wait()
        self._started = {}
        shutil.rmtree(self.folder, ignore_errors=True)


def _below(pid: int, *, deep: bool = True) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=deep)
    except psutil.Error:
        return []


def _kill(processes: Iterable[psutil.Process | subprocess.Popen[bytes]]) -> None:
    for one in processes:
        with contextlib.suppress(psutil.Error):
            one.kill()


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
