from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from trainers.yolov5.cache import open_cache
from trainers.yolov5.data_yaml import load_data
from trainers.yolov5.dataset import scan
from trainers.yolov5.images import DecodedImages


@pytest.fixture
def split(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i, (height, width) in enumerate([(40, 64), (64, 64), (100, 30), (20, 16)]):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.jpg")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "0.txt").write_text("0 .5 .5 .5 .5\n")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnc: 1\n")
    return scan(load_data(tmp_path / "data.yaml"), "train")


@pytest.mark.parametrize("shrink", ["area", "bilinear"])
def test_decoded_as_asked_for_images_are_those_of_the_cache(split, tmp_path, shrink):
    decoded = DecodedImages(split, img=32, shrink=shrink)
    cached = open_cache(split, tmp_path / "cache", img=32, shrink=shrink)
    assert len(decoded) == len(cached) == 4
    assert np.array_equal(decoded.shapes, cached.shapes)
    assert all(np.array_equal(a, b) for a, b in zip(decoded, cached, strict=True))


def test_a_file_that_no_longer_decodes_is_named(split):
    split.images[2].write_bytes(b"no longer an image")
    with pytest.raises(ValueError, match=r"2\.jpg: not a readable image"):
        DecodedImages(split, img=32, shrink="area")[2]
