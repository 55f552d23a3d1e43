"""Command lines become settings: whose an option is, what its value means, and what is said of a wrong one."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
import typer

from hypevo.cli import app as cli
from hypevo.cli.foreign import FOREIGN, answer
from hypevo.cli.options import add_command
from hypevo.problem.options import Checked, option, options_of
from hypevo.problem.settings import BUILT_IN, ConfirmSettings, EvolveSettings, StudySettings, TrainSettings
from hypevo.protocol import InputError
from trainers.yolov5 import Settings as BuiltIn


@pytest.fixture
def settings():
    """The settings that a command line becomes, through the same Typer command that a user's becomes them."""

    def parse(*words: str, command: str = "evolve"):
        app = typer.Typer()
        found = []
        add_command(app, cli.COMMANDS[command][0], found.append, command)
        app(list(words), standalone_mode=False)
        return found[0]

    return parse


@pytest.fixture
def output(monkeypatch, capfd):
    """What the whole program prints, and its exit code."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["hypevo", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capfd.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run


def test_no_options_are_the_default_settings(settings):
    assert settings() == EvolveSettings()
    assert (
        dataclasses.asdict(settings(command="confirm")).items()
        >= dataclasses.asdict(ConfirmSettings()).items()
    )
    assert settings(command="train") == TrainSettings()


def test_options_of_ours_reach_the_settings(settings):
    given = settings("--generations", "7", "--freeze", "lr0, momentum", "--out", "there", "--cache-dir=c")
    assert (given.generations, given.freeze, given.out, given.cache) == (
        7, ("lr0", "momentum"), Path("there"), Path("c"),
    )  # fmt: skip


@pytest.mark.parametrize("command", sorted(set(cli.COMMANDS) - {"trainer"}))
def test_every_field_of_a_commands_settings_is_an_option(settings, command):
    words, expected = [], {}
    values = {bool: "true", int: "3", float: "0.5", Path: "p"}
    for one in options_of(cli.COMMANDS[command][0]):
        if one.field in ("only", "from_study", "rescore", "minimal", "weights", "trainer", "register"):
            continue  # they exclude another, or have no name that any word could be
        if command == "export" and one.field in ("confirm", "seeds", "device", "slots_per_device"):
            continue  # they need --minimal
        kind = next((kind for kind in values if kind in (one.hint, *getattr(one.hint, "__args__", ()))), str)
        free = "per-trial" if one.field == "trial_seed" else values.get(kind, "x")
        word = one.choices[-1] if one.choices else free
        words += [word] if one.argument else [f"{one.name}={word}"]
        expected[one.field] = one.parse(word)
    given = settings(*words, command=command)
    assert {name: getattr(given, name) for name in expected} == expected


def test_options_of_the_trainer_are_told_from_ours(settings):
    given = settings("--data", "x.yaml", "--epochs", "3", "--warmup-floor", "0", "--cos-lr", "--seed-of-it=5")
    assert given.options == {
        "data": "x.yaml",
        "epochs": "3",
        "warmup_floor": "0",
        "cos_lr": "true",
        "seed_of_it": "5",
    }


def test_a_negative_value_of_a_trainer_option_is_a_value(settings):
    assert settings("--offset", "-3").options == {"offset": "-3"}


def test_a_value_with_a_blank_may_begin_with_dashes(settings):
    words = ("--extra", "--workers 1", "--fitness", "-loss", "--note=--quiet")
    asked = settings(*words)
    assert asked.options == {"extra": "--workers 1", "note": "--quiet"}
    assert asked.fitness == "-loss"


def test_a_file_may_stand_before_or_behind_the_options(settings):
    for words in (
        ["x.csv", "--data", "d.yaml"],
        ["--data", "d.yaml", "x.csv"],
        ["--data=d.yaml", "x.csv", "--seed", "1"],
    ):
        given = settings(*words, command="import")
        assert (given.csv, given.options) == (Path("x.csv"), {"data": "d.yaml"})


@pytest.mark.parametrize(
    "words",
    [("--space", ""), ("--data", ""), ("--epochs="), ("--freeze", ""), ("--seed="), ("--hours", "")],
)
def test_empty_options_stand_for_the_default(settings, words):
    assert settings(*([words] if isinstance(words, str) else words)) == EvolveSettings()


@pytest.mark.parametrize(
    ("word", "value"),
    [("--recommended", True), ("--recommended=true", True), ("--recommended=false", False), ("--recommended=", False)],
)  # fmt: skip
def test_a_flag_may_have_a_value(settings, word, value):
    assert settings(word, command="confirm").recommended is value


def test_underscores_are_as_good_as_dashes(settings):
    assert settings("--gpu_hours", "2").gpu_hours == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--seed", "abc"], "--seed: expected a whole number, got «abc»"),
        (["--hours", "abc"], "--hours: expected a number, got «abc»"),
        (["--sampler", "tp"], "--sampler: expected one of adaptive, classic, tpe, cmaes, random, "
         "got «tp»; did you mean «tpe»?"),
        (["--slots-per-device", "0"], "--slots-per-device: expected 1 or more, got 0"),
        (["--hours", "0"], "--hours: expected more than 0, got 0.0"),
        (["--hours", "nan"], "--hours: expected more than 0, got nan"),
        (["--study", "a/b"], "--study: expected letters, digits, «.», «_», «+», «-» and blanks, "
         "with a letter, a digit or «_» first, got «a/b»"),
        (["--study", ".."], "--study: expected letters, digits, «.», «_», «+», «-» and blanks, "
         "with a letter, a digit or «_» first, got «..»"),
        (["--generatons", "7"], "no option --generatons; did you mean «--generations»?"),
        (["300"], "unexpected argument «300»; options are given as --name value (see --help)"),
        (["--"], "unexpected argument «--»; options are given as --name value (see --help)"),
    ],
)  # fmt: skip
def test_an_error_names_the_option_what_was_expected_and_what_it_got(settings, words, says):
    with pytest.raises(InputError) as error:
        settings(*words)
    assert str(error.value) == says


@pytest.mark.parametrize(
    ("command", "words", "says"),
    [
        ("evolve", ["--imgsz", "640"], "no option --imgsz; it is --img 640 here"),
        ("evolve", ["--batch-size=16"], "no option --batch-size; it is --batch 16 here"),
        ("evolve", ["--name", "a"], "no option --name; it is --study a here"),
        ("evolve", ["--project", "a"], "no option --project; it is --out a here"),
        ("evolve", ["--evolve", "300"], "no option --evolve; it is --generations 300 here"),
        ("evolve", ["--cfg", "x.yaml"], "no option --cfg; a model's size is --model (n, s, m, l, x), "
         "a file of hyperparameters is --hyp"),
        ("evolve", ["--workers", "8"], "no option --workers; there are no loader processes here: "
         "images come from a cache that all trainings share, or from threads"),
        ("evolve", ["model=yolov5s.pt"], "unexpected argument «model=yolov5s.pt»; expected --weights yolov5s.pt"),
        ("evolve", ["--freeze", "10"],
         "--freeze 10: expected names of genes to hold, as lr0,momentum; layers of the network "
         "are held by --freeze-layers 10, of other programs in --extra (`hypevo trainer NAME`)"),
        ("train", ["--freeze", "10"], "no option --freeze; it is --freeze-layers 10 here"),
        ("evolve", ["--cache"],
         "--cache: expected auto, disk, ram or none with it; YOLOv5's --cache alone is --cache ram"),
        ("evolve", ["--bucket", "b"], "no option --bucket; nothing is uploaded: results are in the study's folder "
         "and in MLflow, at $MLFLOW_TRACKING_URI"),
        ("evolve", ["--save-period", "5"], "no option --save-period; no weights are kept of single epochs; "
         "which trials keep theirs is --keep-weights (best, all, none)"),
        ("evolve", ["--nosave"], "no option --nosave; it is --keep-weights none here"),
        ("evolve", ["use_ray=True"],
         "unexpected argument «use_ray=True»; it is --backend ray here, on a running cluster"),
        ("evolve", ["space=x"],
         "unexpected argument «space=x»; expected --space FILE.yaml with «gene: {low: , high: , gain: }»"),
        ("status", ["--storage", "postgres://me@db/optuna"], "--storage: SQLAlchemy knows no «postgres://»; "
         "expected postgresql+psycopg://me@db/optuna (pip install hypevo[postgresql])"),
        ("evolve", ["epochs=10"], "unexpected argument «epochs=10»; expected --epochs 10"),
        ("evolve", ["imgsz=640"], "unexpected argument «imgsz=640»; it is --img 640 here"),
        ("evolve", ["--trainer", "mine:train", "imgsz=640"], "unexpected argument «imgsz=640»; expected --imgsz 640"),
        ("evolve", ["--trainer", "trainers.external.yolov5_repo", "--rect"],
         'no option --rect; options of train.py are given in --extra "--rect"'),
        ("evolve", ["--trainer", "trainers.external.ultralytics", "--multi-scale", "0.5"],
         "no option --multi-scale; options of yolo train are given in --extra multi_scale=VALUE"),
        ("evolve", ["--trainer", "trainers.external.ultralytics", "--imgsz", "96"],
         "no option --imgsz; it is --img 96 here"),
        ("train", ["--study", "a"], "no option --study; a single training's name is --name a"),
        ("train", ["--evolve", "300"], "no option --evolve; it is --generations 300 here, "
         "and --generations is an option of `hypevo evolve`, not of this command"),
        ("status", ["--name", "a"], "no option --name; it is --study a here"),
        ("report", ["--study", "s"], "no option --study; type s alone, without --study"),
        ("status", ["--epochs", "3"], "no option --epochs; there are --json, --storage, --study, --watch, --fitness"),
        ("status", ["--stdy", "a"], "no option --stdy; did you mean «--study»?"),
    ],
)  # fmt: skip
def test_options_of_other_tools_are_answered_from_a_table(settings, command, words, says):
    with pytest.raises(InputError) as error:
        settings(*words, command=command)
    assert str(error.value) == says


def test_several_wrong_options_are_said_together(settings):
    with pytest.raises(InputError, match=r"(?s)- no option --imgsz.*- no option --workers"):
        settings("--imgsz", "3", "--workers", "8")


def test_no_option_of_the_built_in_trainer_is_refused():
    ours = [one.name for one in options_of(EvolveSettings)]
    theirs = [one.name for one in options_of(BuiltIn)]
    assert [name for name in theirs if answer(name, "1", ours, BUILT_IN) is not None] == []
    assert [name for name in theirs if name.removeprefix("--") in FOREIGN] == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("evolve", ["--trainer", "mine:train"]),
        ("confirm", []),  # the study says what trains
        ("train", ["--from-trial", "3"]),
    ],
)
def test_an_option_of_a_users_trainer_may_resemble_ours(settings, command, words):
    given = settings(*words, "--sed", "7", "--imgsz", "64", "--workers", "2", command=command)
    assert given.options == {"sed": "7", "imgsz": "64", "workers": "2"}


def test_a_repeated_trial_brings_its_own_seed():
    with pytest.raises(InputError, match="--seed: expected none with --from-trial"):
        TrainSettings(from_trial=3, seed=5).refuse_what_the_trial_says()
    TrainSettings(from_trial=3, options={"epochs": "3"}).refuse_what_the_trial_says()


def test_a_study_of_a_trial_needs_the_trial():
    with pytest.raises(InputError, match="--from-study: expected --from-trial with it"):
        TrainSettings(from_study="s")


def test_settings_are_checked_wherever_they_are_made():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Mine(Checked):
        share: float = option(0.5, "A share.", least=0)

    Mine(share=0)
    with pytest.raises(InputError, match=r"--share: expected 0 or more, got -1"):
        Mine(share=-1)
    assert issubclass(EvolveSettings, StudySettings)


def test_what_a_user_typed_is_printed_as_it_is(output):
    code, _, error = output("status", "--storage", ":train:[bold]x[/]")
    assert code == 2
    assert ":train:[bold]x[/]" in error


def test_the_version(output):
    code, printed, _ = output("--version")
    assert (code, printed.split()[0]) == (0, "hypevo")
