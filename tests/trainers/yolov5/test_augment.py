from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.yolov5.augment import GENES, TrainBatches
from trainers.yolov5.cache import open_cache
from trainers.yolov5.data_yaml import load_data
from trainers.yolov5.dataset import scan

IMG, COUNT = 64, 24
STILL = dict.fromkeys(GENES, 0.0)
LIVELY = STILL | {
    "hsv_h": 0.02,
    "hsv_s": 0.5,
    "hsv_v": 0.4,
    "degrees": 5,
    "translate": 0.1,
    "scale": 0.4,
    "shear": 3,
    "perspective": 0.0005,
    "mosaic": 1,
}


def hue(i):
    return np.array([round(255 * level) for level in colorsys.hsv_to_rgb(i / COUNT, 1, 1)])


def write_dataset(folder, *, outlined):
    """Image i shows one rectangle in the hue of class i, which no blend with grey or black resembles."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for i in range(COUNT):
        height, width = ((64, 64), (48, 64), (64, 40))[i % 3]
        left, top = rng.integers(4, 12, 2)
        right, bottom = width - rng.integers(4, 12), height - rng.integers(4, 12)
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[top:bottom, left:right] = hue(i)
        Image.fromarray(pixels).save(folder / "images" / f"{i:02}.png")
        x0, x1, y0, y1 = left / width, right / width, top / height, bottom / height
        if outlined:
            row = f"{x0} {y0} {x1} {y0} {x1} {y1} {x0} {y1}"
        else:
            row = f"{(x0 + x1) / 2} {(y0 + y1) / 2} {x1 - x0} {y1 - y0}"
        (folder / "labels" / f"{i:02}.txt").write_text(f"{i} {row}\n")
    (folder / "data.yaml").write_text(f"train: images\nval: images\nnc: {COUNT}\n")
    split = scan(load_data(folder / "data.yaml"), "train")
    return split, open_cache(split, folder / "cache", img=IMG, shrink="bilinear")


@pytest.fixture(scope="module")
def outlined(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("outlined"), outlined=True)


@pytest.fixture(scope="module")
def boxed(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("boxed"), outlined=False)


def batches(data, hyp, *, batch=8, seed=0, **options):
    return TrainBatches(*data, hyp, img=IMG, batch=batch, seed=seed, device="cpu", **options)


def epoch(data, hyp, number=0, **options):
    """A whole epoch as one batch: images, and targets whose images are numbered through."""
    images, targets, first = [], [], 0
    for pixels, labels in batches(data, hyp, **options).epoch(number):
        images.append(pixels)
        targets.append(labels + torch.tensor([first, 0, 0, 0, 0, 0]))
        first += len(pixels)
    return torch.cat(images), torch.cat(targets)


def found_and_told(data, hyp):
    """Pairs of boxes in pixels, as the pixels of a class's hue lie and as the targets say."""
    images, targets = epoch(data, hyp)
    made = batches(data, hyp)
    for number, image in enumerate(images):
        labels = targets[targets[:, 0] == number]
        classes = labels[:, 1].int().tolist()
        shown = [place.image for place in made.sample(0, made.order(0)[number]).scenes[0].placements]
        for label in labels:
            if shown.count(int(label[1])) > 1 or classes.count(int(label[1])) > 1:
                continue  # the same image twice in a mosaic, or its object pasted once more
            near = (image.int() - torch.tensor(hue(int(label[1])))[:, None, None]).abs().amax(0) < 24
            rows, columns = torch.nonzero(near, as_tuple=True)
            if len(rows) < 30:
                continue
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            centre, half = label[2:4] * IMG, label[4:6] * IMG / 2
            yield np.array(found, float), torch.cat((centre - half, centre + half)).numpy()


UPRIGHT = {"scale": 0.5, "translate": 0.2, "fliplr": 0.5, "flipud": 0.5}
TILTED = UPRIGHT | {"degrees": 30, "shear": 8, "perspective": 0.001}


@pytest.mark.parametrize(
    ("labels", "genes"),
    [
        ("boxed", UPRIGHT),
        ("boxed", UPRIGHT | {"mosaic": 1}),
        ("outlined", UPRIGHT | {"mosaic": 1}),
        ("outlined", TILTED | {"mosaic": 1}),
        ("outlined", TILTED | {"mosaic": 1, "copy_paste": 1}),
    ],
    ids=["letterbox", "mosaic", "mosaic, outlines", "all maps", "copy-paste"],
)
def test_boxes_frame_what_the_pixels_show(request, labels, genes):
    pairs = list(found_and_told(request.getfixturevalue(labels), STILL | genes))
    errors = [np.abs(found - told).max() for found, told in pairs]
    assert len(errors) >= COUNT // 2
    # Blended edge pixels don't count as found, and sharp tips lose a little more.
    close = [error <= (2.5 if "degrees" in genes else 1.5) for error in errors]
    # What is pasted may hide a part of another object, whose box stays.
    assert np.mean(close) >= (0.8 if "copy_paste" in genes else 1)


def test_turned_boxes_hold_what_the_pixels_show(boxed):
    for found, told in found_and_told(boxed, STILL | TILTED | {"mosaic": 1}):
        assert (told[:2] <= found[:2] + 1.5).all()
        assert (told[2:] >= found[2:] - 1.5).all()


def test_nothing_random_is_left_when_all_genes_are_zero(boxed):
    split, cache = boxed
    images, targets = epoch(boxed, STILL)
    for image, (_, label, *_) in zip(images, targets.tolist(), strict=True):
        height, width = cache.shapes[int(label)]
        top, left = (IMG - height) // 2, (IMG - width) // 2
        assert np.array_equal(image[:, top : top + height, left : left + width], cache[int(label)])
        outside = torch.ones(IMG, IMG, dtype=torch.bool)
        outside[top : top + height, left : left + width] = False
        assert (image[:, outside] == 114).all()
    assert sorted(targets[:, 1].int().tolist()) == list(range(len(split)))


def plan(sample):
    """What a sample consists of, in parts that genes should change one at a time."""
    scene = sample.scenes[0]
    m = scene.matrix
    x, y, depth = m @ (IMG, IMG, 1)  # where the canvas' centre goes
    shift = np.array([x, y]) / depth
    return {
        "placements": scene.placements,
        "linear": ((m[:2, :2] - shift[:, None] * m[2, :2]) / depth).round(9).tolist(),
        "shift": shift.round(9).tolist(),
        "tilt": m[2, :2].round(12).tolist(),
        "gains": sample.gains.tolist(),
        "count": len(sample.scenes),
        "ratio": sample.ratio,
    }


@pytest.mark.parametrize(
    ("gene", "value", "parts"),
    [
        ("hsv_h", 0.1, {"gains"}),
        ("hsv_s", 0.9, {"gains"}),
        ("hsv_v", 0.9, {"gains"}),
        ("degrees", 45, {"linear"}),
        ("scale", 0.9, {"linear"}),
        ("shear", 10, {"linear"}),
        ("translate", 0.4, {"shift"}),
        ("perspective", 0.001, {"tilt"}),
        ("flipud", 1, {"linear", "shift"}),
        ("fliplr", 1, {"linear", "shift"}),
        ("mosaic", 0, {"placements"}),
        ("mixup", 1, {"count"}),
        ("copy_paste", 1, set()),
    ],
)
def test_a_gene_changes_its_own_part_of_every_sample_and_nothing_else(outlined, gene, value, parts):
    before, after = batches(outlined, LIVELY), batches(outlined, LIVELY | {gene: value})
    for image in range(COUNT):
        old, new = plan(before.sample(0, image)), plan(after.sample(0, image))
        assert {part for part in old if old[part] != new[part]} == parts


@pytest.mark.parametrize("gene", ["hsv_h", "hsv_s", "hsv_v"])
def test_colour_genes_change_pixels_and_no_boxes(outlined, gene):
    plain = STILL | {"mosaic": 1}
    images, targets = epoch(outlined, plain)
    jittered, same = epoch(outlined, plain | {gene: 0.1})
    assert torch.equal(targets, same)
    assert not torch.equal(images, jittered)
    value, chroma = images.amax(1).int(), (images.amax(1) - images.amin(1)).int()
    new_value, new_chroma = jittered.amax(1).int(), (jittered.amax(1) - jittered.amin(1)).int()
    if gene != "hsv_v":
        assert (value - new_value).abs().max() <= 1
    if gene == "hsv_h":
        assert (chroma - new_chroma).abs().max() <= 1


@pytest.mark.parametrize(
    ("gene", "value"),
    [
        ("degrees", 20),
        ("scale", 0.5),
        ("shear", 10),
        ("translate", 0.3),
        ("perspective", 0.001),
        ("flipud", 1),
        ("fliplr", 1),
        ("mosaic", 1),
    ],
)
def test_geometric_genes_change_pixels_and_boxes(boxed, gene, value):
    images, targets = epoch(boxed, STILL)
    moved, others = epoch(boxed, STILL | {gene: value})
    assert not torch.equal(images, moved)
    assert not torch.equal(targets, others)


def test_copy_paste_adds_objects_to_what_was_there(outlined):
    plain = STILL | {"mosaic": 1}
    images, targets = epoch(outlined, plain)
    pasted, more = epoch(outlined, plain | {"copy_paste": 1})
    assert len(more) > len(targets)
    assert {tuple(row) for row in targets.tolist()} <= {tuple(row) for row in more.tolist()}
    assert not torch.equal(images, pasted)


def test_copy_paste_needs_a_mosaic(outlined):
    assert torch.equal(epoch(outlined, STILL)[0], epoch(outlined, STILL | {"copy_paste": 1})[0])


def test_mixup_lays_a_second_mosaic_over_the_first(outlined):
    plain = STILL | {"mosaic": 1}
    images, targets = epoch(outlined, plain)
    mixed, more = epoch(outlined, plain | {"mixup": 1})
    assert {tuple(row) for row in targets.tolist()} < {tuple(row) for row in more.tolist()}
    order = batches(outlined, plain).order(0)
    ratios = [batches(outlined, plain).sample(0, image).ratio for image in order]
    for image, mixture, ratio in zip(images.float(), mixed.float(), ratios, strict=True):
        assert 0.2 < ratio < 0.8
        other = (mixture - ratio * image) / (1 - ratio)
        assert other.min() > -2
        assert other.max() < 257
        assert other.std() > 5


def test_mixup_needs_a_mosaic(outlined):
    assert torch.equal(epoch(outlined, STILL)[0], epoch(outlined, STILL | {"mixup": 1})[0])


@pytest.mark.parametrize(("gene", "share"), [("mosaic", 0.3), ("mixup", 0.6), ("fliplr", 0.5)])
def test_a_probability_is_how_often_it_happens(outlined, gene, share):
    hyp = STILL | {"mosaic": 1} | {gene: share}
    samples = [batches(outlined, hyp).sample(number, 0) for number in range(400)]
    happened = {
        "mosaic": [sample.scenes[0].is_mosaic for sample in samples],
        "mixup": [len(sample.scenes) == 2 for sample in samples],
        "fliplr": [sample.scenes[0].matrix[0, 0] < 0 for sample in samples],
    }[gene]
    assert abs(np.mean(happened) - share) < 0.1  # four standard deviations of 400 coins


EVERYTHING = LIVELY | {"mixup": 0.5, "copy_paste": 0.5, "mosaic": 0.8, "fliplr": 0.5, "flipud": 0.5}


@pytest.mark.parametrize("options", [{"batch": 5}, {"batch": 24}, {"batch": 8, "together": 8}])
def test_a_sample_does_not_depend_on_its_batch(outlined, options):
    images, targets = epoch(outlined, EVERYTHING)
    others, labels = epoch(outlined, EVERYTHING, **options)
    # Many pixels at once and few are summed in another order: a rounding may fall the other way.
    assert (images.int() - others.int()).abs().max() <= 1
    assert sorted(targets.tolist()) == sorted(labels.tolist())


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_bit(outlined, threads):
    for first, second in zip(
        epoch(outlined, EVERYTHING, threads=0), epoch(outlined, EVERYTHING, threads=threads), strict=True
    ):
        assert torch.equal(first, second)


def test_the_same_seed_and_epoch_give_the_same_bytes(outlined):
    for first, second in zip(epoch(outlined, EVERYTHING), epoch(outlined, EVERYTHING), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("options", [{"number": 1}, {"seed": 1}])
def test_another_epoch_or_seed_gives_other_samples_in_another_order(outlined, options):
    images, _ = epoch(outlined, EVERYTHING)
    others, _ = epoch(outlined, EVERYTHING, **options)
    assert not (images == others).flatten(1).all(1).any()
    assert batches(outlined, STILL).order(0) != batches(outlined, STILL, seed=1).order(0)


def test_an_epoch_shows_every_image_once(outlined):
    assert sorted(batches(outlined, LIVELY).order(3)) == list(range(COUNT))
    sizes = [len(images) for images, _ in batches(outlined, LIVELY, batch=7).epoch(0)]
    assert sizes == [7, 7, 7, 3]
    assert len(batches(outlined, LIVELY, batch=7)) == 4


def test_targets_are_normalised_float_rows(outlined):
    for images, targets in batches(outlined, EVERYTHING).epoch(0):
        assert images.dtype == torch.uint8
        assert targets.dtype == torch.float32
        assert targets[:, 0].max() < len(images)
        assert ((targets[:, 2:] >= 0) & (targets[:, 2:] <= 1)).all()
        assert (targets[:, 4:] * IMG > 2).all()


@pytest.mark.parametrize("count", [1, 2])
def test_background_alone_and_few_images_are_legal(tmp_path, count):
    (tmp_path / "images").mkdir()
    for i in range(count):
        Image.new("RGB", (40, 30), (i, 200, 30)).save(tmp_path / "images" / f"{i}.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "0.txt").write_text("0 .5 .5 .1 .1\n")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnc: 1\n")
    split = scan(load_data(tmp_path / "data.yaml"), "train")
    split = replace(split, boxes=(np.zeros((0, 5), np.float32),) * count, polygons=((),) * count)
    cache = open_cache(split, tmp_path / "cache", img=IMG, shrink="bilinear")
    images, targets = epoch((split, cache), EVERYTHING)
    assert images.shape == (count, 3, IMG, IMG)
    assert targets.shape == (0, 6)


@pytest.mark.parametrize("together", [None, 5])
def test_another_device_gets_every_tensor(outlined, together):
    """The device without memory stands in for a GPU: what lies on the CPU still does not mix with it."""
    made = TrainBatches(*outlined, EVERYTHING, img=IMG, batch=8, seed=0, device="meta", together=together)
    here = batches(outlined, EVERYTHING)
    for (images, targets), (own, own_targets) in zip(made.epoch(0), here.epoch(0), strict=True):
        assert images.is_meta
        assert targets.is_meta
        assert (images.shape, targets.shape) == (own.shape, own_targets.shape)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_gives_the_samples_of_a_cpu(outlined):
    images, targets = epoch(outlined, EVERYTHING)
    made = TrainBatches(*outlined, EVERYTHING, img=IMG, batch=COUNT, seed=0, device="cuda")
    ((pixels, labels),) = made.epoch(0)
    assert (images.int() - pixels.cpu().int()).abs().max() <= 2
    assert torch.equal(targets, labels.cpu())


def test_outlines_of_real_images_feed_copy_paste(data_folder, tmp_path):
    source = data_folder / "coco128-seg"
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    for label in sorted((source / "labels" / "train2017").glob("*.txt"))[:24]:
        (tmp_path / "labels" / label.name).write_bytes(label.read_bytes())
        image = f"{label.stem}.jpg"
        (tmp_path / "images" / image).symlink_to(data_folder / "coco128" / "images" / "train2017" / image)
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnc: 91\n")  # COCO's own numbering
    split = scan(load_data(tmp_path / "data.yaml"), "train", strict=True)
    data = split, open_cache(split, tmp_path / "cache", img=IMG, shrink="bilinear")
    outlines = [polygon for polygons in split.polygons for polygon in polygons]
    assert len(outlines) > 50
    assert all(polygon is not None and len(polygon) >= 3 for polygon in outlines)
    plain = LIVELY | {"copy_paste": 0}
    assert len(epoch(data, plain | {"copy_paste": 0.5})[1]) > len(epoch(data, plain)[1])
