from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.yolov5.cache import open_cache
from trainers.yolov5.data_yaml import load_data
from trainers.yolov5.dataset import scan
from trainers.yolov5.decode import read
from trainers.yolov5.mosaic import PAD
from trainers.yolov5.rectangles import ValBatches, rectangle

COLOUR = (200, 30, 60)


@pytest.fixture
def batches(tmp_path):
    """Images of one colour with a red-free rectangle, labelled, in sizes from wide to tall."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for i, (height, width) in enumerate([(200, 100), (64, 128), (128, 128), (90, 128), (31, 64)]):
        pixels = np.full((height, width, 3), COLOUR, np.uint8)
        x, y, w, h = (0.5, 0.5, 0.5, 0.25)
        pixels[int((y - h / 2) * height) : int((y + h / 2) * height), width // 4 : width * 3 // 4] = 0
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png")
        (tmp_path / "labels" / f"{i}.txt").write_text(f"0 {x} {y} {w} {h}\n" if i != 3 else "")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnc: 1\n")
    split = scan(load_data(tmp_path / "data.yaml"), "val")
    cache = open_cache(split, tmp_path / "cache", img=128, shrink="area")
    return ValBatches(split, cache, img=128, batch=2, device="cpu")


@pytest.mark.parametrize(
    ("aspects", "shape"),
    [
        ([0.5, 0.75], (128, 160)),  # both wide: as high as the highest
        ([1.25, 2.0], (160, 128)),  # both tall: as wide as the widest, 1/1.25
        ([0.5, 2.0], (160, 160)),
        ([1.0], (160, 160)),
    ],
)
def test_a_rectangle_fits_its_images_with_half_a_stride_to_spare(aspects, shape):
    assert rectangle(np.array(aspects), 128, 32) == shape


def test_batches_run_from_wide_to_tall(batches):
    assert [batch.indices for batch in batches] == [[4, 1], [3, 2], [0]]
    assert len(batches) == 3


def test_images_lie_centred_in_grey(batches):
    for batch in batches:
        height, width = batch.images.shape[2:]
        for i, (index, (pad_x, pad_y)) in enumerate(zip(batch.indices, batch.pad, strict=True)):
            h, w = batches.images.shapes[index]
            assert (pad_x, pad_y) == ((width - w) / 2, (height - h) / 2)
            frame = torch.ones(height, width, dtype=torch.bool)
            top, left = round(pad_y - 0.1), round(pad_x - 0.1)
            frame[top : top + h, left : left + w] = False
            assert (batch.images[i][:, frame] == PAD).all()
            assert not (batch.images[i][:, ~frame] == PAD).any()


def test_targets_frame_what_the_pixels_show(batches):
    for batch in batches:
        height, width = batch.images.shape[2:]
        assert batch.targets.dtype == torch.float32
        for place, _, x, y, w, h in batch.targets.tolist():
            dark = (batch.images[int(place)].amax(0) < 30).nonzero()
            (top, left), (bottom, right) = dark.amin(0).tolist(), (dark.amax(0) + 1).tolist()
            found = np.array([left, top, right, bottom])
            low, high = np.array([x - w / 2, y - h / 2]), np.array([x + w / 2, y + h / 2])
            told = np.concatenate((low, high)) * [width, height, width, height]
            # Drawing cuts to whole pixels, resizing doubles that at most and blurs an edge over a pixel.
            assert np.abs(found - told).max() <= 2


def test_background_images_have_no_targets(batches):
    middle = list(batches)[1]
    assert middle.indices[0] == 3
    assert middle.targets[:, 0].tolist() == [1]


def test_ratio_and_pad_lead_back_to_native_pixels(batches):
    for batch in batches:
        height, width = batch.images.shape[2:]
        for row in batch.targets:
            i = int(row[0])
            native_height, native_width = batch.native[i]
            x = (row[2].item() * width - batch.pad[i][0]) / batch.ratio[i]
            y = (row[3].item() * height - batch.pad[i][1]) / batch.ratio[i]
            assert x == pytest.approx(native_width / 2, abs=1)
            assert y == pytest.approx(native_height / 2, abs=1)


def test_every_pass_gives_the_same(batches):
    for first, second in zip(batches, batches, strict=True):
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.targets, second.targets)


@pytest.fixture(scope="module")
def coco128(data_folder, tmp_path_factory):
    split = scan(load_data(data_folder / "coco128.yaml"), "val", strict=True)
    cache = open_cache(split, tmp_path_factory.mktemp("cache"), img=320, shrink="area")
    return ValBatches(split, cache, img=320, batch=32, device="cpu")


def test_images_and_labels_come_as_yolov5_recorded_them(coco128, recorded):
    record = np.load(recorded / "val_320.npz")
    names = [Path(str(name)).name for name in record["image_names"]]
    ends = np.cumsum(record["n_labels"]).tolist()
    labels = np.split(record["labels_cls_xyxy"], ends[:-1])
    batches = list(coco128)
    assert [coco128.split.images[i].name for batch in batches for i in batch.indices] == names
    mine = []
    for batch in batches:
        height, width = batch.images.shape[2:]
        for i, (ratio, pad, (native_height, native_width)) in enumerate(
            zip(batch.ratio, batch.pad, batch.native, strict=True)
        ):
            rows = batch.targets[batch.targets[:, 0] == i].double().numpy()
            centre, half = rows[:, 2:4] * (width, height), rows[:, 4:6] * (width, height) / 2
            corners = (np.concatenate((centre - half, centre + half), axis=1) - (*pad, *pad)) / ratio
            limits = (native_width, native_height) * 2
            mine.append(np.column_stack((rows[:, 1], corners.clip(0, limits))))
    assert len(mine) == len(labels)
    for own, theirs in zip(mine, labels, strict=True):
        assert np.allclose(own, theirs, atol=1e-3)


def test_pixels_are_those_that_yolov5_recorded(data_folder, recorded):
    record = np.load(recorded / "raw_640_000000000009.npz")
    pixels = read(data_folder / "coco128" / "images" / "train2017" / "000000000009.jpg")
    top = int(record["pad_wh"][1])
    assert np.array_equal(record["image_u8_rgb_chw"][:, top : top + len(pixels)], pixels.transpose(2, 0, 1))
