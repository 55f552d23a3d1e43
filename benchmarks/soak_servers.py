"""A disk that fills, a PostgreSQL server that stops, an MLflow server that is slow: what the soak is run on."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from soak import must

JOURNAL = "disk/optuna.journal"


def until(condition: Callable[..., bool], what: str, seconds: float = 120) -> None:
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        must(time.monotonic() < end, what)
        time.sleep(0.02)


# -- disks and servers --------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk() -> Iterator[None]:
    """A disk of 4 MB at `disk`."""
    folder = Path.cwd() / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(path: str) -> None:
    """Write until the disk is full."""
    with Path(path).open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def leave_half_a_line() -> int:
    """Append what a driver leaves that is killed in mid-line; returns 1."""
    from optuna.storages.journal import JournalFileOpenLock

    lock = JournalFileOpenLock(str(Path(JOURNAL).resolve()))
    lock.acquire()
    try:
        with Path(JOURNAL).open("ab") as file:
            file.write(b'{"op_code":8,"worker_id":"0c')
    finally:
        lock.release()
    return 1


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Control:
    """Commands a PostgreSQL server in a folder of its own."""

    def __init__(self) -> None:
        found = shutil.which("pg_ctl") or max(
            map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), default=""
        )
        must(found != "", "a PostgreSQL server is installed")
        self.programs = Path(found).resolve().parent
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # its socket's name must be short
        self.port = free_port()
        self.user: str | None = None
        if os.getuid() == 0:  # the server refuses to be run by root
            self.user = "nobody"
            shutil.chown(self.folder, "nobody")
        self.run("initdb", "-D", self.folder / "data", "-U", "hypevo", "-A", "trust")

    def __call__(self, what: str, *options: str | Path) -> None:
        """Start or stop the server."""
        if what == "start":
            options = ("-l", self.folder / "log", "-o", f"-p {self.port} -k {self.folder} -h 127.0.0.1")
        self.run("pg_ctl", what, "-w", "-D", self.folder / "data", *options)

    def dump(self) -> bytes:
        """Everything in the database."""
        found = self.run(
            "pg_dump", "-h", "127.0.0.1", "-p", str(self.port), "-U", "hypevo", "postgres", output=True
        )
        return b"\n".join(
            line for line in found.split(b"\n") if not line.startswith(b"\\")
        )  # \restrict: a random word

    def run(self, program: str, *arguments: str | Path, output: bool = False) -> bytes:
        """Run one of its programs."""
        to = subprocess.PIPE if output else subprocess.DEVNULL
        command = [self.programs / program, *arguments]
        done = subprocess.run(command, check=True, cwd=self.folder, stdout=to, timeout=120, user=self.user)
        return done.stdout or b""


@contextlib.contextmanager
def server() -> Iterator[tuple[str, Control]]:
    """The address of an empty database, and what commands its server."""
    control = Control()
    control("start")
    try:
        yield f"postgresql+psycopg://hypevo@127.0.0.1:{control.port}/postgres", control
    finally:
        control("stop", "-m", "immediate")
        shutil.rmtree(control.folder)


@contextlib.contextmanager
def slow_mlflow(delay: float) -> Iterator[tuple[str, str]]:
    """The addresses of a real MLflow server: one that answers after seconds, and its own."""
    port, slow = free_port(), free_port()
    home = Path(tempfile.mkdtemp(prefix="mlflow-"))
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts"]
    environ = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    real = subprocess.Popen(
        command, cwd=home, env=environ, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    proxy = os.fork()
    if not proxy:
        os.chdir(home)
        serve_slowly(slow, port, delay)
    try:
        until(lambda: answers(port) and answers(slow), "MLflow starts", 180)
        yield f"http://127.0.0.1:{slow}", f"http://127.0.0.1:{port}"
    finally:
        os.kill(proxy, signal.SIGKILL)
        os.waitpid(proxy, 0)
        os.killpg(real.pid, signal.SIGKILL)
        real.wait()


def answers(port: int) -> bool:
    """Whether a server is in good health."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        link.request("GET", "/health")
        return link.getresponse().status == 200
    except OSError:
        return False
    finally:
        link.close()


def serve_slowly(port: int, target: int, delay: float) -> None:
    """Pass every request on after some seconds, for ever."""

    class Passing(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            time.sleep(delay)
            link = http.client.HTTPConnection("127.0.0.1", target, timeout=60)
            kept = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
            link.request(self.command, self.path, body, kept)
            answer = link.getresponse()
            found = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in (
                    "transfer-encoding",
                    "content-length",
                    "connection",
                    "date",
                    "server",
                ):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(found)))
            with contextlib.suppress(ConnectionError):  # whoever asked was interrupted meanwhile
                self.end_headers()
                self.wfile.write(found)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the names that are called

        def log_message(self, *_: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Passing).serve_forever()
