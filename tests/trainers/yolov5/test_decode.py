from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.yolov5.decode import measure, read
from trainers.yolov5.text import BadFileError

WIDTH, HEIGHT = 40, 24


@pytest.fixture
def picture():
    """Smooth, so that JPEG hardly changes it, and different in every corner and channel."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack((x * 6, y * 10, 255 - x * 3 - y * 5), axis=2).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "jpg"])
def test_every_format_gives_rgb_pixels(tmp_path, picture, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture).save(path, lossless=True, quality=95, subsampling=0)
    assert measure(path) == (HEIGHT, WIDTH)
    assert np.abs(read(path).astype(int) - picture).max() <= (4 if suffix == "jpg" else 0)


def test_grey_becomes_three_equal_channels(tmp_path, picture):
    Image.fromarray(picture[..., 0]).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png"), np.repeat(picture[..., :1], 3, axis=2))


def test_sixteen_bits_are_cut_to_the_upper_eight(tmp_path, picture):
    Image.fromarray(picture[..., 0].astype(np.uint16) * 256 + 77).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png"), np.repeat(picture[..., :1], 3, axis=2))


def test_an_alpha_channel_is_dropped(tmp_path, picture):
    alpha = np.full((HEIGHT, WIDTH, 1), 10, np.uint8)
    Image.fromarray(np.concatenate((picture, alpha), axis=2)).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png"), picture)


def test_palette_with_transparency_gives_its_colours(tmp_path):
    paletted = Image.fromarray(np.full((HEIGHT, WIDTH), 1, np.uint8), mode="P")
    paletted.putpalette([0, 0, 0, 200, 100, 50])
    paletted.save(tmp_path / "a.png", transparency=bytes([0, 128]))
    assert (read(tmp_path / "a.png") == [200, 100, 50]).all()


def test_exif_orientation_turns_the_image(tmp_path, picture):
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned: rotate by 90° clockwise to see it upright
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    assert measure(tmp_path / "a.png") == (WIDTH, HEIGHT)
    assert np.array_equal(read(tmp_path / "a.png"), np.rot90(picture, -1))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated_file_is_refused_with_the_reason(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for use in (measure, read):
        with pytest.raises(BadFileError, match="not a readable image"):
            use(path)


def test_text_called_jpg_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_text("not an image")
    with pytest.raises(BadFileError, match="cannot identify"):
        measure(tmp_path / "a.jpg")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(BadFileError, match="no such file"):
        measure(tmp_path / "a.jpg")


def test_one_pixel_image_is_too_small(tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "a.png")
    with pytest.raises(BadFileError, match="1x1 pixels, expected at least 10"):
        measure(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("format_", ["EPS", "GIF", "ICO", "PPM", "PCX", "PDF", "TGA", "SGI"])
def test_a_format_that_no_detector_takes_is_refused_under_any_name(tmp_path, picture, name, format_):
    Image.fromarray(picture).save(tmp_path / name, format=format_)
    for use in (measure, read):
        with pytest.raises(BadFileError, match="cannot identify it as BMP, JPEG, PNG, TIFF, WEBP"):
            use(tmp_path / name)


@pytest.mark.skipif(os.name == "nt", reason="the program that must not start is a shell script")
def test_an_image_starts_no_program(tmp_path, picture, monkeypatch):
    started = tmp_path / "started"
    for name in ("gs", "ghostscript"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {started}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    Image.fromarray(picture).save(tmp_path / "a.jpg", format="EPS")
    with pytest.raises(BadFileError):
        read(tmp_path / "a.jpg")
    assert not started.exists()


def test_what_a_camera_calls_mpo_is_read(tmp_path, picture):
    first, second = Image.fromarray(picture), Image.fromarray(picture[::-1])
    first.save(tmp_path / "a.mpo", format="MPO", save_all=True, append_images=[second], quality=95)
    assert measure(tmp_path / "a.mpo") == (HEIGHT, WIDTH)
    assert np.abs(read(tmp_path / "a.mpo").astype(int) - picture).max() <= 12


@pytest.mark.parametrize(
    ("side", "got"), [(9_460, "89,491,600"), (13_000, "169,000,000"), (40_000, "even more")]
)
def test_a_bomb_is_refused_with_the_limit(tmp_path, side, got):
    head = struct.pack(">II5B", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    for use in (measure, read):
        with pytest.raises(BadFileError, match=f"expected at most 89,478,485 pixels, got {got}; make it"):
            use(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (Path.mkdir, "a folder"),
        pytest.param(
            *(getattr(os, "mkfifo", None), "a pipe"),
            marks=pytest.mark.skipif(os.name == "nt", reason="no pipes"),
        ),
    ],
)
def test_what_is_no_file_is_not_opened(tmp_path, make, kind):
    make(tmp_path / "a.jpg")
    with pytest.raises(BadFileError, match=f"expected a file, got {kind}"):
        measure(tmp_path / "a.jpg")
