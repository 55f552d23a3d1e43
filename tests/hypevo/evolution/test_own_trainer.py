"""A trainer of a user's own: its genes and no others, as what they are, from the first training to the last file."""

from __future__ import annotations

import base64
import itertools
import json
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import yaml

from hypevo.problem.settings import ConfirmSettings, TrainSettings
from hypevo.protocol import InputError, WorkError
from hypevo.results.evolve_csv import read_evolve_csv
from hypevo.retraining.train import repeat_of, train_once
from hypevo.study.storage import load_study

MIXED = """
SPACE = {
    "lr": {"low": 1e-5, "high": 0.1, "default": 0.01, "log": True},
    "depth": {"low": 2, "high": 8, "type": "int", "default": 4},
    "batch": {"choices": [16, 32, 64], "default": 32},
    "drop": {"choices": [0.1, 0.123456789], "default": 0.123456789},
    "act": {"choices": ["relu", "tanh"], "default": "relu"},
    "ema": {"choices": [True, False], "default": False},
}
FITNESS = {"accuracy": 1, "loss": -0.1}
KINDS = {"lr": float, "depth": int, "batch": int, "drop": float, "act": str, "ema": bool}

def train(hyp, *, out, seed, device, report):
    assert {name: type(value) for name, value in hyp.items()} == KINDS, hyp
    assert hyp["drop"] in (0.1, 0.123456789)
    accuracy = 0.5 + 0.1 * (hyp["act"] == "tanh") + 0.05 * hyp["ema"] - abs(hyp["lr"] - 0.02) + seed / 1e6
    metrics = {"loss": 1 - accuracy, "accuracy": accuracy}
    report(metrics, step=0)
    return {**metrics, "val/odd, name(B)": 3.0}
"""
NUMBERS = itertools.count()
GENES = {"lr", "depth", "batch", "drop", "act", "ema"}


@pytest.fixture
def mine(arena, monkeypatch):
    """Writes a trainer into the working directory and returns its name, another one each time: they stay imported."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text):
        name = f"mine_{next(NUMBERS)}"
        (arena / f"{name}.py").write_text(text)
        return f"{name}:train"

    return write


def views(evolution):
    """The chart views of the experiment, each as the state that MLflow's page reads."""
    experiment = evolution.client.get_experiment(evolution.parent.info.experiment_id)
    for name, tag in experiment.tags.items():
        if name.startswith("mlflow.sharedViewState."):
            packed = json.loads(tag)["state"].removeprefix("deflate;")
            yield name, zlib.decompress(base64.b64decode(packed)).decode()


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["adaptive", "classic", "tpe", "cmaes", "random"])
def test_genes_of_every_kind_reach_the_trainer_and_all_files(evolution, arena, mine, sampler):
    trainer = mine(MIXED)
    summary = evolution(6, trainer=trainer, sampler=sampler)
    assert summary.done == 6
    assert all(set(trial.params) == GENES for trial in evolution.trials)
    best = summary.best.params
    assert yaml.safe_load(Path("runs/evolve/s/hyp_evolved.yaml").read_text()) == best
    row = max(
        read_evolve_csv(Path("runs/evolve/s/evolve.csv"), lambda metrics: metrics["accuracy"]),
        key=lambda r: r.fitness,
    )
    assert (row.hyp["act"], row.hyp["ema"], row.hyp["batch"]) == (best["act"], best["ema"], best["batch"])
    assert row.metrics.keys() == {"loss", "accuracy", "val/odd_ name_B_"}
    view = next(tag for name, tag in views(evolution) if name.startswith("mlflow.sharedViewState."))
    assert {"metrics/accuracy", "metrics/loss"} <= set(re.findall(r"metrics/\w+", view))
    run = evolution.children[summary.best.number].data
    assert (
        run.params.items()
        >= {"act": best["act"], "batch": str(best["batch"]), "ema": str(best["ema"])}.items()
    )
    assert run.metrics["metrics/accuracy"] == summary.best.user_attrs["metrics/accuracy"]


@pytest.mark.slow
def test_they_stay_what_they_are_in_every_later_command(evolution, arena, mine):
    from hypevo.preflight import preflight
    from hypevo.problem.settings import StudySettings
    from hypevo.retraining.confirm import confirm
    from hypevo.study.import_csv import import_csv
    from hypevo.study.status import study_status
    from hypevo.trainings import make_backend

    trainer = mine(MIXED)
    best = evolution(6, trainer=trainer).best
    backend = make_backend(trainer)
    asked = StudySettings(trainer=trainer, study="again", device="cpu", seed=2)
    assert import_csv(Path("runs/evolve/s/evolve.csv"), asked, preflight(asked, backend).plan).trials == 6
    evolution(7, trainer=trainer, study="again")
    assert {trial.params["drop"] for trial in evolution.stored("again")} <= {0.1, 0.123456789}
    header = Path("runs/evolve/again/evolve.csv").read_text().split("\n")[0].split(",")
    assert len({name.strip() for name in header}) == len(header)

    confirmation = confirm(
        ConfirmSettings(study="s", device="cpu", seeds=2, recommended=True), evolution.watcher
    )
    assert [verdict.pairs for verdict in confirmation.verdicts] == [2, 2]
    status = study_status("mlruns/optuna.journal", "s")
    assert (set(status["genes"]), set(status["best_metrics"])) == (
        GENES,
        {"loss", "accuracy", "val/odd, name(B)"},
    )
    repeat = repeat_of(best.number, "s", TrainSettings(device="cpu", from_trial=best.number))
    assert train_once(repeat.settings, evolution.watcher, repeat.individual).outcome.metrics == repeat.metrics
    Path("mine.yaml").write_text("lr: 1e-3\ndepth: 4\nbatch: 16\ndrop: 0.1\nact: tanh\nema: yes\n")
    alone = TrainSettings(trainer=trainer, hyp="mine.yaml", device="cpu")
    assert train_once(alone, evolution.watcher).outcome.failure is None


def test_without_genes_the_error_shows_the_lines_to_write(evolution, arena, mine):
    trainer = mine("def train(hyp, *, out, seed, device, report): return {'score': 1.0}\n")
    with pytest.raises(InputError, match=f"{trainer} brings no hyperparameters of its own") as refused:
        evolution(1, trainer=trainer, fitness="score")
    lines = [
        line.partition("#")[0].strip() for line in str(refused.value).split("\n") if line.startswith("  ")
    ]
    (arena / "space.yaml").write_text("\n".join(lines))  # they are what they say
    evolution(2, trainer=trainer, fitness="score", space=Path("space.yaml"))
    assert [trial.params.keys() for trial in evolution.trials] == [{"lr", "layers", "act"}] * 2


def test_yolov5s_presets_and_genes_are_none_of_an_own_trainers(evolution, arena, mine):
    trainer = mine(MIXED)
    with pytest.raises(
        InputError, match=r"--hyp VOC: it is for YOLOv5's genes; those of mine_\d+:train are lr, depth"
    ):
        evolution(1, trainer=trainer, hyp="VOC")
    (arena / "hyp.yaml").write_text("lr: 0.01\nmosaic: 1.0\n")
    with pytest.raises(InputError, match="mosaic: not in the search space"):
        evolution(1, trainer=trainer, hyp="hyp.yaml")


def test_a_space_file_narrows_the_genes_of_the_trainer(evolution, arena, mine):
    trainer = mine(MIXED)
    (arena / "space.yaml").write_text("depth: {high: 5}\nact: {gain: 0, default: tanh}\nema: {gain: 0}\n")
    evolution(3, trainer=trainer, space=Path("space.yaml"))
    assert all(trial.params.keys() == GENES - {"act", "ema"} for trial in evolution.trials)
    assert all(trial.params["depth"] <= 5 for trial in evolution.trials)


def test_without_a_fitness_the_error_asks_for_one(evolution, arena, mine):
    trainer = mine(MIXED.replace("FITNESS", "METRICS = ('accuracy', 'loss')\n_"))
    with pytest.raises(InputError, match=r"as in --fitness accuracy; .*and returns accuracy, loss"):
        evolution(1, trainer=trainer)


def test_a_fitness_that_reads_what_never_comes_stops_at_once_and_is_put_right(evolution, arena, mine):
    trainer = mine(MIXED.replace("FITNESS", "_"))
    with pytest.raises(
        WorkError, match=r"trial 0, epoch 1: .*«acc» reads acc; the first report has loss, accuracy"
    ):
        evolution(6, trainer=trainer, fitness="acc")
    assert len(evolution.trials) == 1
    first = evolution.parent.info.run_id
    assert evolution(2, trainer=trainer, fitness="accuracy").done == 2
    study = load_study("mlruns/optuna.journal", "s")
    parent = evolution.client.get_run(study.user_attrs["mlflow_parent_run_id"])
    assert parent.info.run_id != first  # MLflow's parameters stand for ever
    assert parent.data.params["fitness"] == "accuracy"
    with pytest.raises(InputError, match="fitness was accuracy and is now loss"):
        evolution(3, trainer=trainer, fitness="loss")


def test_a_result_that_lacks_the_metric_is_scored_when_the_fitness_is_right(evolution, arena, mine):
    trainer = mine(
        "SPACE = {'lr': {'low': 0, 'high': 1, 'default': 0.5}}\nMETRICS = ('accuracy', 'top1')\n"
        "def train(hyp, *, out, seed, device, report):\n"
        "    with (out.parents[3].parent / 'trained').open('a') as file: file.write('x')\n"
        "    return {'accuracy': hyp['lr']}\n"
    )
    with pytest.raises(WorkError, match="reads top1; the trainer returned accuracy"):
        evolution(2, trainer=trainer, fitness="top1")
    evolution(1, trainer=trainer, fitness="accuracy")
    assert [trial.value for trial in evolution.trials] == [0.5]
    assert (arena / "trained").read_text() == "x"  # once


OLDER = """
METRICS = ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95")


def check(settings, hyp, space):
    return [("note", f"{len(space)} genes")]


def train(hyp, *, out, seed, device, report):
    return dict.fromkeys(METRICS, hyp["lr0"])
"""


def warnings(evolution):
    return [finding.message for finding in evolution.watcher.findings if finding.level == "warning"]


def test_a_trainer_with_the_metrics_of_detectors_has_yolov5s_genes_and_that_is_said(evolution, arena):
    """As those of version 0.1, which brought no genes."""
    (arena / "older.py").write_text(OLDER)
    assert evolution(2, trainer="older:train").done == 2
    (said,) = warnings(evolution)
    assert "older:train brings no genes" in said
    assert "YOLOv5's 29 genes are taken" in said


@pytest.mark.parametrize(
    "text", ["inherit: true\nmosaic: {gain: 0}\n", "lr0: {low: 1e-4, high: 0.1, default: 0.01}\n"]
)
def test_a_space_file_says_itself_which_genes_there_are(evolution, arena, text):
    (arena / "older.py").write_text(OLDER)
    (arena / "space.yaml").write_text(text)
    assert evolution(1, trainer="older:train", space=arena / "space.yaml").done == 1
    repeat = repeat_of(0, "s", TrainSettings(device="cpu", out=Path("runs/train")))
    assert train_once(repeat.settings, evolution.watcher, repeat.individual).outcome.metrics == repeat.metrics
    assert warnings(evolution) == []


def test_its_values_are_trained_with_as_they_are_given(arena):
    (arena / "older.py").write_text(OLDER)
    (arena / "hyp.yaml").write_text("lr0: 0.5\ndropout: 0.1\n")
    command = [
        sys.executable,
        "-m",
        "hypevo",
        "train",
        "--trainer",
        "older:train",
        "--hyp",
        "hyp.yaml",
        "--device",
        "cpu",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "brings no genes" not in done.stderr
