from __future__ import annotations

from pathlib import Path

import pytest
import typer

from hypevo.cli import options as opt
from hypevo.protocol import InputError


@pytest.fixture
def settings():
    """The settings that a command line becomes."""

    def parse(*words: str):
        app = typer.Typer()
        found = []

        @app.command(context_settings=opt.PASS_ON)
        def command(
            context: typer.Context,
            data: opt.Data = None,
            epochs: opt.Epochs = None,
            space: opt.Space = None,
            freeze: opt.Freeze = None,
            generations: opt.Generations = None,
            trainer: opt.Trainer = "yolov5",
            out: opt.Out = Path("runs/evolve"),
        ) -> None:
            found.append(opt.settings(context))

        app(list(words), standalone_mode=False)
        return found[0]

    return parse


def test_options_of_ours_reach_the_settings(settings):
    given = settings("--generations", "7", "--freeze", "lr0, momentum", "--out", "there")
    assert (given.generations, given.freeze, given.out) == (7, ("lr0", "momentum"), Path("there"))


def test_options_of_the_trainer_are_told_from_ours(settings):
    given = settings("--data", "x.yaml", "--epochs", "3", "--warmup-floor", "0", "--cos-lr", "--seed-of-it=5")
    assert given.options == {
        "data": "x.yaml",
        "epochs": 3,
        "warmup_floor": "0",
        "cos_lr": "true",
        "seed_of_it": "5",
    }


def test_a_negative_value_of_a_trainer_option_is_a_value(settings):
    assert settings("--offset", "-3").options == {"offset": "-3"}


@pytest.mark.parametrize("words", [("--space", ""), ("--data", ""), ("--epochs", "0"), ("--freeze", "")])
def test_empty_options_stand_for_the_default(settings, words):
    given = settings(*words)
    assert (given.space, given.options, given.freeze) == (None, {}, ())


def test_a_mistyped_option_of_ours_is_not_passed_on(settings):
    with pytest.raises(InputError, match=r"did you mean --generations\?"):
        settings("--generatons", "7")


def test_an_option_of_a_users_trainer_may_resemble_ours(settings):
    assert settings("--trainer", "mine:train", "--generation", "7").options == {"generation": "7"}


def test_a_word_without_an_option_is_refused(settings):
    with pytest.raises(InputError, match="unexpected argument «300»"):
        settings("300")
