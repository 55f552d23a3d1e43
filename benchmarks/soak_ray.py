"""A study on a Ray cluster where everything goes wrong that can: a part of `soak.py`.

python benchmarks/soak.py ray          some ten minutes on 2 CPU cores
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import soak
from machines import Machines
from soak import alive, expect_whole, finished, individuals, must, start, start_afresh, wait
from soak_servers import answers, free_port, until


def ray(total: int = 50, alone: int = 12) -> str:
    """Disturb a study on several machines, and one on a single slot, which must come out as if undisturbed."""
    machines = Machines()
    os.environ.update(machines.environ)
    try:
        machines.start("head", gpus=0)
        machines.start("a", "b")
        with mlflow_server() as restart:
            told = disturbed(machines, total, restart)
        machines.kill("late")
        machines.kill("a")
        machines.start("single")
        start_afresh()
        same = on_one_slot(machines, alone)
    finally:
        machines.stop()
    return f"{told}; {same}"


def disturbed(machines: Machines, total: int, restart: Callable[[], None]) -> str:
    """Kill a worker and a machine in mid-trial, the driver twice; have a machine join late, and MLflow restart."""
    options = arguments(machines, total)
    began = time.monotonic()
    pid = start(*options)
    reach(total // 10, pid)
    worker = busy_worker(machines, "a")
    worker.kill()
    say(began, f"killed the process of a training on machine a ({worker.pid})")
    reach(total * 2 // 10, pid)
    busy_worker(machines, "b")
    machines.kill("b")
    say(began, "killed machine b in mid-trial")
    reach(total * 3 // 10, pid)
    pid = kill(pid, options)
    say(began, "killed the driver, and started it again")
    reach(total * 4 // 10, pid)
    machines.start("late")
    say(began, "machine late joins")
    reach(total * 5 // 10, pid)
    restart()
    say(began, "MLflow stopped and started again")
    reach(total * 7 // 10, pid)
    pid = kill(pid, options)
    say(began, "killed the driver again, and started it")
    code = wait(pid)
    must(code == 0, f"the last driver ends well; it says\n{log()}")
    expect_whole(total)
    attempts = Counter(trial.user_attrs["attempts"] for trial in soak.stored())
    must(max(attempts) > 1, "some trial ran again")
    return (
        f"{total} trials, each once in the study, in MLflow and in evolve.csv, after a killed worker, machine and "
        f"(twice) driver, a late machine and a restart of MLflow; {total - attempts[1]} of them ran more than once"
    )


def on_one_slot(machines: Machines, total: int) -> str:
    """With one slot, kills change no parameter."""
    options = arguments(machines, total)
    pid = start(*options)
    reach(total // 4, pid)
    busy_worker(machines, "single").kill()
    reach(total // 2, pid)
    pid = kill(pid, options)
    must(wait(pid) == 0, "the driver ends well")
    found = individuals()
    expect_whole(total)
    start_afresh()
    must(wait(start(*arguments(machines, total))) == 0, "an undisturbed driver ends well")
    must(individuals() == found, "the same parameters and fitness as undisturbed")
    return f"on one slot {total} trials after a killed worker and a killed driver are those of an undisturbed study"


def arguments(machines: Machines, total: int) -> list[str]:
    """Of the driver."""
    options = ["--backend", "ray", "--address", machines.address, "--device", "auto"]
    return [*options, "--generations", str(total), "--sleep", "0.2", "--retries", "5"]


def reach(count: int, pid: int) -> None:
    """Wait until so many trials have finished."""
    folder = Path("runs/evolve/soak/trials")

    def there() -> bool:
        must(alive(pid), f"the driver lives; it says\n{log()}")
        return len(list(folder.glob("*/result.json"))) >= count

    until(there, f"{count} trials finished", 900)


def log() -> str:
    """The last of what the drivers have said."""
    path = Path("soak.log")
    return path.read_text()[-3000:] if path.exists() else "nothing"


def busy_worker(machines: Machines, name: str) -> psutil.Process:
    """The process of a task in which a training runs that has reported."""
    found: list[psutil.Process] = []

    def there() -> bool:
        found[:] = [one for one in machines.workers(name) if training(one)]
        return bool(found)

    until(there, f"a training on machine {name}")
    time.sleep(random.Random(0).uniform(0, 0.3))
    return found[0]


def training(worker: psutil.Process) -> bool:
    """Whether a worker has a child that trains."""
    with contextlib.suppress(psutil.Error):
        return any("--multiprocessing-fork" in child.cmdline() for child in worker.children())
    return False


def kill(pid: int, options: list[str]) -> int:
    """Kill the driver, see that its trainings end, and start another."""
    os.kill(pid, signal.SIGKILL)
    must(wait(pid) == -signal.SIGKILL, "the driver was killed")
    until(lambda: not soak.processes(), "no process of it is left", 60)
    return start(*options)


def say(began: float, what: str) -> None:
    """Print what was done, and when."""
    print(f"  {time.monotonic() - began:4.0f} s, {len(finished())} trials: {what}", flush=True)


@contextlib.contextmanager
def mlflow_server() -> Iterator[Callable[[], None]]:
    """An MLflow server that the drivers use; yields what stops it and starts it again."""
    port, home = free_port(), Path(tempfile.mkdtemp(prefix="mlflow-"))
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts"]
    environ = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    running: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        running.append(
            subprocess.Popen(
                command, cwd=home, env=environ, start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
        until(lambda: answers(port), "MLflow starts", 180)

    def end() -> None:
        server = running.pop()
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()

    def restart() -> None:
        end()
        time.sleep(5)
        begin()

    begin()
    os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{port}"
    try:
        yield restart
    finally:
        os.environ.pop("MLFLOW_TRACKING_URI")
        end()


PARTS: dict[str, Callable[..., str]] = {"ray": ray}
