from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from trainers.yolov5 import dataset
from trainers.yolov5.dataset import load_data, scan


@pytest.fixture
def make(tmp_path):
    """Write images with labels under a folder, and a data.yaml."""

    def write(yaml: str, images: dict[str, str | None] = {}, root: str = "set"):  # noqa: B006
        for name, label in images.items():
            image = tmp_path / root / "images" / name
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 24), (90, 20, 10)).save(image)
            if label is not None:
                text = tmp_path / root / "labels" / name
                text.parent.mkdir(parents=True, exist_ok=True)
                text.with_suffix(".txt").write_text(label)
        path = tmp_path / "data.yaml"
        path.write_text(yaml, encoding="utf-8")
        return path

    return write


PLAIN = "path: set\ntrain: images\nval: images\nnames: [digit]\n"
BOX = "0 .5 .5 .2 .2\n"


def test_paths_are_relative_to_the_yaml(make, tmp_path):
    config = load_data(make(PLAIN, {"a.png": BOX}))
    assert config.train == config.val == (tmp_path / "set" / "images",)


def test_paths_are_else_relative_to_the_working_directory(make, tmp_path, monkeypatch):
    path = make(PLAIN, {"a.png": BOX}, root="elsewhere/set")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_data(path).root == tmp_path / "elsewhere" / "set"


def test_root_is_else_the_folder_of_the_yaml(make, tmp_path):
    config = load_data(make("train: set/images\nval: set/images\nnc: 1\n", {"a.png": BOX}))
    assert config.root == tmp_path


def test_a_parent_step_too_many_is_dropped(make, tmp_path):
    config = load_data(make("train: ../set/images\nval: set/images\nnc: 1\n", {"a.png": BOX}))
    assert config.train == (tmp_path / "set" / "images",)


def test_several_sources_are_joined(make):
    path = make(
        "path: set\ntrain: [images/a, images/b]\nval: images\nnc: 1\n", {"a/1.png": BOX, "b/2.png": None}
    )
    assert [image.name for image in scan(load_data(path), "train").images] == ["1.png", "2.png"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [cat, dog]", ("cat", "dog")),
        ("names: {0: cat, 1: dog}", ("cat", "dog")),
        ("names:\n  1: dog\n  0: cat", ("cat", "dog")),
        ("nc: 2", ("class0", "class1")),
        ("nc: 2\nnames: [cat, dog]", ("cat", "dog")),
        (
            "names: [on, off, yes, no, 1e3, 007, null, ä]",
            ("on", "off", "yes", "no", "1e3", "007", "null", "ä"),
        ),
    ],
)
def test_class_names_are_the_text_in_the_yaml(make, text, names):
    path = make(f"path: set\ntrain: images\nval: images\n{text}\n", {"a.png": None})
    assert load_data(path).names == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images\nval: images", "expected `names:`"),
        ("train: images\nval: images\nnc: 2\nnames: [a]", "`nc` says 2 classes, `names` holds 1"),
        ("train: images\nval: images\nnc: many", "number of classes, got 'many'"),
        ("train: images\nval: images\nnames: {0: a, 2: b}", "from 0 on, got '2'"),
        ("train: images\nval: images\nnames: [a, [b]]", "one text per class"),
        ("val: images\nnc: 1", "expected `train:`"),
        ("train: images\nnc: 1", "expected `val:`"),
        ("train: {a: b}\nval: images\nnc: 1", "expected `train:`"),
        ("train: [images\nval", "not valid YAML"),
        ("just text", "expected keys"),
    ],
)
def test_a_broken_yaml_says_what_is_wrong(make, text, message):
    path = make(text, {"a.png": None})
    with pytest.raises(ValueError, match=r"data\.yaml") as caught:
        load_data(path)
    assert message in str(caught.value)


def test_a_missing_yaml_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no data\.yaml at .*nowhere\.yaml"):
        load_data(tmp_path / "nowhere.yaml")


def test_a_missing_source_is_named(make):
    with pytest.raises(FileNotFoundError, match="images, which does not exist"):
        load_data(make(PLAIN))


def test_a_missing_source_with_a_download_address_is_left_to_fetch(make):
    config = load_data(make(PLAIN + "download: https://example.org/set.zip\n"))
    assert config.download == "https://example.org/set.zip"
    assert len(config.missing()) == 2


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
