from __future__ import annotations

from dataclasses import replace

import pytest

from trainers import yolov5
from trainers.yolov5 import Settings
from trainers.yolov5.settings import GENES

HYP = dict.fromkeys(GENES, 0.0) | {
    "lr0": 0.01,
    "warmup_epochs": 3.0,
    "anchor_t": 4.0,
    "anchors": 3.0,
    "mosaic": 1.0,
}
GAINS = {"box": 0.05, "cls": 0.5, "obj": 1.0, "cls_pw": 1.0, "obj_pw": 1.0, "lrf": 0.1, "momentum": 0.9}


def test_real_batches_are_timed_and_multiplied_and_nothing_stays(tmp_path):
    settings = Settings(img=64, batch=4, epochs=1, val_every=0)
    few = yolov5.estimate(settings, HYP | GAINS, cache=tmp_path, device="cpu", seconds=60)
    many = yolov5.estimate(
        replace(settings, epochs=100), HYP | GAINS, cache=tmp_path, device="cpu", seconds=60
    )
    assert few[2] == "batches of 4 images to train on and 8 to validate"
    assert 0 < few[0] <= few[1] < many[1]
    assert not list(tmp_path.rglob("*.rgb"))


def test_where_time_is_short_fewer_images_are_timed(tmp_path):
    settings = Settings(img=64, batch=16)
    timed = yolov5.estimate(settings, HYP | GAINS, cache=tmp_path, device="cpu", seconds=0.001)[2]
    assert timed == "batches of 2 images to train on and 4 to validate"


def test_a_hyperparameter_that_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="lr0"):
        yolov5.estimate(Settings(), {}, cache=tmp_path, device="cpu", seconds=1)
