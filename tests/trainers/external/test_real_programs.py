"""Evolutions with the real programs, on the embedded dataset and a CPU: they take minutes.

HYPEVO_TEST_ULTRALYTICS names a Python that has the package ultralytics, HYPEVO_TEST_YOLOV5 a checkout that runs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(3600)]


def named(variable: str) -> str:
    return os.environ.get(variable) or pytest.skip(f"{variable} names nothing")


@pytest.fixture
def hypevo(tmp_path):
    """Runs or starts a command in a folder of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = kept | {"OMP_NUM_THREADS": "1", "YOLO_CONFIG_DIR": str(tmp_path / "user")}

    def start(*words):
        command = [sys.executable, "-m", "hypevo", *map(str, words)]
        log = (tmp_path / "log.txt").open("ab")
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=log)

    def run(*words):
        process = start(*words)
        out, _ = process.communicate()
        assert process.returncode == 0, (tmp_path / "log.txt").read_text()
        return out.decode()

    run.start = start
    run.folder = tmp_path
    return run


def until(condition, seconds=600):
    """Wait for something, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


def programs(driver: int, word: str) -> list[psutil.Process]:
    """The processes below a driver with a word in their command line, the uppermost first."""
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        try:
            if any(word in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def evolve_with_kills(hypevo, options, word, trials):
    """Evolve four generations; a training is killed on the way, and then the driver."""
    words = ["evolve", "--study", "s", "--generations", 4, "--device", "cpu", "--seed", 1, *options]
    driver = hypevo.start(*words)
    until(lambda: (trials / "0001" / "epochs.jsonl").exists() and programs(driver.pid, word))
    programs(driver.pid, word)[0].kill()
    until(lambda: (trials / "0002" / "trial.json").exists() and programs(driver.pid, word))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    hypevo(*words)
    return json.loads(hypevo("status", "--json"))


def experiments(folder):
    from mlflow import MlflowClient

    return {found.name for found in MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()}


def tags(folder, run):
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").get_run(run).data.tags


def test_ultralytics_evolves_is_killed_goes_on_and_is_confirmed(hypevo):
    python = named("HYPEVO_TEST_ULTRALYTICS")
    trials = hypevo.folder / "runs" / "evolve" / "s" / "trials"
    options = ["--trainer", "trainers.external.ultralytics", "--python", python, "--model", "yolo11n.yaml"]
    options += ["--data", "digits", "--img", 64, "--epochs", 2, "--workers", 0, "--cache", "ram"]
    (hypevo.folder / "hyp.yaml").write_text("close_mosaic: 1\n")
    options += ["--hyp", "hyp.yaml"]
    status = evolve_with_kills(hypevo, options, "ultralytics.cfg", trials)
    assert status["generations"] == 4
    assert json.loads((trials / "0001" / "trial.json").read_text())["attempt"] == 2
    header, *rows = (trials.parent / "evolve.csv").read_text().splitlines()
    assert len(rows) == 4
    assert {"metrics/mAP_0.5:0.95", "close_mosaic", "dfl"} <= {cell.strip() for cell in header.split(",")}
    steps = [json.loads(line)["step"] for line in (trials / "0003" / "epochs.jsonl").read_text().splitlines()]
    assert steps == [0, 1]
    assert len(list(trials.glob("*/weights/best.pt"))) == 1
    assert experiments(hypevo.folder) == {"Default", "hypevo"}
    assert "hypevo.trainer.ultralytics" in tags(hypevo.folder, status["mlflow_run"])
    verdict = json.loads(hypevo("confirm", "--seeds", 2, "--epochs", 1, "--device", "cpu", "--json"))
    assert verdict
    (best,) = hypevo("export", "--format", "ultralytics").split()
    assert yaml.safe_load((hypevo.folder / best).read_text())["box"] >= 1


def test_a_checkout_evolves_is_killed_and_goes_on(hypevo):
    repo = named("HYPEVO_TEST_YOLOV5")
    trials = hypevo.folder / "runs" / "evolve" / "s" / "trials"
    weights = Path(__file__).parents[3] / "trainers" / "digits.pt"
    start = hypevo("export", "--format", "yolov5", "--repo", repo, "--weights", weights, "--out", ".").strip()
    options = ["--trainer", "trainers.external.yolov5_repo", "--repo", repo, "--weights", start]
    options += ["--data", "digits", "--img", 160, "--epochs", 2, "--workers", 0]
    status = evolve_with_kills(hypevo, options, "train.py", trials)
    assert status["generations"] == 4
    assert json.loads((trials / "0001" / "trial.json").read_text())["attempt"] == 2
    assert len(list(trials.glob("*/weights/best.pt"))) == 1
    assert experiments(hypevo.folder) == {"Default", "hypevo"}
    assert {"hypevo.trainer.yolov5", "hypevo.trainer.torch"} <= set(tags(hypevo.folder, status["mlflow_run"]))
    best = trials / f"{status['best_trial']:04d}"
    found = json.loads(
        hypevo("val", "--trainer", "trainers.external.yolov5_repo", "--repo", repo, "--data", "digits",
               "--weights", best / "weights" / "last.pt", "--img", 160, "--workers", 0, "--json")
    )  # fmt: skip
    assert found["metrics"]["mAP_0.5"] > 0.1
