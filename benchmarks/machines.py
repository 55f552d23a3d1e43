"""A Ray cluster of several machines on this one, with GPUs that are declared and not there: for tests and the soak.

Each machine is a `ray start --block` of its own, with token authentication; one may be killed, join late, or not see
some folders (in a mount namespace of its own, which takes root).
"""

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
        """Start machines, the head first of all and alone; `hidden` is a folder that they do not see."""
        for name in names:
            command = [
                shutil.which("ray", path=Path(sys.executable).parent),
                "start",
                "--block",
                "--node-name",
                name,
            ]
            if not self._started:
                command += ["--head", "--port", str(self.port), "--include-dashboard", "false"]
                command += ["--temp-dir", str(self.folder)]
            else:
                command += ["--address", self.address]
            command += ["--num-gpus", str(gpus), "--num-cpus", "1", "--object-store-memory", "80000000"]
            command += ["--disable-usage-stats"]
            if hidden is not None:
                quoted = " ".join(command)
                command = ["unshare", "-m", "sh", "-c", f"mount -t tmpfs none {hidden} && exec {quoted}"]
            kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "RAY_"))}
            with (self.folder / f"{name}.log").open("w") as log:
                self._started[name] = subprocess.Popen(
                    command, cwd="/", stdout=log, stderr=log, start_new_session=True,
                    env=kept | self.environ | {"OMP_NUM_THREADS": "1"} | (environ or {}),
                )  # fmt: skip
        for name in names:
            self.wait(name)

    def wait(self, name):
        """Wait until a machine has started."""
        log, end = self.folder / f"{name}.log", time.monotonic() + PATIENCE
        while "Ray runtime started" not in log.read_text():
            if time.monotonic() > end or self._started[name].poll() is not None:
                raise AssertionError(f"machine {name} does not start:\n{log.read_text()}")
            time.sleep(0.1)

    def kill(self, name):
        """Kill a machine's Ray; the processes of its trainings are left to notice it."""
        process = self._started.pop(name)
        for child in psutil.Process(process.pid).children():
            child.kill()
        process.kill()
        process.wait()

    def workers(self, name):
        """The processes of a machine that run tasks."""
        found = psutil.Process(self._started[name].pid).children(recursive=True)
        return [one for one in found if "ray::" in " ".join(_words(one))]

    def stop(self):
        """Kill all machines and what runs on them."""
        family = []
        for process in self._started.values():
            family += [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for one in family:
            try:
                one.kill()
            except psutil.Error:
                continue
        for process in self._started.values():
            process.wait()
        self._started = {}
        shutil.rmtree(self.folder, ignore_errors=True)


def _words(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []
