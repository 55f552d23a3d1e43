from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from hypevo.cli.progress import TerminalWatcher
from hypevo.problem.settings import TrainSettings
from hypevo.protocol import Failure, InputError
from hypevo.retraining.train import repeat_of, train_once


def trained(**settings):
    lines = io.StringIO()
    defaults = {
        "trainer": "landscape:train",
        "device": "cpu",
        "out": Path("runs/train"),
        "experiment": "train",
    }
    with TerminalWatcher(Console(file=lines, width=200), what="training", every_epoch=True) as watcher:
        end = train_once(TrainSettings(**(defaults | settings)), watcher)
    return end.outcome, end.folder, lines.getvalue().splitlines()


def the_run(arena):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{arena / 'mlflow.db'}")
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return run, client


def test_one_training_is_one_run_with_curves_and_files(arena):
    outcome, folder, lines = trained(options={"epochs": 3})
    assert outcome.failure is None
    assert [line.partition(" ·")[0] for line in lines if line.startswith("epoch")] == [
        "epoch 1/3",
        "epoch 2/3",
        "epoch 3/3",
    ]
    assert lines[-1].endswith(" · training 1/1")
    run, client = the_run(arena)
    assert run.info.status == "FINISHED"
    assert "mlflow.parentRunId" not in run.data.tags
    assert run.data.params["lr0"] == "0.01"
    assert run.data.params["trainer.epochs"] == "3"
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "fitness")] == [0, 1, 2]
    assert {item.path for item in client.list_artifacts(run.info.run_id)} >= {
        "hyp.yaml",
        "log.txt",
        "weights",
    }
    assert (folder / "weights/best.pt").exists()


def test_trainings_of_one_name_get_folders_of_their_own(arena):
    assert trained()[1].name == "landscape-1"
    assert trained()[1].name == "landscape-2"
    assert trained(name="mine")[1].name == "mine"
    assert trained(name="mine")[1].name == "mine-2"


def test_a_failed_training_says_why_and_its_run_is_failed(arena):
    outcome, folder, _ = trained(options={"fail": "raise", "fail_above": 0.0})
    assert outcome.failure is Failure.CRASHED
    assert "broken on purpose" in outcome.reason
    assert "broken on purpose" in (folder / "log.txt").read_text()
    run, _ = the_run(arena)
    assert run.info.status == "FAILED"


def test_a_fitness_function_that_fails_at_the_end_costs_no_metrics(arena):
    (arena / "choosy.py").write_text("def judge(m): return None if m['recall'] == m['precision'] else 1.0\n")
    outcome, folder, _ = trained(fitness="choosy:judge")
    assert outcome.failure is Failure.CRASHED
    assert "is trained, and has no fitness: choosy:judge: expected a number; got None" in outcome.reason
    assert json.loads((folder / "result.json").read_text())["metrics"] == outcome.metrics
    assert the_run(arena)[0].info.status == "FAILED"


def test_a_training_that_ends_with_nan_has_diverged(arena):
    outcome, _, _ = trained(options={"fail": "nan", "fail_above": 0.0})
    assert outcome.failure is Failure.DIVERGED
    assert "mAP_0.5 is missing or not finite" in outcome.reason
    assert the_run(arena)[0].data.tags["hypevo.state"] == "diverged"


def test_a_training_that_was_killed_once_runs_again(arena):
    outcome, folder, lines = trained(options={"fail": "kill once", "fail_above": 0.0})
    assert outcome.failure is None
    assert "it will run again" in "\n".join(lines)
    assert (folder / "log.1.txt").exists()
    assert the_run(arena)[0].info.status == "FINISHED"


def test_evolved_hyperparameters_are_taken_back(arena, evolution):
    summary = evolution(3)
    outcome, _, _ = trained(hyp="runs/evolve/s/hyp_evolved.yaml")
    assert outcome.metrics["mAP_0.5"] == pytest.approx(summary.best.user_attrs["metrics/mAP_0.5"])


def test_bad_input_leaves_nothing_behind(bare_arena):
    (bare_arena / "hyp.yaml").write_text("lr9: 0.1\n")
    with pytest.raises(InputError, match="lr9"):
        trained(hyp="hyp.yaml")
    left = {path.name for path in bare_arena.iterdir()} - {"__pycache__"}
    assert left == {"hyp.yaml", "landscape.py"}


def test_a_trial_is_repeated_with_its_seed_and_gives_the_same(evolution, arena):
    evolution(3, trial_seed="per-trial", options={"epochs": 3}, seed=5)
    repeat = repeat_of(2, "s", TrainSettings(device="cpu", out=Path("runs/train")))
    assert repeat.settings.seed == 7
    assert repeat.settings.options["epochs"] == 3
    settings = replace(repeat.settings, name="s")  # as the study is called
    watcher = TerminalWatcher(Console(file=io.StringIO()))
    end = train_once(settings, watcher, repeat.individual, repeat.study_run)
    assert end.outcome.metrics == repeat.metrics
    assert repeat.settings.name == "s-trial-2"

    (experiment,) = [one for one in evolution.client.search_experiments() if one.name != "Default"]
    (run,) = evolution.client.search_runs([experiment.experiment_id], "tags.`hypevo.kind` = 'training'")
    assert run.data.tags["mlflow.parentRunId"] == repeat.study_run
    assert evolution(3, trial_seed="per-trial", options={"epochs": 3}, seed=5).undelivered == 0
    assert (
        evolution.client.get_run(run.info.run_id).info.lifecycle_stage == "active"
    )  # it is no trial of the study


def test_a_trial_that_has_not_finished_cannot_be_repeated(evolution):
    evolution(2, trial_seed="per-trial", options={"fail": "raise", "fail_seed": 3})
    for number in (1, 7):  # failed, and never there
        wanted = f"no finished trial {number}; 2 trials have finished, the last of them trial 2"
        with pytest.raises(InputError, match=wanted):
            repeat_of(number, "s", TrainSettings())
