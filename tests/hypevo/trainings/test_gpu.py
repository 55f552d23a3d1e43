"""Trainings of a study on a real GPU, through the server that forks them: `pytest -m gpu`, in some minutes."""

from __future__ import annotations

import csv
import subprocess
import sys
import threading

import pytest

from hypevo.preflight import probe
from hypevo.problem.fitness import parse_fitness
from hypevo.protocol import Failure, Job
from hypevo.trainings import make_backend
from hypevo.trainings.record import Record
from hypevo.trainings.slots import Slots
from hypevo.trainings.work import Training, Work

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
TRAINER = """
import os, time, torch

PRELOAD = ("torch",)

def train(hyp, *, out, seed, device, report):
    free, total = torch.cuda.mem_get_info(device)
    held = torch.empty(int(hyp["part"] * total), dtype=torch.uint8, device=device)
    report({"gpus": torch.cuda.device_count(), "free": free / total}, step=0)
    time.sleep(hyp["seconds"])
    return {"gpus": torch.cuda.device_count(), "free": free / total}
"""


@pytest.fixture
def hungry(bare_arena, monkeypatch):
    (bare_arena / "hungry.py").write_text(TRAINER)
    monkeypatch.syspath_prepend(str(bare_arena))
    return bare_arena


class Told:
    def __init__(self):
        self.reported = threading.Event()

    def started(self, where):
        pass

    def report(self, step, metrics):
        self.reported.set()


def job(folder, part, seconds=0.0):
    return Job("hungry:train", {"part": part, "seconds": seconds}, folder, 0, "0")


def test_a_training_sees_one_gpu_and_its_memory_is_free_again_after_a_kill(hungry):
    backend = make_backend("hungry:train", device="0")
    try:
        told = Told()
        future = backend.submit(job(hungry / "a", 0.6, seconds=600), told)
        assert told.reported.wait(120)
        backend.cancel(future, Failure.PRUNED)
        assert future.result(60).failure is Failure.PRUNED
        after = backend.submit(job(hungry / "b", 0.6), Told()).result(120)
        assert after.metrics["gpus"] == 1
        assert after.metrics["free"] > 0.9
    finally:
        backend.close()


class Two:
    """Two trainings, each larger than half of the GPU's memory."""

    def __init__(self, folder):
        hyp = {"part": 0.6, "seconds": 3.0}
        self.waiting = [Training(n, f"training {n}", Record(folder / str(n), n), hyp, n) for n in range(2)]
        self.ends, self.attempts = [], []

    def unscored(self):
        return ()

    def stopped(self):
        return False

    def next(self, active):
        return self.waiting.pop() if self.waiting else None

    def begun(self, training):
        self.attempts.append(training.number)

    def reported(self, training, step, metrics, fitness):
        return False

    def lost(self, training, outcome):
        pass

    def ended(self, training, outcome, fitness):
        self.ends.append((training.number, outcome.failure))

    def catch_up(self):
        pass


def test_out_of_memory_beside_another_is_told_as_that_and_tried_alone(hungry):
    from tests.hypevo.conftest import Recorder

    backend = make_backend("hungry:train", device="0", slots_per_device=2)
    source, watcher = Two(hungry / "trainings"), Recorder()
    Slots(backend, source, Work("hungry:train", {}, parse_fitness("gpus", ("gpus",))), watcher).run()
    assert sorted(source.ends) == [(0, None), (1, None)]
    assert (0, Failure.OUT_OF_MEMORY, True) in watcher.ends
    assert (1, Failure.OUT_OF_MEMORY, True) in watcher.ends


def test_the_probe_names_the_gpu(bare_arena):
    (finding,) = probe("trainers.yolov5:train", {}, make_backend("trainers.yolov5:train", device="auto"))
    assert finding.level == "note"
    assert torch.cuda.get_device_name(0) in finding.message
    assert "GiB" in finding.message


def test_a_study_on_a_gpu(arena):
    command = [
        sys.executable,
        "-m",
        "hypevo",
        "evolve",
        "--device",
        "0",
        "--generations",
        "3",
        "--epochs",
        "2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (table,) = (arena / "runs").rglob("evolve.csv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    logs = list((arena / "runs").rglob("trials/*/trial.json"))
    assert len(logs) == 3
    assert all('"device": "0"' in log.read_text() for log in logs)
