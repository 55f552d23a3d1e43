"""On which images a confirmation is measured, for data with and without images that the search has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from PIL import Image

from hypevo.problem.settings import ConfirmSettings
from hypevo.protocol import InputError
from hypevo.retraining.unseen import options_of, telling

OWN = "trainers.external.ultralytics:train"  # it has no such choice


@dataclass
class Plan:
    trainer: str
    settings: dict


class Here:
    """A backend that calls in this process."""

    def call(self, function, *args):
        return function(*args)


@pytest.fixture
def chosen(tmp_path):
    """`chosen(**settings)`: the options over those of a study of a data.yaml that names `test`, and what is said."""
    for part in ("train", "val", "test", "bare"):
        (tmp_path / "images" / part).mkdir(parents=True)
        (tmp_path / "labels" / part).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(tmp_path / "images" / part / "a.png")
        if part != "bare":
            (tmp_path / "labels" / part / "a.txt").write_text("0 .5 .5 .5 .5\n")

    def choose(test="images/test", trainer="trainers.yolov5:train", searched_on=None, **settings):
        named = f"test: {test}\n" if test else ""
        data = tmp_path / "data.yaml"
        data.write_text(f"train: images/train\nval: images/val\n{named}names: [thing]\n")
        plan = Plan(
            trainer, {"data": str(data), "model": "n"} | ({"split": searched_on} if searched_on else {})
        )
        said = []
        return options_of(ConfirmSettings(**settings), plan, Here(), tmp_path, said.append), said

    return choose


def test_images_that_the_search_has_not_seen_come_first_and_that_is_said(chosen):
    options, (said,) = chosen()
    assert options == {"split": "test"}
    assert "measured on `test`" in said


def test_what_is_asked_for_is_taken(chosen):
    assert chosen(split="val") == ({"split": "val"}, [])
    assert chosen(options={"epochs": "3"}, data="other.yaml") == ({"epochs": "3", "data": "other.yaml"}, [])


def test_a_study_that_searched_on_test_has_none_left(chosen):
    assert chosen(searched_on="test") == ({}, [])


def test_without_them_it_is_the_studys_own(chosen):
    assert chosen(test="") == ({}, [])


def test_images_without_labels_cannot_be_measured_on(chosen):
    options, (said,) = chosen(test="images/bare")
    assert options == {}
    assert said == "`test` of the data.yaml cannot be measured on: none of its 1 images has a label file"


def test_a_trainer_without_the_choice_says_what_to_do(chosen):
    assert chosen(trainer=OWN) == ({}, [])
    with pytest.raises(InputError, match=r"give --data a data\.yaml whose `val` names the images"):
        chosen(trainer=OWN, split="test")
    with pytest.raises(InputError, match="--split test: none of its 1 images has a label file"):
        chosen(test="images/bare", split="test")


def test_older_trainings_are_found_again():
    assert telling({"split": "val", "schedule_epochs": 0, "freeze_norm": False, "epochs": 3}) == {"epochs": 3}
    assert telling({"split": "test"}) == {"split": "test"}
