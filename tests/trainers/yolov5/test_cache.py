from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.yolov5 import cache as cache_module
from trainers.yolov5.cache import open_cache
from trainers.yolov5.data_yaml import load_data
from trainers.yolov5.dataset import scan
from trainers.yolov5.decode import read
from trainers.yolov5.resize import area, bilinear


@pytest.fixture
def config(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "0.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    for i, (height, width) in enumerate([(40, 64), (64, 64), (100, 30), (20, 16)]):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnc: 1\n")
    return load_data(tmp_path / "data.yaml")


@pytest.fixture
def split(config):
    return scan(config, "train")


def test_images_come_back_resized_as_planes(split, tmp_path):
    images = open_cache(split, tmp_path / "cache", img=32, shrink="bilinear")
    assert [tuple(image.shape) for image in images] == [(3, 20, 32), (3, 32, 32), (3, 32, 9), (3, 32, 25)]
    assert images[0].dtype == torch.uint8
    for i, path in enumerate(split.images):
        expected = bilinear(read(path), *images.shapes[i].tolist())
        assert np.array_equal(images[i].permute(1, 2, 0).numpy(), expected)


def test_area_shrinks_large_images_and_small_ones_grow_bilinearly(split, tmp_path):
    images = open_cache(split, tmp_path, img=32, shrink="area")
    assert np.array_equal(images[0].permute(1, 2, 0).numpy(), area(read(split.images[0]), 20, 32))
    assert np.array_equal(images[3].permute(1, 2, 0).numpy(), bilinear(read(split.images[3]), 32, 25))


def test_an_image_of_the_right_size_is_kept_as_it_is(split, tmp_path):
    images = open_cache(split, tmp_path, img=64, shrink="area")
    assert np.array_equal(images[1].permute(1, 2, 0).numpy(), read(split.images[1]))


def test_reopening_decodes_nothing(split, tmp_path, monkeypatch):
    first = open_cache(split, tmp_path, img=32, shrink="area")
    monkeypatch.setattr(cache_module, "read", None)  # calling it would fail
    second = open_cache(split, tmp_path, img=32, shrink="area")
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_size_and_shrinking_have_files_of_their_own(split, tmp_path):
    folder = tmp_path / "cache"
    for img, shrink in ((32, "area"), (32, "bilinear"), (48, "area")):
        open_cache(split, folder, img=img, shrink=shrink)
    assert len(list(folder.iterdir())) == 3


def test_a_changed_image_makes_a_new_file(split, tmp_path):
    open_cache(split, tmp_path / "cache", img=32, shrink="area")
    Image.new("RGB", (64, 40)).save(split.images[0])
    images = open_cache(split, tmp_path / "cache", img=32, shrink="area")
    assert not images[0].any()


def test_writing_to_an_image_does_not_reach_the_file(split, tmp_path):
    open_cache(split, tmp_path, img=32, shrink="area")[0].zero_()
    assert open_cache(split, tmp_path, img=32, shrink="area")[0].any()


def test_a_failed_build_leaves_nothing_behind(split, tmp_path):
    split.images[2].write_bytes(b"no longer an image")
    with pytest.raises(ValueError, match=r"2\.png: not a readable image"):
        open_cache(split, tmp_path / "cache", img=32, shrink="area")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.slow
def test_processes_that_build_at_once_read_the_same_images(config, split, tmp_path):
    script = (
        "import sys, hashlib; from pathlib import Path\n"
        "from trainers.yolov5.cache import open_cache\n"
        "from trainers.yolov5.data_yaml import load_data\n"
        "from trainers.yolov5.dataset import scan\n"
        "print('ready', flush=True); input()\n"
        "images = open_cache(scan(load_data(sys.argv[1]), 'train'), Path(sys.argv[2]), img=32, shrink='area')\n"
        "print(hashlib.sha256(b''.join(image.numpy().tobytes() for image in images)).hexdigest())\n"
    )
    folder = tmp_path / "cache"
    command = [sys.executable, "-c", script, str(config.path), str(folder)]
    root = Path(cache_module.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    builders = [
        subprocess.Popen(
            command, cwd=root, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for builder in builders:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "ready\n"
    outputs = {builder.communicate("\n")[0] for builder in builders}
    assert len(outputs) == 1
    assert outputs.pop().strip()
    assert len(list(folder.iterdir())) == 1
