"""What a trainer's module brings: genes, metrics, fitness, weights, as values or as functions of its settings."""

from __future__ import annotations

import sys

import pytest

from hypevo.problem.space import yolov5_space
from hypevo.protocol import Failure, InputError
from hypevo.trainings import child
from hypevo.trainings.offer import genes_of

TRAIN = "def train(hyp, *, out, seed, device, report): ...\n"
SETTINGS = """
from dataclasses import dataclass
@dataclass(frozen=True)
class Settings:
    deep: bool = False
"""
LR = {"low": 1e-05, "high": 0.1, "gain": 1.0}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes the module `mine`, whose function is the trainer, and returns the trainer's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text):
        (tmp_path / "mine.py").write_text(text + TRAIN)
        return "mine:train"

    yield write
    sys.modules.pop("mine", None)


def inspected(trainer, raw=None):
    return child.inspect(trainer, raw or {}, {}, {})


def test_genes_are_read_as_a_space_file_is(module):
    found = genes_of(
        module(
            "SPACE = {'lr': {'low': 1e-5, 'high': 0.1}, 'depth': {'low': 2, 'high': 8, 'type': 'int', 'default': 4},\n"
            "         'act': {'choices': ('relu', 'tanh'), 'default': 'relu'}, 'ema': {'choices': [True, False]}}\n"
        ),
        {},
    )
    assert list(found) == ["lr", "depth", "act", "ema"]
    assert found["lr"] == LR
    assert (found["depth"]["type"], found["depth"]["default"]) == ("int", 4)
    assert (found["act"]["choices"], found["ema"]["choices"]) == (["relu", "tanh"], [True, False])


def test_a_trainer_without_genes_brings_none_and_yolov5s_have_a_name(module):
    assert genes_of(module(""), {}) is None
    sys.modules.pop("mine")
    assert genes_of(module("SPACE = 'yolov5'\n"), {}) == yolov5_space().to_dict()


def test_what_depends_on_the_settings_is_a_function_of_them(module, tmp_path):
    trainer = module(
        SETTINGS
        + """
def SPACE(settings, cache):
    (cache / "asked").touch()
    return {"lr": {"low": 1e-5, "high": 0.1}} | ({"depth": {"low": 1, "high": 2}} if settings.deep else {})
def METRICS(settings): return ["deep", "score"] if settings.deep else ["score"]
def FITNESS(settings): return {"score": 1, "deep": -0.5} if settings.deep else "score"
def WEIGHTS(settings): return ("run/*.pt",)
"""
    )
    assert genes_of(trainer, {}, tmp_path) == {"lr": LR}
    assert list(genes_of(trainer, {"deep": True}, tmp_path)) == ["lr", "depth"]
    assert (tmp_path / "asked").exists()
    plain, deep = inspected(trainer), inspected(trainer, {"deep": True})
    assert (plain.metrics, plain.fitness, plain.weights) == (("score",), "score", ("run/*.pt",))
    assert (deep.metrics, deep.fitness) == (("deep", "score"), "`score` - 0.5*`deep`")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SPACE = 'yolov9'\n", r"mine.SPACE: expected genes, .* or 'yolov5' .*; got 'yolov9'"),
        ("SPACE = {}\n", r"mine.SPACE: expected genes"),
        ("SPACE = {'lr': 3}\n", r"mine.SPACE: lr: expected fields such as"),
        ("SPACE = {'lr': {'low': 1, 'hihg': 2}}\n", r"unknown field «hihg»; did you mean «high»"),
        (
            "def SPACE(settings): raise ValueError('no yolo here')\n",
            r"trainer mine:train: SPACE: no yolo here",
        ),
        ("def SPACE(settings): return undefined\n", r"SPACE: NameError: name 'undefined'"),
    ],
)
def test_genes_that_are_wrong_are_said(module, text, words):
    with pytest.raises(InputError, match=words):
        genes_of(module(text), {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("METRICS = 'score'\n", r"mine.METRICS: expected names, as in \('accuracy',\); got 'score'"),
        ("METRICS = (1,)\n", r"mine.METRICS: expected names"),
        ("FITNESS = 3\n", r"mine.FITNESS: expected an expression such as 'accuracy', or weights; got 3"),
        ("FITNESS = {'score': '1'}\n", r"mine.FITNESS: expected a number as the weight of score; got '1'"),
        ("WEIGHTS = ('../*.pt',)\n", r"mine.WEIGHTS: expected patterns below a training's folder"),
        ("WEIGHTS = '*.pt'\n", r"mine.WEIGHTS: expected patterns"),
    ],
)
def test_what_else_is_wrong_is_said(module, text, words):
    with pytest.raises(InputError, match=words):
        inspected(module(text))


def failed(failure, message="no memory left\nmore"):
    error = RuntimeError(message)
    error.failure = failure
    return child.failure_of(error)


def test_a_trainer_may_say_how_it_failed():
    assert failed("killed") == (Failure.KILLED, "no memory left")
    assert failed("out of memory") == (Failure.OUT_OF_MEMORY, "no memory left")
    for odd in ("exploded", 3, ["killed"], None):
        assert failed(odd, "odd")[0] is Failure.CRASHED


def test_a_trainer_that_asks_gets_what_is_maximised(module, tmp_path):
    from hypevo.protocol import Job

    trainer = module("METRICS = ('a b', 'c')\n")
    (tmp_path / "mine.py").write_text(
        "METRICS = ('a', 'c')\n"
        "def train(hyp, *, out, seed, device, report, fitness):\n"
        "    return {'a': fitness({'a': 2.0, 'c': 3.0}), 'c': fitness({'a': 2.0})}\n"
    )
    job = Job(trainer, {}, tmp_path / "out", 0, "cpu", fitness="a + 2*c")
    metrics = child.train(job, lambda metrics, *, step: None)
    assert metrics["a"] == 8.0
    assert metrics["c"] != metrics["c"]
