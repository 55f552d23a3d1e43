from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.yolov5 import Settings, check, fingerprint, prepare
from trainers.yolov5.model import Detector
from trainers.yolov5.settings import GENES
from trainers.yolov5.weights import save_checkpoint

HYP = dict.fromkeys(GENES, 0.0) | {"lr0": 0.01, "warmup_epochs": 3.0, "anchor_t": 4.0}
BOX = "0 0.5 0.5 0.4 0.4\n"
OUTLINE = "0 0.3 0.3 0.7 0.3 0.5 0.7\n"


@pytest.fixture
def dataset(tmp_path):
    """Writes a dataset of two images with the given label rows and returns settings for it."""

    def write(rows: str = BOX, **options) -> Settings:
        for folder in ("images", "labels", "val"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for level, name in enumerate("ab"):
            pixels = np.full((64, 64, 3), level, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
            (tmp_path / "labels" / f"{name}.txt").write_text(rows)
        Image.fromarray(np.full((64, 64, 3), 9, np.uint8)).save(tmp_path / "val" / "c.png")
        (tmp_path / "val" / "c.txt").write_text(rows)
        (tmp_path / "data.yaml").write_text("train: images\nval: val\nnames: [cat, dog]\n")
        defaults = {"data": str(tmp_path / "data.yaml"), "model": "p", "img": 64, "warmup_floor": 0}
        return Settings(**{**defaults, **options})

    return write


def test_nothing_to_say_about_a_sound_study(dataset):
    hyp = {**HYP, "warmup_epochs": 1.0}
    assert told(dataset(batch=1), hyp, {"lr0": {"gain": 1}}) == []


def test_what_each_split_holds_is_said_and_classes_without_a_box_in_train(dataset, tmp_path):
    settings = dataset(BOX + "0 0.2 0.2 0.1 0.1\n")
    (tmp_path / "labels" / "a.txt").write_text("")
    said = [text for level, text in check(settings, HYP, {}) if level == "note"]
    assert said[:2] == [
        "train: 2 images, 1 of them background (no box); 2 boxes of 1 of 2 classes; no box here of dog",
        "val: 1 images, all with boxes; 2 boxes of 1 of 2 classes",
    ]


def test_a_batch_of_one_image_of_32_pixels_is_an_error(dataset):
    assert not [level for level, _ in told(dataset(batch=2, img=32), HYP, {}) if level == "error"]
    (finding,) = [one for one in told(dataset(batch=1, img=32), HYP, {}) if one[0] == "error"]
    assert "at 32 pixels no batch may hold one image" in finding[1]


def told(settings, hyp, space) -> list[tuple[str, str]]:
    """All findings but what the data hold and what the training takes, which are always said."""
    always = ("train: ", "val: ", "memory: ")
    return [finding for finding in check(settings, hyp, space) if not finding[1].startswith(always)]


def single_error(settings: Settings) -> str:
    errors = [message for level, message in check(settings, HYP, {}) if level == "error"]
    assert len(errors) == 1
    return errors[0]


def test_missing_yaml_is_an_error(dataset, tmp_path):
    assert "nowhere.yaml" in single_error(dataset(data=str(tmp_path / "nowhere.yaml")))


def test_unreadable_yaml_is_an_error(dataset, tmp_path):
    settings = dataset()
    (tmp_path / "data.yaml").write_text("train: [images\n")
    assert "data.yaml is not valid YAML" in single_error(settings)


def test_images_that_all_fail_are_an_error(dataset, tmp_path):
    settings = dataset()
    for image in (tmp_path / "images").iterdir():
        image.write_bytes(b"no image")
    assert "no usable image" in single_error(settings)


def test_class_beyond_the_names_is_an_error_with_file_and_line(dataset):
    message = single_error(dataset(BOX + "2 0.5 0.5 0.1 0.1\n"))
    assert "a.txt" in message
    assert "line 2" in message


def test_missing_weights_are_an_error(dataset, tmp_path):
    assert "nowhere.pt" in single_error(dataset(weights=str(tmp_path / "nowhere.pt"), model=""))


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


def test_weights_that_import_are_an_error_and_do_not_run(dataset, tmp_path):
    torch.save(Touch(tmp_path / "touched"), tmp_path / "evil.pt")
    assert "wants to import" in single_error(dataset(weights=str(tmp_path / "evil.pt"), model=""))
    assert not (tmp_path / "touched").exists()


def test_weights_that_are_no_checkpoint_are_an_error(dataset, tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    assert "no checkpoint" in single_error(dataset(weights=str(tmp_path / "text.pt"), model=""))


def findings_on_weights(settings: Settings) -> list[tuple[str, str]]:
    return [(level, message) for level, message in check(settings, HYP, {}) if message.startswith("weights:")]


def test_weights_of_other_classes_say_how_many_tensors_are_taken(dataset, tmp_path):
    path = tmp_path / "seven.pt"
    save_checkpoint(path, Detector("p", 7), [str(i) for i in range(7)])
    assert findings_on_weights(dataset(weights=str(path), model="")) == [
        (
            "note",
            f"weights: 343 of 349 tensors are taken from {path}; made for 7 classes, the data has 2: "
            "the output layer starts from scratch",
        )
    ]


def test_weights_of_another_size_are_a_warning_and_fitting_ones_nothing_to_say(dataset, tmp_path):
    save_checkpoint(tmp_path / "two.pt", Detector("p", 2), ["cat", "dog"])
    assert findings_on_weights(dataset(weights=str(tmp_path / "two.pt"), model="")) == []
    ((level, message),) = findings_on_weights(dataset(weights=str(tmp_path / "two.pt"), model="s"))
    assert level == "warning"
    assert "of 349 tensors are taken" in message


@pytest.mark.parametrize(
    ("options", "hyp", "space", "level", "words"),
    [
        ({}, {"lr0": None}, {}, "error", "lr0 has no value"),
        ({}, {"own": 1.0}, {}, "warning", "own: this trainer reads no such"),
        ({}, {}, {"iou_t": {"gain": 1}}, "warning", "iou_t: has no effect"),
        ({}, {}, {"copy_paste": {"gain": 1}}, "warning", "copy_paste: has no effect"),
        ({}, {"copy_paste": 0.1}, {}, "warning", "copy_paste: has no effect"),
        ({"optimizer": "Adam"}, {}, {}, "warning", "lr0: 0.01 is a rate for SGD"),
        ({"warmup_floor": 100}, {}, {}, "note", "warm-up: lasts 100 iterations"),
    ],
)
def test_findings_name_their_subject(dataset, options, hyp, space, level, words):
    hyp = {gene: value for gene, value in {**HYP, **hyp}.items() if value is not None}
    found = check(dataset(batch=1, **options), hyp, space)
    assert any(finding[0] == level and words in finding[1] for finding in found)


@pytest.mark.parametrize(
    ("options", "rows", "space"),
    [
        ({}, BOX, {"iou_t": {"gain": 0}}),
        ({}, OUTLINE, {"copy_paste": {"gain": 1}}),
        ({"optimizer": "Adam"}, BOX, {}),
    ],
)
def test_frozen_genes_polygons_and_small_rates_are_fine(dataset, options, rows, space):
    hyp = {**HYP, "lr0": 0.001, "warmup_epochs": 1.0}
    assert told(dataset(rows, batch=1, **options), hyp, space) == []


def test_images_without_any_label_are_an_error(dataset):
    assert "train: no labels: all 2 label file(s) in" in single_error(dataset(""))


def test_label_files_that_are_elsewhere_are_an_error_with_the_place(dataset, tmp_path):
    settings = dataset()
    (tmp_path / "labels").rename(tmp_path / "annotations")
    assert f"has a label file in {tmp_path / 'labels'};" in single_error(settings)


def test_the_count_of_missing_label_files_is_not_lost_in_a_long_list(dataset, tmp_path):
    settings = dataset()
    for number in range(50):
        (tmp_path / "images" / f"bad {number}.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "val" / "bare.png")
    told = [message for level, message in check(settings, HYP, {}) if level == "warning"]
    expected = f"1 of 2 val images have no label file in {tmp_path / 'val'};"
    assert sum(message.startswith(expected) for message in told) == 1


def leaks(settings: Settings) -> list[str]:
    return [message for level, message in check(settings, HYP, {}) if "train images too" in message]


def test_val_images_that_are_trained_on_are_counted(dataset, tmp_path):
    settings = dataset()
    assert leaks(settings) == []
    shutil.copy(tmp_path / "images" / "a.png", tmp_path / "val" / "copy.png")
    shutil.copy(tmp_path / "labels" / "a.txt", tmp_path / "val" / "copy.txt")
    (tmp_path / "val" / "link.png").symlink_to(tmp_path / "images" / "b.png")
    (message,) = leaks(settings)
    assert message.startswith("data: 2 of 3 val images are train images too")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [cat, dog]\n")
    (message,) = leaks(settings)
    assert message.startswith("data: 2 of 2 val images")


def test_val_images_that_only_look_alike_are_not_counted(dataset, tmp_path):
    settings = dataset()
    for place, level in (("images", 100), ("val", 101)):  # of one size, in bytes too
        Image.fromarray(np.full((32, 32, 3), level, np.uint8)).save(tmp_path / place / "alike.bmp")
    assert leaks(settings) == []


def test_classes_of_one_name_are_pointed_out(dataset, tmp_path):
    settings = dataset()
    (tmp_path / "data.yaml").write_text("train: images\nval: val\nnames: [cat, dog, cat]\n")
    assert ("warning", "data: 2 classes are called 'cat'") in check(settings, HYP, {})


def test_skipped_files_are_warnings_or_with_strict_an_error(dataset, tmp_path):
    settings = dataset()
    (tmp_path / "images" / "a.png").write_bytes(b"no image")
    assert any(level == "warning" and "a.png" in message for level, message in check(settings, HYP, {}))
    assert "a.png" in single_error(replace(settings, strict=True))


def test_many_skipped_files_are_told_in_few_lines(dataset, tmp_path):
    settings = dataset()
    for number in range(50):
        (tmp_path / "images" / f"bad {number}.png").write_bytes(b"no image")
    told = [message for level, message in check(settings, HYP, {}) if level == "warning"]
    assert len(told) < 25
    assert "and 30 more files or rows like these" in told


def test_preparing_leaves_caches_that_trainings_share(dataset, tmp_path):
    settings = prepare(dataset(), tmp_path / "cache")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert len(before) >= 2
    assert settings.cache_folder == str(tmp_path / "cache")
    assert prepare(settings, tmp_path / "cache") == settings
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == before


def test_preparing_writes_the_embedded_dataset(tmp_path):
    settings = prepare(Settings(model="p"), tmp_path)
    assert settings.data.startswith(str(tmp_path))
    assert settings.data.endswith("data.yaml")


def test_what_the_check_has_read_of_the_dataset_is_read_once(dataset, tmp_path, monkeypatch):
    settings = dataset()
    check(settings, HYP, {}, tmp_path / "cache")
    monkeypatch.setattr("trainers.yolov5.dataset.measure", None)  # would read an image
    prepare(settings, tmp_path / "cache")


def test_fingerprint_follows_the_content_and_not_the_place(dataset, tmp_path, monkeypatch):
    settings = dataset()
    first = fingerprint(settings)
    assert re.fullmatch("2-[0-9a-f]{64}", first)
    os.utime(tmp_path / "images" / "a.png", (0, 0))
    assert fingerprint(settings) == first
    assert fingerprint(prepare(settings, tmp_path / "cache")) == first
    shutil.copytree(tmp_path, tmp_path / "elsewhere")
    assert fingerprint(replace(settings, data=str(tmp_path / "elsewhere" / "data.yaml"))) == first

    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")
    assert fingerprint(replace(settings, data=str(tmp_path / "linked" / "data.yaml"))) == first
    monkeypatch.chdir(tmp_path)
    for spelt in ("data.yaml", "./data.yaml", "elsewhere/../data.yaml"):
        assert fingerprint(replace(settings, data=spelt)) == first
    apart = tmp_path / "apart"
    apart.mkdir()
    (apart / "data.yaml").write_text(f"train: [{tmp_path}/images]\nval: {tmp_path}/val\nnames: [cat, dog]\n")
    assert fingerprint(replace(settings, data=str(apart / "data.yaml"))) == first
    (apart / "data.yaml").write_text(
        "path: ../linked/\ntrain: images/\nval: ./val\nnames: {0: cat, 1: dog}\n"
    )
    assert fingerprint(replace(settings, data=str(apart / "data.yaml"))) == first
    (apart / "train.txt").write_text("./../images/a.png\n./../images/b.png\n")
    (apart / "data.yaml").write_text("train: train.txt\nval: ../val\nnames: [cat, dog]\n")
    assert fingerprint(replace(settings, data=str(apart / "data.yaml"))) == first

    changes = {"image": first}
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "images" / "b.png")
    changes["image size"] = fingerprint(settings)
    (tmp_path / "labels" / "a.txt").write_text("1 0.5 0.5 0.4 0.4\n")
    changes["label"] = fingerprint(settings)
    (tmp_path / "images" / "b.png").rename(tmp_path / "images" / "c.png")
    changes["name"] = fingerprint(settings)
    yaml = tmp_path / "data.yaml"
    yaml.write_text(yaml.read_text().replace("dog", "fox"))
    changes["class"] = fingerprint(settings)
    assert len(set(changes.values())) == len(changes)


def test_what_a_training_takes_is_said(dataset):
    (note,) = [
        message for level, message in check(dataset(batch=4), HYP, {}) if message.startswith("memory: ")
    ]
    size = 2 * (2 * 64 * 64 * 3 + 2 * 16 + 32)  # of two images, their digests and a seal; for train and val
    assert f"in files of {size / 1e6:.1f} MB, {size / 1e6:.1f} MB still to write, --cache disk" in note
    assert "a batch of 4 at 64 takes about" in note


@pytest.mark.parametrize(
    ("options", "device", "words"),
    [
        ({"img": 32 * 10**5, "cache": "disk"}, None, "free on the disk, got .*--cache none"),
        ({"img": 32 * 10**5, "cache": "ram"}, None, r"of RAM for resized images \(--cache ram\), got"),
        ({"batch": 10**7}, "cpu", "of RAM for 10000000 images at 64 pixels, got .*smaller --batch"),
    ],
)
def test_what_cannot_fit_is_an_error_with_numbers(dataset, options, device, words):
    findings = check(dataset(**options), HYP, {}, None, device)
    errors = [message for level, message in findings if level == "error"]
    assert any(re.search(words, message) for message in errors)


def test_what_has_no_room_as_files_is_decoded(dataset, tmp_path, caplog):
    """Images of 3.2 million pixels a side, as `prepare` decides it; they are not opened."""
    settings = prepare(dataset(img=32 * 10**5), tmp_path / "cache")
    assert settings.cache == "none"
    assert "--cache none" in caplog.text
    assert not list((tmp_path / "cache").glob("*.rgb"))


def test_a_folder_of_an_older_study_is_not_a_way_to_keep_images(dataset):
    assert dataset(cache="").cache == "auto"
