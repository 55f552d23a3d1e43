"""Help teaches: a command's options, and the trainer's own with theirs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hypevo.cli.app import COMMANDS
from hypevo.cli.options import in_order
from hypevo.problem.options import options_of
from trainers.yolov5 import METRICS, Settings

MINE = '''
from dataclasses import dataclass, field
from typing import Literal

METRICS = ("score",)

@dataclass(frozen=True)
class Settings:
    rate: float = field(default=0.5, metadata={"help": "speed of :train: in [bold]steps[/]"})
    mode: Literal["fast", "slow"] = "fast"
    secret: str = field(default="", metadata={"help": "of the program", "hidden": True})

def train(hyp, *, out, seed, device, report, settings):
    """Train :train: [b]mine[/b].

    And more.
    """
'''


@pytest.fixture
def hypevo(tmp_path, monkeypatch):
    """Runs the program in a folder with a user's trainers; returns its exit code and what it printed."""
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "broken.py").write_text("raise RuntimeError('no licence [x]')\n")
    (tmp_path / "bare.py").write_text("def train(hyp, *, out, seed, device, report): ...\n")

    def run(*words: str, code: str = "from hypevo.cli.app import main; main()") -> tuple[int, str]:
        command = [sys.executable, "-c", f"import sys; sys.argv = ['hypevo', *{words!r}]\n{code}"]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        return ended.returncode, ended.stdout + ended.stderr

    return run


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_lists_every_option_and_an_example(hypevo, name):
    code, printed = hypevo(name, "--help")
    assert code == 0
    assert [
        one.name for one in in_order(COMMANDS[name][0]) if not one.argument and one.name not in printed
    ] == []
    assert f"Example: hypevo {name}" in printed


@pytest.mark.parametrize("words", [["evolve", "--help"], ["trainer"], ["trainer", "yolov5"], ["val", "-h"]])
def test_options_of_the_built_in_trainer_are_listed_with_their_help(hypevo, words):
    _, printed = hypevo(*words)
    for one in options_of(Settings):
        assert one.name in printed
        assert one.text[:40] in printed
    assert "--cache-folder" not in printed  # the program sets it


def test_help_loads_no_heavy_library(hypevo):
    code = (
        "from hypevo.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'torchvision', 'mlflow', 'optuna', 'matplotlib', 'sklearn', 'scipy'}\n"
        "print('LOADED', sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    for words in (["evolve", "--help"], ["trainer"]):
        assert hypevo(*words, code=code)[1].splitlines()[-1] == "LOADED []"


@pytest.mark.parametrize(
    "words",
    [["evolve", "--trainer", "mine:train", "--help"], ["evolve", "--trainer=mine:train", "--nonsense", "-h"],
     ["evolve", "--help", "--trainer", "mine:train"], ["trainer", "mine:train"]],
)  # fmt: skip
def test_options_of_a_users_trainer_are_listed_as_written(hypevo, words):
    code, printed = hypevo(*words)
    assert code == 0
    assert "speed of :train: in [bold]steps[/] [default: 0.5]" in printed
    assert "--mode" in printed
    assert "fast or slow" in printed
    assert "--secret" not in printed


def test_a_trainer_describes_itself(hypevo):
    _, printed = hypevo("trainer", "mine:train")
    assert "Train :train: [b]mine[/b].\n" in printed
    assert "metrics: score\n" in printed
    assert ", ".join(METRICS) in hypevo("trainer")[1]
    assert "It has none." in hypevo("trainer", "bare:train")[1]


def test_a_trainer_that_cannot_be_imported_leaves_the_rest_of_the_help(hypevo):
    for name, why in (
        ("broken:train", "RuntimeError: no licence [x]"),
        ("nowhere:train", "no module «nowhere»"),
    ):
        code, printed = hypevo("evolve", "--trainer", name, "--help")
        assert code == 0
        assert "--generations" in printed
        assert "They cannot be listed" in printed
        assert why in printed
        code, printed = hypevo("trainer", name)
        assert code == 2
        assert why in printed
