from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.yolov5 import cache as cache_module
from trainers.yolov5.cache import cache_name, map_bytes, open_cache
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
    assert images[0].dtype == np.uint8
    for i, path in enumerate(split.images):
        expected = bilinear(read(path), *images.shapes[i].tolist())
        assert np.array_equal(images[i].transpose(1, 2, 0), expected)


def test_area_shrinks_large_images_and_small_ones_grow_bilinearly(split, tmp_path):
    images = open_cache(split, tmp_path, img=32, shrink="area")
    assert np.array_equal(images[0].transpose(1, 2, 0), area(read(split.images[0]), 20, 32))
    assert np.array_equal(images[3].transpose(1, 2, 0), bilinear(read(split.images[3]), 32, 25))


def test_an_image_of_the_right_size_is_kept_as_it_is(split, tmp_path):
    images = open_cache(split, tmp_path, img=64, shrink="area")
    assert np.array_equal(images[1].transpose(1, 2, 0), read(split.images[1]))


def test_reopening_decodes_nothing(split, tmp_path, monkeypatch):
    first = open_cache(split, tmp_path, img=32, shrink="area")
    monkeypatch.setattr(cache_module, "read", None)  # calling it would fail
    second = open_cache(split, tmp_path, img=32, shrink="area")
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


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


@pytest.mark.skipif(sys.platform != "linux", reason="reads what the kernel says of the memory")
def test_a_file_larger_than_the_memory_is_mapped(tmp_path):
    lines = Path("/proc/meminfo").read_text().splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    size = 2048 * (kilobytes["MemTotal"] + kilobytes["SwapTotal"])
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(size)
    pixels = map_bytes(tmp_path / "sparse", size)
    assert (pixels.nbytes, pixels[-1]) == (size, 0)


def test_nobody_can_write_to_the_images(split, tmp_path):
    with pytest.raises(ValueError, match="read-only"):
        open_cache(split, tmp_path, img=32, shrink="area")[0][:] = 0


def damaged(path: Path, how: str) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        if how == "zeros":
            file.write(bytes(size))
        elif how == "shorter":
            file.truncate(size - 1)
        elif how == "longer":
            file.truncate(size + 4096)
        elif how == "empty":
            file.truncate(0)
        else:
            file.seek(size // 3)
            byte = file.read(1)[0]
            file.seek(size // 3)
            file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("how", ["zeros", "shorter", "longer", "empty", "one bit"])
def test_a_damaged_file_is_built_anew_and_told(split, tmp_path, caplog, how):
    folder = tmp_path / "cache"
    first = [image.copy() for image in open_cache(split, folder, img=32, shrink="area")]
    (path,) = folder.iterdir()
    damaged(path, how)
    again = open_cache(split, folder, img=32, shrink="area")
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert f"{path} is damaged" in caplog.text
    assert list(folder.iterdir()) == [path]


def test_every_image_is_checked_once_per_study_and_some_of_them_every_time(split, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "_GLANCE", 1)
    open_cache(split, tmp_path, img=32, shrink="area")
    (path,) = tmp_path.glob("*.rgb")
    damaged(path, "one bit")
    glance = open_cache(split, tmp_path, img=32, shrink="area")[1].copy()
    assert not np.array_equal(open_cache(split, tmp_path, img=32, shrink="area", thorough=True)[1], glance)


def test_a_known_name_touches_no_image(split, tmp_path):
    name = cache_name(split, img=32, shrink="area")
    first = open_cache(split, tmp_path / "cache", img=32, shrink="area", name=name)[0].copy()
    for image in split.images:
        image.unlink()
    assert np.array_equal(open_cache(split, tmp_path / "cache", img=32, shrink="area", name=name)[0], first)


def test_what_has_no_room_is_not_begun(split, tmp_path, monkeypatch):
    """Images that claim to be larger than any disk."""
    monkeypatch.setattr(cache_module, "read", None)  # calling it would fail
    free = shutil.disk_usage(tmp_path).free
    img = 32 * (1 + int((free / 3) ** 0.5) // 32 + 1)
    with pytest.raises(ValueError, match=r"expected [\d.]+ GB .* free on the disk of .*, got .*--cache none"):
        open_cache(split, tmp_path / "cache", img=img, shrink="area")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_image_that_has_changed_its_size_since_the_scan_is_named(split, tmp_path):
    Image.new("RGB", (50, 40)).save(split.images[0])
    with pytest.raises(ValueError, match=r"0\.png: expected 64x40 pixels .* got 50x40"):
        open_cache(split, tmp_path / "cache", img=32, shrink="area")


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
        "print(hashlib.sha256(b''.join(image.tobytes() for image in images)).hexdigest())\n"
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
