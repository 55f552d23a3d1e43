"""What a driver survives when the ground moves: a full disk, PostgreSQL restarted, a slow MLflow, a suspension.

`soak.py` runs these parts and says how; on Linux, and `disk` needs the right to mount one.
"""

import contextlib
import hashlib
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from soak import STUDY, alive, expect_whole, individuals, must, start, start_afresh, stored, wait

FOLDER = Path("runs/evolve") / STUDY
JOURNAL = "disk/optuna.journal"


def disk(times: int = 10, total: int = 40) -> str:
    """Two studies on one journal, whose disk fills again and again; a driver that stops is started again."""
    chance = random.Random(0)
    options = ["--generations", str(total), "--sleep", "0.05", "--storage", JOURNAL]
    stops, lines, halves = {"one": 0, "two": 0}, [], 0
    with small_disk():
        drivers = {study: start(*options, study=study) for study in stops}
        for _ in range(times):
            time.sleep(chance.uniform(0.5, 3.0))
            drivers = {
                study: pid if alive(pid) else start(*options, study=study) for study, pid in drivers.items()
            }
            until(lambda: min(len(stored(study, JOURNAL)) for study in stops) > 0, "both have begun")
            fill("disk/ballast")
            until(lambda: not all(alive(pid) for pid in drivers.values()), "a driver stops at a full disk")
            Path("disk/ballast").unlink()
            for study, pid in drivers.items():
                if not alive(pid) and wait(pid) != 0:
                    stops[study] += 1
                    drivers[study] = start(*options, study=study)
                    must("cannot keep the study's records" in said(study), f"{study} says why it stopped")
            halves += leave_half_a_line()  # as a driver that dies in mid-line
            found = [line for line in Path(JOURNAL).read_bytes().split(b"\n")[:-1]]
            must(found[: len(lines)] == lines, "no whole line is lost")
            lines = found
            if any(len(stored(study, JOURNAL)) > total - 5 for study in stops):
                break
        for study, pid in drivers.items():
            must(wait(pid) == 0, f"{study} ends well")
        must(Path(JOURNAL).read_bytes().split(b"\n")[: len(lines)] == lines, "no whole line is lost")
        disturbed = {study: individuals(study, JOURNAL) for study in stops}
        for study, count in stops.items():
            expect_whole(total, study=study, storage=JOURNAL)
            again = sum(trial.user_attrs["attempts"] - 1 for trial in stored(study, JOURNAL))
            must(again <= count, f"{again} trials trained again for {count} stops of {study}")
    start_afresh()
    for study, found in disturbed.items():
        must(wait(start("--generations", str(total), study=study)) == 0, "an undisturbed driver ends well")
        must(individuals(study) == found, "the same parameters and fitness as in an undisturbed study")
    return f"a disk that was full stopped drivers {sum(stops.values())} times, {halves} half lines, 2 × {total} trials as undisturbed"


def postgresql(times: int = 8, total: int = 60) -> str:
    """Restart the database server at random moments, in both ways, under one driver that goes on."""
    chance = random.Random(0)
    with server() as (address, control):
        pid = start("--generations", str(total), "--sleep", "0.05", "--storage", address)
        until(lambda: (FOLDER / "trials/0001/result.json").exists(), "trials are at work")
        away, restarts = 0.0, 0
        while restarts < times and alive(pid):
            time.sleep(chance.uniform(0.2, 3.0))
            began = time.monotonic()
            control("stop", "-m", chance.choice(["fast", "immediate"]))
            time.sleep(chance.uniform(0, 4.0))
            control("start")
            away, restarts = away + time.monotonic() - began, restarts + 1
        must(restarts == times, f"{times} restarts while it works; there were {restarts}")
        must(wait(pid) == 0, "the driver ends well")
        expect_whole(total, storage=address)
        attempts = sum(trial.user_attrs["attempts"] for trial in stored(STUDY, address))
        must(attempts == total, f"each trial trained once; {attempts} attempts")
    told = said(STUDY).count("the database answers again")
    return f"{restarts} restarts, {away:.0f} s away, told {told} times, {total} trials in {attempts} attempts"


def mlflow(delay: float = 3.0, times: int = 4) -> str:
    """Press Ctrl-C at random moments of a driver whose MLflow answers after seconds, then let it deliver all."""
    chance, slowest, total = random.Random(0), 0.0, 10
    with slow_mlflow(delay) as (slow, direct):
        os.environ["MLFLOW_TRACKING_URI"] = slow
        for number in range(times):
            size = len(said(STUDY)) if number else 0
            pid = start("--generations", str(total), "--sleep", "0.2")
            if number:  # the first is interrupted while it opens its runs
                until(lambda size=size: "study" in said(STUDY)[size:] and reports(), "a trial reports", 240)
            time.sleep(chance.uniform(0.5, 4.0))
            must(alive(pid), "it is still at work")
            began = time.monotonic()
            os.killpg(pid, signal.SIGINT)
            until(
                lambda size=size, pid=pid: "interrupted" in said(STUDY)[size:] or not alive(pid),
                "it is heard",
            )
            slowest = max(slowest, time.monotonic() - began)
            if alive(pid):
                os.killpg(pid, signal.SIGINT)  # what MLflow has not got is not waited for
            must((code := wait(pid)) == 130, f"exit 130; it was {code}")
        must(slowest < delay, f"Ctrl-C is heard at once; it took {slowest:.1f} s")
        os.environ["MLFLOW_TRACKING_URI"] = direct
        must(wait(start("--generations", str(total), "--sleep", "0.2")) == 0, "the last driver ends well")
        expect_whole(total)
        del os.environ["MLFLOW_TRACKING_URI"]
    return f"{times} times Ctrl-C with {delay:g} s an answer, heard within {slowest:.2f} s; {total} trials delivered once"


def suspended(times: int = 3, total: int = 4) -> str:
    """Suspend a driver, let another take its study over and finish it, wake the first: it writes nothing more."""
    chance, files = random.Random(0), 0
    with server() as (address, control):
        for number in range(times):
            study = f"{STUDY}{number}"
            folder = Path("runs/evolve") / study
            options = ["--generations", str(total), "--sleep", "0.3", "--storage", address]
            first = start(*options, study=study)
            until(lambda folder=folder: (folder / "trials/0000/result.json").exists(), "a trial has ended")
            time.sleep(chance.uniform(0, 3.0))
            os.kill(first, signal.SIGSTOP)
            size = len(said(study))
            must(wait(start(*options, study=study)) == 0, "the successor ends well")
            before = content(folder), control.dump(), said(study)[size:]
            must(before == (content(folder), control.dump(), said(study)[size:]), "nobody else writes")
            os.kill(first, signal.SIGCONT)
            must((code := wait(first)) == 1, f"exit 1; it was {code}")
            after = content(folder)
            changed = {path for path in before[0] | after if before[0].get(path) != after.get(path)}
            must(not changed, f"no file is touched; these are: {sorted(changed)}")
            must(control.dump() == before[1], "nothing in the database is changed")
            must("another driver took the study over; this one stops" in said(study), "it says why it stops")
            expect_whole(total, study=study, storage=address)
            files += len(after)
    return f"{times} drivers suspended and woken: exit 1, {files} files and the database untouched"


PARTS = {"disk": disk, "postgresql": postgresql, "mlflow": mlflow, "suspended": suspended}


# -- what is looked at --------------------------------------------------------------------------------------


def said(study: str) -> str:
    """What the drivers of a study have printed, in one line."""
    path = Path(f"{study}.log")
    return " ".join(path.read_text().split()) if path.exists() else ""


def reports() -> bool:
    """Whether a trial that has not ended has reported."""
    return any(not (path.parent / "result.json").exists() for path in FOLDER.glob("trials/*/epochs.jsonl"))


def content(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file of a folder: when it was written, and a hash of what is in it."""
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def until(condition, what: str, seconds: float = 120) -> None:
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
        return probe.getsockname()[1]


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
        self.user = {}
        if os.getuid() == 0:  # the server refuses to be run by root
            self.user = {"user": "nobody"}
            shutil.chown(self.folder, "nobody")
        self.run("initdb", "-D", self.folder / "data", "-U", "hypevo", "-A", "trust")

    def __call__(self, what: str, *options: str) -> None:
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

    def run(self, program: str, *arguments: object, output: bool = False) -> bytes:
        """Run one of its programs."""
        to = subprocess.PIPE if output else subprocess.DEVNULL
        command = [self.programs / program, *arguments]
        return subprocess.run(
            command, check=True, cwd=self.folder, stdout=to, timeout=120, **self.user
        ).stdout


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
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    real = subprocess.Popen(command, cwd=home, env=environ, start_new_session=True, **quiet)
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
            self.end_headers()
            self.wfile.write(found)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the names that are called

        def log_message(self, *_: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Passing).serve_forever()
