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
from pathlib import Path

import psutil

PATIENCE = 120.0  # seconds in which a machine starts


class Machines:
    """Starts and kills the machines of a cluster; `address` is the head's, `environ` what a driver needs."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # sockets' names must be short
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.environ = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._started = {}

    def start(self, *names, gpus=1, hidden=None, environ=None):
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

    def _launch(self, name, gpus, hidden, environ, *, head):
        command = [
            shutil.which("ray", path=Path(sys.executable).parent),
            "start",
            "--block",
            "--node-name",
            name,
        ]
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
                env=kept | self.environ | {"OMP_NUM_THREADS": "1"} | environ,
            )  # fmt: skip

    def _is_up(self, name):
        """Whether a machine has started: Ray gives its parts 30 s, which a busy machine may need longer than."""
        log, end = self.folder / f"{name}.log", time.monotonic() + PATIENCE
        while "Ray runtime started" not in log.read_text():
            if time.monotonic() > end or self._started[name].poll() is not None:
                return False
            time.sleep(0.1)
        return True

    def kill(self, name):
        """Kill a machine's Ray; the processes of its trainings are left to notice it."""
        process = self._started.pop(name)
        _kill([*_below(process.pid, deep=False), process])
        process.wait()

    def workers(self, name):
        """The processes of a machine that run tasks."""
        return [one for one in _below(self._started[name].pid) if "ray::" in " ".join(_words(one))]

    def stop(self):
        """Kill all machines and what runs on them."""
        for process in self._started.values():
            _kill([*_below(process.pid), process])
            process.wait()
        self._started = {}
        shutil.rmtree(self.folder, ignore_errors=True)


def _below(pid, *, deep=True):
    try:
        return psutil.Process(pid).children(recursive=deep)
    except psutil.Error:
        return []


def _kill(processes):
    for one in processes:
        with contextlib.suppress(psutil.Error):
            one.kill()


def _words(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []
