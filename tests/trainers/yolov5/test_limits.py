from __future__ import annotations

import pytest

from hypevo.problem.hyp import PRESETS, load_hyp
from trainers.yolov5 import Settings, check
from trainers.yolov5.limits import impossible

LOW = load_hyp("scratch-low")


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_possible(preset):
    assert list(impossible(load_hyp(preset))) == []


@pytest.mark.parametrize(
    "values", [{"anchors": 0}, {"degrees": 180.0}, {"weight_decay": 0.005}, {"lr0": 5.0}, {"anchors": 2.5}]
)
def test_what_yolov5_trains_with_is_possible(values):
    assert list(impossible({**LOW, **values})) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lr0": -0.01}, "lr0: expected 0 or more; got -0.01"),
        ({"lr0": float("nan")}, "lr0: expected 0 or more; got nan"),
        ({"momentum": 1.0}, "momentum: expected less than 1; got 1: the steps would never fade"),
        ({"scale": 1.5}, "scale: expected less than 1; got 1.5"),
        ({"anchors": 1e308}, "anchors: expected less than 100; got 1e+308"),
        ({"box": "big"}, "box: expected a number; got big"),
    ],
)
def test_what_no_training_can_run_with_is_an_error_of_the_look_beforehand(values, words):
    (problem,) = impossible({**LOW, **values})
    assert problem.startswith(words)
    assert check(Settings(), {**LOW, **values}, {}, None) == [("error", f"hyp: {problem}")]
