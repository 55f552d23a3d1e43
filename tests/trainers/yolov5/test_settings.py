from __future__ import annotations

from dataclasses import fields, replace

import pytest

from trainers.yolov5 import Settings
from trainers.yolov5.settings import EMBEDDED_WEIGHTS


def test_embedded_dataset_decides_what_is_left_out():
    settings = Settings()
    assert (settings.epochs, settings.img, settings.batch, settings.warmup_floor) == (6, 160, 16, 0)
    assert settings.weights == str(EMBEDDED_WEIGHTS)


def test_embedded_dataset_with_a_model_trains_from_scratch():
    assert Settings(model="p").weights == ""


def test_other_data_decides_what_is_left_out():
    settings = Settings(data="coco.yaml", weights="yolov5s.pt", batch=8)
    assert (settings.epochs, settings.img, settings.batch, settings.warmup_floor) == (10, 640, 8, 100)


def test_replacing_the_data_keeps_the_decisions():
    settings = replace(Settings(), data="/tmp/digits/data.yaml")
    assert (settings.img, settings.warmup_floor) == (160, 0)


def test_every_option_has_a_help_text():
    assert all(field.metadata["help"] for field in fields(Settings))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "a.yaml"}, "weights: none given"),
        ({"img": 100}, "img: expected a multiple of 32, got 100; use 96 or 128"),
        ({"epochs": -1}, "epochs: expected 1 or more, got -1"),
        ({"optimizer": "adam"}, "did you mean Adam"),
        ({"model": "xl"}, "model: expected one of p, n, s, m, l, x"),
        ({"report_epoch": "first"}, "report_epoch: expected one of last, best"),
        ({"label_smoothing": 1.0}, "label_smoothing: expected 0 to below 1"),
        ({"data": ""}, "data: expected"),
        (
            {"epochs": 5, "schedule_epochs": 4},
            r"schedule_epochs: expected 5 \(epochs\) or more, or 0 .*, got 4",
        ),
        ({"epochs": 5, "schedule_epochs": -1}, "schedule_epochs: expected 5 .*, got -1"),
        ({"freeze_layers": "-1"}, r"freeze_layers: expected how many of the first layers, .* got '-1'"),
        ({"freeze_layers": "lr0"}, "freeze_layers: expected how many of the first layers"),
        ({"freeze_layers": "0,25"}, "leave one to train, of 0 to 24; got 0,25"),
        ({"freeze_layers": 25}, "leave one to train, of 0 to 24; got 25"),
        ({"model": "p", "freeze_layers": "10"}, "freeze_layers: expected weights with it"),
        ({"cache": "runs/cache"}, "cache: expected one of auto, disk, ram, none, got 'runs/cache'"),
    ],
)
def test_impossible_options_say_what_to_change(options, message):
    with pytest.raises(ValueError, match=message):
        Settings(**options)


def test_norms_are_frozen_at_a_checkpoints_statistics_alone():
    with pytest.raises(ValueError, match="freeze_norm: expected weights with it"):
        Settings(data="d.yaml", model="n", freeze_norm=True)
    assert Settings(data="d.yaml", weights="yolov5n.pt", freeze_norm=True).freeze_norm


@pytest.mark.parametrize(
    ("given", "frozen"), [("", []), ("0", []), (3, [0, 1, 2]), ("0,5", [0, 5]), ("24,3", [3, 24])]
)
def test_one_number_freezes_the_first_layers_and_several_freeze_these(given, frozen):
    assert sorted(Settings(freeze_layers=given).frozen_layers) == frozen


def test_the_schedule_is_as_long_as_the_training_unless_told():
    """Also where another number of epochs takes the place of a study's, as in a confirmation at full length."""
    assert replace(Settings(epochs=3), epochs=100).schedule_length == 100
    assert Settings(epochs=3, schedule_epochs=100).schedule_length == 100
    assert Settings(epochs=3, schedule_epochs=3).schedule_length == 3


@pytest.mark.parametrize(
    ("val_every", "expected"), [(1, [0, 1, 2, 3, 4]), (2, [1, 3, 4]), (0, [4]), (9, [4])]
)
def test_validation_comes_as_often_as_asked_and_after_the_last_epoch(val_every, expected):
    settings = Settings(epochs=5, val_every=val_every)
    assert [epoch for epoch in range(5) if settings.validates(epoch)] == expected


@pytest.mark.parametrize(
    ("options", "training", "alone"),
    [({}, 32, 32), ({"batch": 32}, 64, 32), ({"batch": 64}, 128, 64), ({"val_batch": 8}, 8, 8)],
)
def test_validation_batch_is_twice_the_training_batch_or_that_of_published_numbers(options, training, alone):
    settings = Settings(**options)
    assert settings.validation_batch(training=True) == training
    assert settings.validation_batch(training=False) == alone
