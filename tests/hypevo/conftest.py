"""A folder to evolve in, the driver in this process, and drivers in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from hypevo.files import write_atomically

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """An MLflow database as a first start makes it: copied, because making one takes seconds."""
    from hypevo.tracking.store import Store

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Store(f"sqlite:///{path}").client()
    return path


@pytest.fixture
def bare_arena(tmp_path, monkeypatch) -> Path:
    """The working directory of a user with a trainer, `landscape:train`, and nothing else."""
    for name in (
        "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID",
        "CUDA_VISIBLE_DEVICES",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    shutil.copy(HERE / "landscape.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def arena(bare_arena, empty_store) -> Path:
    """A bare arena where MLflow has been used before."""
    shutil.copy(empty_store, bare_arena / "mlflow.db")
    return bare_arena


class PostgreSQL:
    """A server of its own with an empty database, which may be stopped and started."""

    def __init__(self, address, start, stop):
        self.address = address
        self.start = start
        self.stop = stop


@pytest.fixture(scope="session")
def postgresql(postgresql_server):
    """The address of an empty database; skipped where PostgreSQL or its driver is missing."""
    return postgresql_server.address


@pytest.fixture(scope="session")
def postgresql_server():
    """A `PostgreSQL`; skipped where PostgreSQL or its driver is missing."""
    pytest.importorskip("psycopg")
    pg_ctl = shutil.which("pg_ctl") or next(
        iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))), None
    )
    if pg_ctl is None:
        pytest.skip("no PostgreSQL server here")
    programs = Path(pg_ctl).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # its sockets' names must be short
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    user = {}
    if os.getuid() == 0:  # the server refuses to be run by root
        user = {"user": "nobody"}
        shutil.chown(folder, "nobody")

    def run(program, *arguments):
        command = [programs / program, "-D", folder / "data", *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=120, **user)

    run("initdb", "-U", "hypevo", "-A", "trust")

    def start():
        run("pg_ctl", "start", "-w", "-l", folder / "log", "-o", f"-p {port} -k {folder} -h 127.0.0.1")

    def stop(how="fast"):
        run("pg_ctl", "stop", "-m", how)

    start()
    yield PostgreSQL(f"postgresql+psycopg://hypevo@127.0.0.1:{port}/postgres", start, stop)
    stop("immediate")
    shutil.rmtree(folder)


class Recorder:
    """Takes down what the driver tells."""

    def __init__(self) -> None:
        self.findings = []
        self.messages = []
        self.starts = []  # (number, attempt)
        self.moments = []  # of the starts, on the monotonic clock
        self.reports = []  # (number, step)
        self.ends = []  # (number, failure, again)
        self.names = []  # of those that ended
        self.stages = []  # what takes time besides the trainings
        self.bests = []  # number of the best trial after each one

    def found(self, findings):
        self.findings += findings

    def opened(self, study, **_):
        self.messages.append(f"opened {study}")

    def started(self, number, *, name, where, attempt):
        self.starts.append((number, attempt))
        self.moments.append(time.monotonic())

    def reported(self, number, *, step, metrics, fitness):
        self.reports.append((number, step))

    def advanced(self, *, done, best, best_number, beside="", total=None):
        self.bests.append(best_number)
        self.beside = beside

    def ended(self, number, *, name, fitness, outcome, again):
        self.ends.append((number, outcome.failure, again))
        self.names.append(name)

    def message(self, text):
        self.messages.append(text)

    def busy(self, what):
        self.stages.append(what)


class Evolution:
    """A study evolved in this process; settings are those of `EvolveSettings`, the trainer's own in `options`."""

    def __init__(self) -> None:
        self.watcher = Recorder()
        self.summary = None

    def __call__(self, generations, *, options=None, **settings):
        from hypevo.evolution.evolve import evolve
        from hypevo.problem.settings import EvolveSettings

        defaults = {
            "trainer": "landscape:train", "study": "s", "device": "cpu", "stagger": 0.0, "sampler": "classic",
            "seed": 2, "baseline_seeds": 0,
        }  # fmt: skip
        chosen = EvolveSettings(**(defaults | settings), generations=generations, options=options or {})
        self.watcher = Recorder()
        self.summary = evolve(chosen, self.watcher)
        return self.summary

    @property
    def trials(self):
        return stored_trials()

    def stored(self, study):
        """The trials of another study."""
        return stored_trials(study=study)

    @property
    def client(self):
        from mlflow import MlflowClient

        return MlflowClient(
            os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').resolve()}"
        )

    @property
    def csv(self) -> list[str]:
        path = Path("runs/evolve/s/evolve.csv")
        return path.read_text().splitlines()[1:] if path.exists() else []

    def runs(self, study: str = "s"):
        """MLflow's runs of a study: the parent's and the trials'."""
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return self.client.search_runs(experiments, f"tags.`hypevo.study` = '{study}'", max_results=5000)

    @property
    def parent(self):
        """MLflow's run of the study."""
        (run,) = [run for run in self.runs() if "mlflow.parentRunId" not in run.data.tags]
        return run

    @property
    def children(self):
        """MLflow's runs of the trials, by number; exactly one each."""
        found = [run for run in self.runs() if "mlflow.parentRunId" in run.data.tags]
        by_number = {int(run.data.tags["hypevo.trial"]): run for run in found}
        assert len(by_number) == len(found), "two runs for one trial"
        return by_number


def stored_trials(study: str = "s"):
    from hypevo.study.storage import load_study

    return load_study("mlruns/optuna.journal", study).get_trials(deepcopy=False)


@pytest.fixture
def evolution(arena, monkeypatch) -> Evolution:
    """Studies without their pictures, which take longer than all the rest: one test of `driver` has them drawn."""
    for module in ("hypevo.study.exports", "hypevo.retraining.shown"):
        monkeypatch.setattr(f"{module}.save", lambda path, *_: write_atomically(path, b""))
    return Evolution()


class Driver:
    """A `hypevo evolve` in a process of its own."""

    def __init__(
        self, zygote, folder: Path, *options: str, study: str = "s", picture: bool = False, environ=None
    ) -> None:
        self.folder = folder
        self.log = folder.parent / f"{folder.name}.log"
        self._zygote = zygote
        fixed = [
            "evolve",
            "--trainer",
            "landscape:train",
            "--study",
            study,
            "--device",
            "cpu",
            "--stagger",
            "0",
        ]
        fixed += ["--sampler", "classic", "--seed", "2"]
        self.pid = self._ask(
            {
                "argv": [*fixed, *options],
                "cwd": str(folder),
                "log": str(self.log),
                "picture": picture,
                "environ": environ or {},
            }
        )

    def wait(self) -> int:
        """The exit code; the negative signal for one that was killed."""
        return self._ask({"wait": self.pid})

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and wait for the exit code."""
        os.kill(self.pid, number)
        return self.wait()

    def until(self, path: str, seconds: float = 60) -> None:
        """Wait until a file of the folder exists."""
        end = time.monotonic() + seconds
        while not (self.folder / path).exists():
            assert time.monotonic() < end, f"no {path}; the driver says:\n{self.log.read_text()}"
            time.sleep(0.01)

    def _ask(self, order) -> int:
        print(json.dumps(order), file=self._zygote.stdin, flush=True)
        return int(self._zygote.stdout.readline())


@pytest.fixture(scope="session")
def zygote(tmp_path_factory):
    environ = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, HERE / "zygote.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environ, cwd=tmp_path_factory.mktemp("zygote"),
    )  # fmt: skip
    yield process
    process.stdin.close()
    process.wait(60)


@pytest.fixture
def driver(zygote, arena):
    """Starts drivers in the arena: `driver("--generations", "4")`."""

    def start(*options: str, **more) -> Driver:
        return Driver(zygote, arena, *options, **more)

    yield start
    for pid in living(arena):
        os.kill(pid, signal.SIGKILL)


def living(folder: Path) -> list[int]:
    """The processes at work in a folder: drivers, their servers, their trials."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve(strict=True) == folder.resolve() and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture
def nobody_left():
    """Asserts that no process is left in a folder; the last ones get some seconds to go."""

    def check(folder: Path) -> None:
        end = time.monotonic() + 20
        while living(folder):
            assert time.monotonic() < end, [
                Path(f"/proc/{pid}/cmdline").read_text() for pid in living(folder)
            ]
            time.sleep(0.05)

    return check
