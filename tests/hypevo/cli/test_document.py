"""MLproject and docs/options.md say what the settings' fields say, and `mlflow run` means what the command means."""

from __future__ import annotations

import shlex

import pytest
import typer
from mlflow.projects._project_spec import load_project

from hypevo.cli import document
from hypevo.cli.app import COMMANDS
from hypevo.cli.options import add_command
from hypevo.problem.options import options_of
from hypevo.problem.settings import EvolveSettings, TrainSettings

STALE = f"is not what the settings say; write it again: {document.REGENERATE}"


def test_the_mlproject_is_made_of_the_settings():
    assert (document.ROOT / "MLproject").read_text(encoding="utf-8") == document.mlproject(), STALE


def test_the_table_of_options_is_made_of_the_settings():
    assert (document.ROOT / "docs" / "options.md").read_text(encoding="utf-8") == document.options(), STALE


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_has_a_help(name):
    assert [one.name for one in options_of(COMMANDS[name][0]) if len(one.text) < 8] == []


def run(entry_point: str, parameters: dict[str, str]):
    """The settings that `mlflow run -e ENTRY_POINT -P …` reaches, through MLflow's own reading of MLproject."""
    command = load_project(document.ROOT).get_entry_point(entry_point).compute_command(parameters, None)
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "hypevo"]
    app, found = typer.Typer(), []
    add_command(app, COMMANDS[words[3]][0], found.append, words[3])
    app(words[4:], standalone_mode=False)
    return found[0]


@pytest.mark.parametrize("entry_point", sorted(document.ENTRY_POINTS))
def test_an_entry_point_without_parameters_is_its_command_without_options(entry_point):
    command = document.ENTRY_POINTS[entry_point]
    assert run(entry_point, {}) == COMMANDS[command][0]()


def test_parameters_reach_the_settings():
    given = {"data": "my data.yaml", "epochs": "3", "generations": "300", "cache_dir": "c", "gpu_hours": "2"}
    settings = run("main", given)
    assert isinstance(settings, EvolveSettings)
    assert settings.options == {"data": "my data.yaml", "epochs": "3"}
    assert (settings.generations, str(settings.cache), settings.gpu_hours) == (300, "c", 2)


def test_another_trainer_gets_its_own_options():
    settings = run("train", {"trainer": "mine:train", "its_option": "5"})
    assert isinstance(settings, TrainSettings)
    assert (settings.trainer, settings.options) == ("mine:train", {"its_option": "5"})


def test_a_confirmation_without_epochs_leaves_the_studys():
    assert run("confirm", {}).options == {}
    assert run("confirm", {"recommended": "true", "epochs": "100"}).recommended
