from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from trainers import digits
from trainers.digits import SIDE, write_digits
from trainers.yolov5 import Settings, prepare, validate
from trainers.yolov5.data_yaml import load_data
from trainers.yolov5.dataset import scan
from trainers.yolov5.decode import read


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("digits")


@pytest.fixture(scope="module")
def config(folder):
    return load_data(write_digits(folder, train=12, val=10))


def content(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def test_it_is_a_complete_yolo_dataset(config):
    assert config.names == tuple("0123456789")
    for part, count in (("train", 12), ("val", 10)):
        split = scan(config, part, strict=True)
        assert len(split) == count
        assert split.warnings == ()
        assert (split.sizes == SIDE).all()
        assert all(1 <= len(boxes) <= 6 for boxes in split.boxes)


def test_the_same_bytes_come_out_every_time(config, tmp_path):
    again = write_digits(tmp_path, train=12, val=10)
    assert content(again.parent) == content(config.path.parent)


def test_what_is_there_is_not_written_again(config, folder, monkeypatch):
    monkeypatch.setattr(digits, "compose", None)  # calling it would fail
    assert write_digits(folder, train=12, val=10) == config.path


def test_more_images_are_another_dataset_that_starts_alike(config, folder):
    more = load_data(write_digits(folder, train=14, val=10))
    assert more.path != config.path
    assert len(scan(more, "train")) == 14
    assert (read(scan(more, "train").images[0]) == read(scan(config, "train").images[0])).all()


def test_nothing_unfinished_stays(config, folder):
    assert all(path.name.startswith("train-") for path in folder.iterdir())


def test_an_interrupted_writing_leaves_nothing_and_can_be_repeated(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(digits, "compose", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_digits(tmp_path, train=2, val=1)
    assert list(tmp_path.iterdir()) == []
    assert write_digits(tmp_path, train=2, val=1).exists()


def test_the_parts_share_no_digit():
    whole = np.arange(len(load_digits().target))
    parts = [set(whole[source.digits].tolist()) for source in digits._SOURCES.values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(whole)


def test_boxes_fit_around_their_digits():
    rng = np.random.default_rng(0)
    grey = np.full((200, 200, 3), 128, np.uint8)
    ring = np.zeros((1, 10, 10))
    ring[0, 1:9, 3:7] = 1
    for _ in range(20):
        pixels, rows = digits.compose(rng, grey, ring, np.array([7]))
        inked = np.abs(pixels.astype(int) - 128).max(axis=2) > 20
        boxed = np.zeros_like(inked)
        for label, x, y, w, h in rows:
            assert label == 7
            left, top = round((x - w / 2) * SIDE), round((y - h / 2) * SIDE)
            right, bottom = round((x + w / 2) * SIDE), round((y + h / 2) * SIDE)
            boxed[top:bottom, left:right] = True
            box = inked[top:bottom, left:right]
            assert min(box[0].sum(), box[-1].sum(), box[:, 0].sum(), box[:, -1].sum()) > 0
        assert not inked[~boxed].any()


def test_every_class_appears_in_a_default_dataset(folder):
    config = load_data(write_digits(folder))
    for part in ("train", "val"):
        labels = np.concatenate(scan(config, part).boxes)[:, 0]
        assert np.bincount(labels.astype(int), minlength=10).min() >= 15


@pytest.mark.slow
def test_the_shipped_checkpoint_knows_the_digits_somewhat():
    weights = Path(digits.__file__).with_name("digits.pt")
    assert weights.stat().st_size < 2e6
    with tempfile.TemporaryDirectory() as cache:
        settings = prepare(Settings(), Path(cache))
        metrics = validate(settings)
    assert 0.2 < metrics["mAP_0.5"] < 0.6  # room for a search to move, up and down
