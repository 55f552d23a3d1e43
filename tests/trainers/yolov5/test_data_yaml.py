from __future__ import annotations

import os

import pytest

from trainers.printable import printable
from trainers.yolov5.data_yaml import load_data, splits
from trainers.yolov5.dataset import scan
from trainers.yolov5.sources import obtain

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
        ("train: images\nval: images\nnc: many", "number of classes, 1 to 99999, got 'many'"),
        ("train: images\nval: images\nnames: {0: a, 2: b}", "from 0 on, got '2'"),
        ("train: images\nval: images\nnames: [a, [b]]", "one text per class"),
        ("val: images\nnc: 1", "expected `train:`"),
        ("train: images\nnc: 1", "expected `val:`"),
        ("train: {a: b}\nval: images\nnc: 1", "expected `train:`"),
        ("train: [images\nval", "not valid YAML"),
        ("just text", "expected keys"),
        ("train: !!python/object/apply:os.mkdir [pwned]\nval: images\nnc: 1", "tags (!x) are not accepted"),
        ("a: &a [x, x]\nb: &b [*a, *a]\ntrain: *b\nval: images\nnc: 1", "references (&x, *x) are not"),
        (f"train: {'[' * 100_000}", "nested deeper than 5 levels"),
        (f"train: {'{a: ' * 100_000}", "nested deeper than 5 levels"),
        ("train: images\nval: images\nnc: 300000000", "1 to 99999, got '300000000'"),
        (f"train: images\nval: images\nnc: {'9' * 5000}", "1 to 99999, got '9999"),
        ("train: images\nval: images\nnames: {0: a, 0: b}", "`0` stands here for the second time"),
        ("train: images\nval: images\nnc: 1\ntrain: images", "`train` stands here for the second time"),
        ("train: images\nval: null\nnc: 1", "expected `val:`"),
        ("path: [set]\ntrain: images\nval: images\nnc: 1", "expected `path:` with the folder"),
        ('train: "im\0ages"\nval: images\nnc: 1', "not valid YAML"),
    ],
)
def test_a_broken_yaml_says_what_is_wrong(make, text, message):
    path = make(text, {"a.png": None})
    with pytest.raises(ValueError, match=r"data\.yaml") as caught:
        load_data(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(("encoding", "kind"), [("utf-16", "got UTF-16"), ("gbk", "looks like GBK")])
def test_another_encoding_is_told_what_it_is(tmp_path, encoding, kind):
    path = tmp_path / "data.yaml"
    path.write_bytes("train: images\nval: images\nnames: [猫, 狗]\n".encode(encoding))
    with pytest.raises(ValueError, match=r"data\.yaml: expected UTF-8 text") as caught:
        load_data(path)
    assert kind in str(caught.value)


@pytest.mark.parametrize("line", ["  {0}: c{0}\n", "  - c{0}\n"])
def test_hundreds_of_thousands_of_names_are_refused_before_they_are_parsed(tmp_path, line, monkeypatch):
    monkeypatch.setattr("yaml.load", None)  # calling it would fail
    path = tmp_path / "data.yaml"
    path.write_text("train: images\nval: images\nnames:\n" + "".join(map(line.format, range(300_000))))
    with pytest.raises(ValueError, match="`names` of at most 99,999 classes, got a file of 300,003 entries"):
        load_data(path)


@pytest.mark.parametrize("entry", ["null", "~", "", ".", "./", "'.'"])
def test_no_path_or_one_with_a_slash_is_the_folder_of_the_yaml(make, tmp_path, entry):
    config = load_data(make(f"path: {entry}\ntrain: set/images/\nval: set/images\nnc: 1\n", {"a.png": BOX}))
    assert config.root == tmp_path
    assert config.train == config.val == (tmp_path / "set" / "images",)


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("images\\train", "paths are written with / here"),
        ('"images\\train"', "YAML takes \\ and a letter for another character"),
        ("'images '", "a blank begins or ends a name"),
        ("~no such user/images", "no such user whose home"),
        ("a" * 5000, "does not exist"),
    ],
)
def test_how_a_missing_source_is_written_is_pointed_out(make, entry, hint):
    with pytest.raises(FileNotFoundError, match="which does not exist") as caught:
        load_data(make(f"train: {entry}\nval: images\nnc: 1\n"))
    assert hint in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_folder_may_be_called_like_a_user(make, tmp_path):
    config = load_data(
        make("path: ~no such user\ntrain: images\nval: images\nnc: 1", {"a.png": BOX}, "~no such user")
    )
    assert config.train == (tmp_path / "~no such user" / "images",)


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


def test_a_gigabyte_of_zeros_is_refused(tmp_path):
    path = tmp_path / "data.yaml"
    path.touch()
    os.truncate(path, 1 << 30)
    with pytest.raises(ValueError, match="at most 10,000,000 bytes, got 1,073,741,824"):
        load_data(path)


@pytest.mark.parametrize(("make_path", "kind"), [(os.mkdir, "a folder"), (os.mkfifo, "a pipe")])
def test_what_is_no_file_is_not_opened(tmp_path, make_path, kind):
    make_path(tmp_path / "data.yaml")
    with pytest.raises(ValueError, match=rf"data\.yaml: expected a file, got {kind}"):
        load_data(tmp_path / "data.yaml")


def test_a_class_name_that_would_command_a_terminal_is_spelled_out(make):
    text = 'path: set\ntrain: images\nval: images\nnames: ["\\e]52;c;bHM=\\a", "cat\\nerror: dog", "\u202egod", ä]\n'
    names = load_data(make(text, {"a.png": None})).names
    assert names == (r"\x1b]52;c;bHM=\x07", r"cat\nerror: dog", r"\u202egod", "ä")


@pytest.mark.parametrize(
    "text",
    [
        'path: "\\e]52;c;x\\a"\ntrain: images\nval: images\nnc: 1\n',
        'train: "\\e[2J\u202e"\nval: images\nnc: 1\n',
        'train: ["\\e[2J", {a: b}]\nval: images\nnc: 1\n',
        'train: images\nval: images\nnc: "\\e[2J"\n',
        'train: images\nval: images\nnames: {"\\e[2J": a}\n',
        'train: images\nval: images\nnc: 1\ndownload: "\\e[2J"\n',
        'train: images\nval: images\nnc: 1\ndownload: "http://127.0.0.1/\\e[2J"\n',
        "train: [\u202eimages\n",
        "train: \x1b[2J\n",
        "train: images\n\u202eval: images\n\u202eval: images\n",
        'path: ["\\e[2J"]\ntrain: images\nval: images\nnc: 1\n',
    ],
)
def test_an_error_about_a_yaml_is_fit_for_a_terminal(make, text):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        obtain(load_data(make(text)))
    assert all(line.isprintable() for line in str(caught.value).split("\n"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize(
    "text", ["just text", "nc: 1\n", "train: none\nval: none\nnc: 1\n", "a: [\n", "a: b\0\n"]
)
@pytest.mark.parametrize("name", ["a\x1b[2J.yaml", "a\n\u202eb.yaml"])
def test_the_name_of_a_yaml_reaches_no_terminal_as_it_is(tmp_path, text, name):
    path = tmp_path / name
    for written in (False, True):
        if written:
            path.write_text(text)
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            load_data(path)
        assert printable(name) in str(caught.value)
        assert all(line.isprintable() for line in str(caught.value).split("\n"))


def test_the_images_to_validate_are_those_of_the_key_that_is_asked_for(make, tmp_path):
    path = make(PLAIN + "test: images/t\n", {"a.png": BOX, "t/b.png": BOX})
    assert load_data(path).val == (tmp_path / "set" / "images",)
    config = load_data(path, "test")
    assert config.val == (tmp_path / "set" / "images" / "t",)
    assert [image.name for image in scan(config, "val").images] == ["b.png"]
    assert list(splits(path)) == ["val", "test"]


def test_without_such_a_key_that_is_said(make):
    path = make(PLAIN + "test:\n", {"a.png": BOX})
    assert list(splits(path)) == ["val"]
    with pytest.raises(ValueError, match="expected `test:` with a folder"):
        load_data(path, "test")
