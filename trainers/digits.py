"""The embedded detection dataset: handwritten digits on photographs, made of what scikit-learn ships.

    python -m trainers.digits --out digits     # images, labels, data.yaml in YOLO format

Training, validation and pretraining show different digits (mostly of other writers: the collection is in their
order). Pretraining sees one of the two photographs, so that the flower is new to the detector.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SIDE = 160  # of the images, in pixels

_RECIPE = 2  # raise it when the images change: they are then written anew
_INK = 0.3  # darkness from which a pixel belongs to its digit's box
_SIZES = (14, 56)  # height of a digit before turning, pixels
_MOST_TURN = 25  # degrees: a 6 must not become a 9
_MOST_OVERLAP = 0.15  # of two digits, as a share of the smaller box
_CONTRAST = (0.25, 0.7)  # of ink and surroundings, 1 from black to white


class _Source(NamedTuple):
    """What a part is made of."""

    seed: int
    digits: slice  # of scikit-learn's 1797
    photographs: slice  # of its two: a temple, a flower


_SOURCES = {
    "pretrain": _Source(0, slice(0, 600), slice(0, 1)),
    "train": _Source(1, slice(600, 1200), slice(0, 2)),
    "val": _Source(2, slice(1200, 1797), slice(0, 2)),
}


def write_digits(
    folder: Path, *, part: Literal["train", "pretrain"] = "train", train: int = 112, val: int = 80
) -> Path:
    """Write the dataset under `folder`, unless it is there, and return its data.yaml.

    The same arguments give the same bytes. The dataset appears at once or not at all, so processes may race.

    Args:
        folder: Created when missing; each choice of the other arguments has a place of its own there.
        part: Digits that the training images show.
        train: Number of training images.
        val: Number of validation images.
    """
    target = folder / f"{part}-{train}-{val}-{_RECIPE}"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="unfinished-") as temporary:
            unfinished = Path(temporary) / target.name
            for name, count in ((part, train), ("val", val)):
                _write_part(unfinished, name, count)
            names = "".join(f"  {digit}: '{digit}'\n" for digit in range(10))
            (unfinished / "data.yaml").write_text(
                f"# handwritten digits on photographs\ntrain: images/{part}\nval: images/val\nnames:\n{names}"
            )
            try:
                unfinished.rename(target)
            except OSError:
                if not target.exists():  # else another process was faster, with the same bytes
                    raise
    return target / "data.yaml"


def compose(
    rng: np.random.Generator,
    background: NDArray[np.uint8],  # (h, w, 3) photograph to take a crop of
    glyphs: NDArray[np.float64],  # (N, 10, 10) ink from 0 to 1, none at the edges
    classes: NDArray[np.int64],  # (N,)
) -> tuple[NDArray[np.uint8], list[tuple[int, float, float, float, float]]]:
    """Return an image (SIDE, SIDE, 3) with two to six digits, and their rows class, x, y, w, h normalised."""
    image = _crop(rng, background)
    boxes: list[tuple[int, int, int, int]] = []
    rows = []
    for choice in rng.integers(len(glyphs), size=rng.integers(2, 7)).tolist():
        ink = _turned(glyphs[choice], rng)
        box = _free_place(rng, ink.shape, boxes)
        if box is None:
            continue
        boxes.append(box)
        left, top, right, bottom = box
        patch = image[top:bottom, left:right]
        patch += ink[:, :, None] * (_colour(rng, patch.mean(axis=(0, 1))) - patch)
        x, y, width, height = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        rows.append((int(classes[choice]), x / SIDE, y / SIDE, width / SIDE, height / SIDE))
    return np.rint(image * 255).astype(np.uint8), rows


def _write_part(root: Path, name: str, count: int) -> None:
    source = _SOURCES[name]
    from sklearn.datasets import load_digits, load_sample_images  # seconds: only where digits are written

    collection = load_digits()
    glyphs = np.pad(collection.images[source.digits] / 16, ((0, 0), (1, 1), (1, 1)))  # a soft edge all around
    classes = collection.target[source.digits]
    photographs = load_sample_images().images[source.photographs]
    for kind in ("images", "labels"):
        (root / kind / name).mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng([source.seed, number])
        pixels, rows = compose(rng, photographs[number % len(photographs)], glyphs, classes)
        Image.fromarray(pixels).save(root / "images" / name / f"{number:04}.png")
        text = "".join(f"{label} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for label, x, y, w, h in rows)
        (root / "labels" / name / f"{number:04}.txt").write_text(text)


def _crop(rng: np.random.Generator, photograph: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return a square piece of random size, resized to SIDE; levels 0 to 1."""
    height, width = photograph.shape[:2]
    side = int(rng.integers(SIDE // 2, min(height, width) + 1))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    piece = Image.fromarray(photograph[top : top + side, left : left + side])
    if rng.random() < 0.5:
        piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(piece.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float64) / 255


def _turned(glyph: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the ink of a digit, 0 to 1, smoothly enlarged, turned, and cut to its box."""
    from scipy import ndimage

    low, high = np.log(_SIZES)
    scale = np.exp(rng.uniform(low, high)) / 8  # the digits themselves are 8 pixels high
    narrow = rng.uniform(0.8, 1.1)
    turn = np.deg2rad(rng.uniform(-_MOST_TURN, _MOST_TURN))
    side = int(np.ceil(scale * len(glyph) * 1.6))
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    to_glyph = rotation / (scale * np.array([[1], [narrow]]))
    centre = np.array([side - 1, side - 1]) / 2
    offset = (np.array(glyph.shape) - 1) / 2 - to_glyph @ centre
    ink: NDArray[np.float64] = ndimage.affine_transform(glyph, to_glyph, offset, (side, side)).clip(0, 1)
    rows, columns = np.nonzero(ink > _INK)
    return ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def _free_place(
    rng: np.random.Generator, size: Sequence[int], boxes: list[tuple[int, int, int, int]]
) -> tuple[int, int, int, int] | None:
    """Return left, top, right, bottom of a place that hides little of other digits, None if none was met."""
    height, width = size
    for _ in range(20):
        left, top = int(rng.integers(SIDE - width + 1)), int(rng.integers(SIDE - height + 1))
        box = left, top, left + width, top + height
        if all(_overlap(box, other) <= _MOST_OVERLAP for other in boxes):
            return box
    return None


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(width, 0) * max(height, 0) / smaller


def _colour(rng: np.random.Generator, surroundings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a colour lighter or darker than its surroundings by a random contrast."""
    contrast = rng.uniform(*_CONTRAST)
    grey = surroundings.mean()
    lighter = rng.random() < 0.5 if contrast <= min(grey, 1 - grey) else grey < 0.5
    tint = rng.uniform(-0.15, 0.15, 3)
    colour: NDArray[np.float64] = grey + (contrast if lighter else -contrast) + tint - tint.mean()
    return colour.clip(0, 1)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="write the embedded dataset: images, labels, data.yaml")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    print(write_digits(parser.parse_args().out))


if __name__ == "__main__":
    main()
