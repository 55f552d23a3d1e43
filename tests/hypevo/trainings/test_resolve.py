"""Trainers found by name, and their options from a command line."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from hypevo.protocol import InputError, full_name
from hypevo.trainings.resolve import Resolved, resolve


@pytest.mark.parametrize(
    ("name", "full"),
    [("yolov5", "trainers.yolov5:train"), ("a.b", "a.b:train"), ("a:fit", "a:fit"), ("a.b:fit", "a.b:fit")],
)
def test_short_names(name, full):
    assert full_name(name) == full


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module into the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)

    yield write
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_a_trainer_in_the_working_directory_is_found(module):
    module("mine_a", "def train(): return 1\nlimit = 3\n")
    assert resolve("mine_a:train").function() == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [("mine_b:trian", "no function trian; did you mean «train»"), ("mine_b:limit", "no function limit"),
     ("nowhere.at.all:train", "no module «nowhere»; expected module:function"), ("yolov9", "not among .*yolov5"),
     ("mine_c:train", "importing mine_c failed: No module named 'not_installed'"),
     ("mine_d:train", "importing mine_d failed: SyntaxError: invalid syntax"),
     ("mine_e:train", "importing mine_e failed: OSError: no licence")],
)  # fmt: skip
def test_a_trainer_that_is_not_there_is_explained(module, name, words):
    module("mine_b", "def train(): return 1\nlimit = 3\n")
    module("mine_c", "import not_installed\n")
    module("mine_d", "def\n")
    module("mine_e", "raise OSError('no licence')\n")
    with pytest.raises(InputError, match=words):
        resolve(name)


def test_an_option_that_was_meant_as_a_value_is_answered_with_how_to_write_it(module):
    module(
        "mine_f",
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Settings:\n    extra: str = ''\n"
        "    how: Literal['a', 'b'] = 'a'\ndef train(): ...\n".replace(
            "Literal", "__import__('typing').Literal"
        ),
    )
    found = resolve("mine_f:train")
    with pytest.raises(
        InputError, match=r"no option --cache; .*; as the value of --extra it is written --extra=--cache"
    ):
        found.settings({"extra": "true", "cache": "true"})
    with pytest.raises(InputError, match="--how: expected one of a, b, got «c»"):
        found.settings({"how": "c"})


@dataclass(frozen=True)
class Settings:
    epochs: int = 3
    rate: float = 0.1
    amp: bool = False
    data: Path | None = None
    weights: str | None = None
    part: Literal["train", "val"] = "val"
    size: int | str = 640


@pytest.fixture
def trainer():
    return Resolved("m:train", type("Module", (), {"Settings": Settings}), lambda settings: settings)


def test_texts_become_what_the_fields_declare(trainer):
    given = {
        "epochs": "5", "rate": "1e-3", "amp": "yes", "data": "a/b.yaml", "weights": "x.pt", "part": "train",
        "size": "m",
    }  # fmt: skip
    assert trainer.settings(given) == Settings(5, 0.001, True, Path("a/b.yaml"), "x.pt", "train", "m")
    assert trainer.settings({"size": "32"}).size == 32
    assert trainer.settings({"epochs": 7}).epochs == 7


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"epochs": "2.5"}, "--epochs: expected a whole number, got «2.5»"),
        ({"rate": "fast"}, "--rate: expected a number"),
        ({"amp": "maybe"}, "--amp: expected true or false"),
        ({"epoch": "1"}, "no option --epoch; did you mean «--epochs»"),
        ({"bucket": "x"}, "no option --bucket; it has --amp, --data"),  # a batch, by its letters
        ({"qqqqqqqqqq": "1"}, "it has --amp, --data"),
    ],
)
def test_wrong_options_are_explained(trainer, given, words):
    with pytest.raises(InputError, match=words):
        trainer.settings(given)


def test_a_trainer_without_settings_takes_none():
    bare = Resolved("m:train", type("Module", (), {}), lambda: 1)
    assert bare.settings({}) is None
    assert bare.bound(None)() == 1
    with pytest.raises(InputError, match="has no options, got --epochs"):
        bare.settings({"epochs": "1"})
