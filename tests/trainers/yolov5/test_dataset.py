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
    with pytest.raises(ValueError, match="at most 500,000,000 bytes, got 1,073,741,824"):
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
    config = load_data(make(PLAIN, {"a.png": BOX, "b.png": BOX}))
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


def test_images_without_a_label_file_are_counted_and_told_from_empty_ones(make, tmp_path):
    config = load_data(make(PLAIN, {"a/1.png": BOX, "a/2.png": "", "b/3.png": None, "b/4.png": None}))
    for _ in range(2):  # the second reads what the first has kept
        split = scan(config, "train", memory=tmp_path / "cache")
        assert split.unlabelled == (2, 3)
        folder = tmp_path / "set" / "labels" / "b"
        (warning,) = split.warnings
        assert warning.startswith(f"2 of 4 train images have no label file in {folder};")
    assert scan(config, "train", strict=True).skipped == 0


@pytest.mark.parametrize("part", ["train", "val"])
def test_no_label_file_at_all_is_an_error_that_says_where_they_were_looked_for(make, tmp_path, part):
    config = load_data(make(PLAIN, {"a.png": None, "b.png": None}))
    (tmp_path / "set" / "annotations").mkdir()
    with pytest.raises(ValueError, match=f"{part}: none of the 2 images has a label file in ") as caught:
        scan(config, part)
    assert str(tmp_path / "set" / "labels") in str(caught.value)


def test_label_files_without_any_row_are_an_error_of_their_own(make):
    with pytest.raises(ValueError, match=r"no labels: all 1 label file\(s\) in .*labels are empty, 2 image"):
        scan(load_data(make(PLAIN, {"a.png": "", "b.png": None, "c.png": None})), "train")


def test_pipes_folders_and_dead_links_are_skipped_with_their_reason(make, tmp_path):
    path = make(PLAIN, {"a.png": BOX, "b.png": None, "c.png": None})
    images, labels = tmp_path / "set" / "images", tmp_path / "set" / "labels"
    os.mkfifo(labels / "b.txt")
    (labels / "c.txt").mkdir()
    os.mkfifo(images / "d.png")
    (images / "e.png").symlink_to("/nowhere/e.png")
    split = scan(load_data(path), "train")
    assert [image.name for image in split.images] == ["a.png"]
    reasons = [warning.partition(" skipped: ")[2] for warning in split.warnings]
    assert [reason.rpartition(": ")[2] for reason in reasons] == [
        "expected a file, got a pipe",
        "expected a file, got a folder",
        "expected a file, got a pipe",
        "no such file",
    ]


def test_no_image_says_what_was_passed_over(make, tmp_path):
    path = make(PLAIN, {"a.png": BOX})
    images = tmp_path / "set" / "images"
    (images / "a.png").rename(images / "a.gif")
    (images / ".b.png").touch()
    with pytest.raises(ValueError, match=r"no usable image in .*; passed over there: 1 × \.gif, 1 × hidden"):
        scan(load_data(path), "train")


def test_images_of_one_stem_share_their_labels(make, tmp_path):
    path = make(PLAIN, {"a.png": BOX})
    images = tmp_path / "set" / "images"
    (images / "a.bmp").write_bytes((images / "a.png").read_bytes())
    assert [len(boxes) for boxes in scan(load_data(path), "train").boxes] == [1, 1]


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: bytes(len(data)), lambda _: b""])
def test_a_damaged_kept_scan_is_made_anew(make, tmp_path, damage, caplog):
    config = load_data(make(PLAIN, {"a.png": BOX}))
    scan(config, "train", memory=tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    assert len(scan(config, "train", memory=tmp_path / "cache").boxes[0]) == 1
    assert "is damaged; the dataset is read again" in caplog.text
    assert len(kept.read_bytes()) == len(whole)


HOSTILE = [
    "a\x1b]52;c;bHM=\x07.png",
    "a\n/etc/passwd skipped.png",
    "a\u202egnp.png",
    "a\x9b2J.png",
    "a\x85.png",
]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("fault", ["image", "label", "class"])
def test_a_file_name_reaches_no_terminal_as_it_is(make, tmp_path, name, fault):
    label = {"image": None, "label": "x 1 1 1 1\n", "class": "7 .5 .5 .1 .1\n"}[fault]
    config = load_data(make("path: set\ntrain: images\nval: images\nnc: 1\n", {"b.png": BOX, name: label}))
    if fault == "image":
        (tmp_path / "set" / "images" / name).write_bytes(b"no image")
    if fault == "class":
        with pytest.raises(ValueError, match="class 7") as caught:
            scan(config, "train")
        told = [str(caught.value)]
    else:
        told = list(scan(config, "train", memory=tmp_path / "memory").warnings)
        assert scan(config, "train", memory=tmp_path / "memory").warnings == tuple(told)
    assert len(told) == 1
    assert told[0].isprintable()


def test_a_path_in_a_list_reaches_no_terminal_as_it_is(make, tmp_path):
    path = make("path: set\ntrain: list.txt\nval: images\nnc: 1\n", {"b.png": BOX})
    (tmp_path / "set" / "list.txt").write_text("images/b.png\nimages/\x1b[2Jnone.png\nx\u202e.gif\n")
    warnings = scan(load_data(path), "train").warnings
    assert len(warnings) == 2
    assert all(text.isprintable() for text in warnings)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("labels", [(None, None), (BOX, None), ("", None), ("", "")])
def test_a_folder_of_labels_reaches_no_terminal_as_it_is(make, labels):
    images = {f"a\x1b[2J\n\u202e/{i}.png": label for i, label in enumerate(labels)}
    config = load_data(make(PLAIN, images))
    if labels[0]:
        (told,) = scan(config, "train").warnings
    else:
        with pytest.raises(ValueError, match="label file") as caught:
            scan(config, "train")
        told = str(caught.value)
    assert r"/labels/a\x1b[2J\n\u202e" in told
    assert told.isprintable()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_an_ending_that_was_passed_over_reaches_no_terminal_as_it_is(make, tmp_path):
    path = make(PLAIN, {"a.png": BOX})
    (tmp_path / "set" / "images" / "a.png").rename(tmp_path / "set" / "images" / "a.\x1b[2j\n")
    with pytest.raises(ValueError, match="no usable image") as caught:
        scan(load_data(path), "train")
    assert r"passed over there: 1 × .\x1b[2j\n" in str(caught.value)
    assert str(caught.value).isprintable()
