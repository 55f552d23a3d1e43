"""Trainings on a real Ray of several machines, all of them on this one, with declared GPUs.

Costs a cluster for the whole file; `pytest -m ray` runs these alone, `benchmarks/soak.py ray` what takes longer.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from hypevo.protocol import Failure, InputError, Job
from tests.hypevo.conftest import Driver, living

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(  # not imported here: Ray looks for its token when it is loaded
        importlib.util.find_spec("ray") is None, reason="the extra hypevo[ray] is not installed"
    ),
    pytest.mark.skipif(os.name != "posix", reason="the cluster of these tests is started by POSIX means"),
]
BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def machines():
    """A head without GPUs, and two machines with one GPU each."""
    spec = importlib.util.spec_from_file_location("machines", BENCHMARKS / "machines.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.Machines()
    before = dict(os.environ)
    os.environ.update(found.environ)
    try:
        found.start("head", gpus=0)
        found.start("left", "right")
        yield found
    finally:
        found.stop()
        for name in found.environ:
            os.environ.pop(name, None)
        os.environ.update({name: before[name] for name in found.environ if name in before})


@pytest.fixture
def ray(machines):
    return {"backend": "ray", "address": machines.address, "device": "auto"}


def starts(out="runs/evolve/s/trials"):
    return {
        int(path.parent.name): json.loads(path.read_text()) for path in sorted(Path(out).glob("*/trial.json"))
    }


def until(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_study_uses_all_machines_and_says_where_each_trial_ran(evolution, ray, arena, nobody_left):
    summary = evolution(4, options={"epochs": 3, "sleep": 0.5}, **ray)
    assert summary.done == 4
    told = evolution.watcher
    assert sorted(told.reports) == [(number, step) for number in range(4) for step in range(3)]
    assert {start["tags"]["hypevo.node"] for start in starts().values()} == {"left", "right"}
    for number, run in evolution.children.items():
        tags = run.data.tags
        assert (tags["hypevo.device"], tags["hypevo.attempt"]) == ("0", "1")
        folder = Path(f"runs/evolve/s/trials/{number:04d}")
        assert json.loads((folder / "witness.json").read_text())["CUDA_VISIBLE_DEVICES"] == "0"
        assert "training on cuda:0" in (folder / "log.txt").read_text()
    nobody_left(arena)


@pytest.mark.heavy  # minutes
def test_what_a_backend_tells_arrives_in_order_and_queueing_takes_no_time_of_the_training(
    bare_arena, machines, ray
):
    from hypevo.trainings.ray import RayBackend

    backend = RayBackend(
        "landscape:train", "auto", slots_per_device=1, address=machines.address, out=bare_arena, tell=print
    )
    told: dict[str, list] = {"first": [], "second": []}

    class Told:
        def __init__(self, name):
            self.name = name

        def started(self, where):
            told[self.name].append(where)

        def report(self, step, metrics):
            told[self.name].append(step)

    def job(name, **options):
        return Job(
            "landscape:train", {"lr0": 0.01, "momentum": 0.9}, bare_arena / name, 0, "0",
            {"epochs": 4, **options}, timeout=30.0, node="left",
        )  # fmt: skip

    try:
        first = backend.submit(job("first", sleep=9.0), Told("first"))  # 36 s: it is timed out
        second = backend.submit(
            job("second"), Told("second")
        )  # and waits for the same GPU longer than its limit
        ended = [first.result(180), second.result(180)]
    finally:
        backend.close()
    assert [outcome.failure for outcome in ended] == [Failure.TIMED_OUT, None]
    assert told["second"] == ["left:0", 0, 1, 2, 3]
    assert told["first"][:3] == ["left:0", 0, 1]


@pytest.mark.heavy
def test_a_killed_task_runs_again_under_its_number_and_a_trainings_own_error_does_not(
    evolution, ray, machines
):
    def kill():
        until(lambda: Path("runs/evolve/s/trials/0000/epochs.jsonl").exists())
        node = starts()[0]["tags"]["hypevo.node"]
        for worker in machines.workers(node):
            if "_training" in " ".join(worker.cmdline()):
                worker.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    evolution(2, options={"epochs": 4, "sleep": 0.7}, **ray)
    thread.join()
    assert (0, Failure.KILLED, True) in evolution.watcher.ends
    assert [trial.user_attrs["attempts"] for trial in evolution.trials] == [2, 1]
    assert evolution.children[0].data.tags["hypevo.attempt"] == "2"
    assert len(evolution.csv) == 2
    fails = {"fail": "raise", "fail_above": 0.0}
    evolution(1, options=fails, max_failures=1, study="broken", **ray)
    assert evolution.watcher.ends == [(0, Failure.CRASHED, False)]


@pytest.mark.heavy  # minutes
def test_a_machine_that_dies_costs_its_trial_only_and_one_that_joins_is_used(evolution, ray, machines, arena):
    machines.start("frail")

    def kill():
        until(lambda: any(start["tags"]["hypevo.node"] == "frail" for start in starts().values()))
        number = next(n for n, start in starts().items() if start["tags"]["hypevo.node"] == "frail")
        until(lambda: (arena / f"runs/evolve/s/trials/{number:04d}/epochs.jsonl").exists())
        machines.kill("frail")
        machines.start("late")

    thread = threading.Thread(target=kill)
    thread.start()
    evolution(12, options={"epochs": 3, "sleep": 1.5}, seed=3, **ray)
    thread.join()
    (lost,) = [number for number, failure, again in evolution.watcher.ends if again]
    assert len(evolution.csv) == 12
    assert evolution.trials[lost].user_attrs["attempts"] == 2
    assert evolution.children[lost].data.tags["hypevo.node"] != "frail"
    assert "machine frail has left the cluster" in evolution.watcher.messages
    assert "machine late has joined" in evolution.watcher.messages
    assert "late" in {start["tags"]["hypevo.node"] for start in starts().values()}
    machines.kill("late")


def test_a_driver_that_is_killed_leaves_no_process_and_the_next_one_goes_on(
    driver, ray, arena, machines, nobody_left
):
    options = ["--generations", "4", "--backend", "ray", "--address", machines.address, "--epochs", "4"]
    options += ["--sleep", "1.5", "--device", "auto"]
    first = driver(*options, environ=machines.environ)
    first.until("runs/evolve/s/trials/0001/epochs.jsonl", 120)
    assert first.stop(9) == -9
    until(lambda: not living(arena))
    second = driver(*options, environ=machines.environ)
    assert second.wait() == 0, second.log.read_text()
    assert sorted(starts()) == [0, 1, 2, 3]
    assert starts()[0]["attempt"] == starts()[1]["attempt"] == 2
    nobody_left(arena)


@pytest.mark.heavy
def test_two_people_with_studies_of_one_name_share_a_cluster_and_an_mlflow(
    zygote, ray, arena, machines, nobody_left
):
    from mlflow import MlflowClient

    address = f"sqlite:///{arena / 'mlflow.db'}"
    options = ["--generations", "5", "--backend", "ray", "--address", machines.address, "--device", "auto"]
    environ = {**machines.environ, "MLFLOW_TRACKING_URI": address}
    folders = [arena / name for name in ("anna", "bert")]
    drivers = []
    for seed, folder in enumerate(folders):
        folder.mkdir()
        shutil.copy(arena / "landscape.py", folder)
        drivers.append(
            Driver(zygote, folder, *options, "--seed", str(seed), "--sleep", ".3", environ=environ)
        )
    assert [driver.wait() for driver in drivers] == [0, 0], [driver.log.read_text() for driver in drivers]
    client = MlflowClient(address)
    (experiment,) = [one for one in client.search_experiments() if one.name == "hypevo"]
    runs = client.search_runs([experiment.experiment_id])
    parents = [run.info.run_id for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 2
    for parent in parents:
        children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent]
        assert sorted(run.data.tags["hypevo.trial"] for run in children) == list("01234")
    views = [key for key in experiment.tags if key.startswith("mlflow.sharedViewState.")]
    assert len(views) == 2
    for folder in folders:
        assert len(starts(folder / "runs/evolve/s/trials")) == 5
        nobody_left(folder)


@pytest.fixture
def stranger(machines, arena, tmp_path_factory):
    """A machine that does not see the driver's folder."""
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs mount namespaces, which take root")
    home = tmp_path_factory.mktemp("stranger")
    machines.start(home.name, hidden=arena, environ={"HYPEVO_NODE_FOLDER": str(home)})
    yield home
    machines.kill(home.name)


@pytest.mark.heavy
def test_without_a_shared_folder_files_travel_and_only_the_best_weights(evolution, ray, stranger):
    evolution(8, options={"sleep": 0.3}, **ray)
    strange = [n for n, start in starts().items() if start["tags"]["hypevo.node"] == stranger.name]
    assert strange
    for number in range(8):
        folder = Path(f"runs/evolve/s/trials/{number:04d}")
        assert "training on cuda:0" in (folder / "log.txt").read_text()
        assert (folder / "witness.json").is_file()
        assert "log.txt" in {
            file.path for file in evolution.client.list_artifacts(evolution.children[number].info.run_id)
        }
    best = evolution.summary.best.number
    kept = [int(path.parent.name) for path in Path("runs/evolve/s/trials").glob("*/weights")]
    assert kept == [best]
    evolution(2, options={"sleep": 1.0}, study="all", keep_weights="all", **ray)
    assert len(list(Path("runs/evolve/all/trials").glob("*/weights/best.pt"))) == 2
    left = [path for path in stranger.rglob("*") if path.is_file()]
    assert left == [], "close has the machine remove what nobody wants"


@pytest.mark.heavy
def test_a_machine_with_other_data_says_so_by_name_and_gets_no_trial(evolution, ray, stranger, arena):
    (arena / "data.bin").write_text("the right data")  # too binary to travel
    evolution(3, options={"data": str(arena / "data.bin"), "sleep": 0.3}, **ray)
    (said,) = [line for line in evolution.watcher.messages if stranger.name in line]
    assert said == (
        f"machine {stranger.name} gets no trainings: its data have the fingerprint 5eed0f1a7d5ca9e, expected the right "
        "data as elsewhere"
    )
    assert {start["tags"]["hypevo.node"] for start in starts().values()} <= {"left", "right"}


@pytest.mark.heavy
def test_the_winner_is_confirmed_and_trained_on_the_cluster(evolution, ray, machines):
    from hypevo.problem.settings import ConfirmSettings, TrainSettings
    from hypevo.retraining.confirm import confirm
    from hypevo.retraining.train import train_once

    evolution(3, **ray)
    found = confirm(ConfirmSettings(study="s", seeds=2, stagger=0.0, **ray), evolution.watcher)
    assert found.verdicts
    trained = train_once(TrainSettings(trainer="landscape:train", name="once", **ray), evolution.watcher)
    assert trained.outcome.failure is None
    assert (trained.folder / "weights/best.pt").is_file()


def test_what_cannot_be_had_from_a_cluster_is_refused(evolution, ray):
    with pytest.raises(InputError, match="--device 0: expected auto or cpu with --backend ray"):
        evolution(1, **{**ray, "device": "0"})
    with pytest.raises(InputError, match="ray://"):
        evolution(1, **{**ray, "address": "ray://somewhere:10001"})
