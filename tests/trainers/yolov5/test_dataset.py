from __future__ import annotations

import os

import numpy as np
import pytest

from trainers.yolov5 import dataset
from trainers.yolov5.data_yaml import load_data
from trainers.yolov5.dataset import scan

PLAIN = "path: set\ntrain: images\nval: images\nnames: [digit]\n"
BOX = "0 .5 .5 .2 .2\n"


def test_scan_reads_sizes_and_labels_in_order(make):
    split = scan(load_data(make(PLAIN, {"b.png": BOX, "a.png": None, "c d ü.png": ""})), "train")
    assert [image.name for image in split.images] == ["a.png", "b.png", "c d ü.png"]
    assert split.sizes.tolist() == [[24, 32]] * 3
    assert [len(boxes) for boxes in split.boxes] == [0, 1, 0]
    assert np.allclose(split.boxes[1], [[0, 0.5, 0.5, 0.2, 0.2]])
    assert split.warnings == ()


def test_bad_files_are_skipped_with_their_reason(make, tmp_path):
    path = make(PLAIN, {"a.png": BOX, "b.png": "0 2 .5 .2 .2\n", "c.png": BOX, "d.png": BOX * 2})
    (tmp_path / "set" / "images" / "c.png").write_bytes(b"\x89PNG\r\n")
    split = scan(load_data(path), "train")
    assert [image.name for image in split.images] == ["a.png", "d.png"]
    bad_label, bad_image, repeated = sorted(split.warnings)
    assert "b.png skipped" in bad_label
    assert "line 1 holds 2" in bad_label
    assert "c.png skipped: not a readable image" in bad_image
    assert "d.txt: 1 duplicate" in repeated


def test_strict_makes_a_skipped_file_an_error(make):
    path = make(PLAIN, {"a.png": BOX, "b.png": "0 2 .5 .2 .2\n"})
    with pytest.raises(ValueError, match=r"1 file\(s\) unusable[^\n]*\n.*b\.png skipped"):
        scan(load_data(path), "train", strict=True)


def test_strict_allows_repeated_rows(make):
    assert len(scan(load_data(make(PLAIN, {"a.png": BOX * 2})), "train", strict=True)) == 1


def test_nothing_usable_is_an_error_with_the_reasons(make):
    path = make(PLAIN, {f"{i}.png": "0\n" for i in range(7)})
    with pytest.raises(ValueError, match=r"no usable image in [^\n]*\n(.*skipped.*\n){5}  and 2 more"):
        scan(load_data(path), "train")


def test_a_class_too_high_stops_the_scan(make):
    path = make(PLAIN, {"a.png": BOX, "b.png": "1 .5 .5 .2 .2\n"})
    with pytest.raises(ValueError, match=r"b\.txt, line 1: class 1"):
        scan(load_data(path), "train")


def test_lists_hold_absolute_and_relative_paths(make, tmp_path, monkeypatch):
    path = make(
        "path: set\ntrain: lists/t.txt\nval: images\nnc: 1\n", {f"{i}.png": BOX for i in ("a", "b b", "ü")}
    )
    images = tmp_path / "set" / "images"
    lists = tmp_path / "set" / "lists"
    lists.mkdir()
    (lists / "near.png").write_bytes((images / "a.png").read_bytes())
    monkeypatch.chdir(images)
    lines = [f"{images / 'a.png'}", "./near.png", "images/b b.png", "ü.png", "", "./none.png", "notes.md"]
    (lists / "t.txt").write_text("\r\n".join(lines), encoding="utf-8")
    split = scan(load_data(path), "train")
    assert [image.name for image in split.images] == ["a.png", "near.png", "b b.png", "ü.png"]
    assert [len(boxes) for boxes in split.boxes] == [1, 0, 1, 1]
    assert any("notes.md skipped: no image format" in warning for warning in split.warnings)
    assert any("none.png skipped: no such file" in warning for warning in split.warnings)


def test_a_gigabyte_of_zeros_is_no_list(make, tmp_path):
    path = make("train: list.txt\nval: list.txt\nnc: 1\n")
    (tmp_path / "list.txt").touch()
    os.truncate(tmp_path / "list.txt", 1 << 30)
    with pytest.raises(ValueError, match="at most 500,000,000 bytes"):
        scan(load_data(path), "train")


def test_a_kept_scan_reads_no_file_again(make, tmp_path, monkeypatch):
    images = {"a.png": BOX * 2, "b ü.png": "0 .1 .1 .9 .2 .5 .8\n", "c.png": None, "d.png": "0\n"}
    config = load_data(make(PLAIN, images))
    first = scan(config, "train", memory=tmp_path / "cache")
    monkeypatch.setattr(dataset, "measure", None)  # calling it would fail
    second = scan(config, "train", memory=tmp_path / "cache")
    assert (second.images, second.warnings, second.skipped) == (first.images, first.warnings, 1)
    assert np.array_equal(second.sizes, first.sizes)
    for one, other in zip(first.boxes, second.boxes, strict=True):
        assert np.array_equal(one, other)
        assert one.dtype == other.dtype
    for one, other in zip(first.polygons, second.polygons, strict=True):
        assert [None if o is None else o.tolist() for o in one] == [
            None if o is None else o.tolist() for o in other
        ]


def test_a_kept_scan_is_not_used_for_changed_labels_or_classes(make, tmp_path):
    config = load_data(make(PLAIN, {"a.png": BOX}))
    scan(config, "train", memory=tmp_path / "cache")
    (tmp_path / "set" / "labels" / "a.txt").write_text(BOX + "0 .1 .1 .1 .1\n")
    assert len(scan(config, "train", memory=tmp_path / "cache").boxes[0]) == 2
    (tmp_path / "set" / "labels" / "a.txt").unlink()
    assert len(scan(config, "train", memory=tmp_path / "cache").boxes[0]) == 0


def test_strict_also_judges_a_kept_scan(make, tmp_path):
    config = load_data(make(PLAIN, {"a.png": BOX, "b.png": "0 2 .5 .2 .2\n"}))
    scan(config, "train", memory=tmp_path / "cache")
    with pytest.raises(ValueError, match=r"1 file\(s\) unusable"):
        scan(config, "train", strict=True, memory=tmp_path / "cache")
