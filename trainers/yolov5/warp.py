"""One projective map per sample: its matrix, the pixels it samples, and where boxes and polygons land.

Coordinates are continuous: pixel i covers i to i + 1. Points are columns (x, y, 1); a matrix takes a point of
the canvas to a point of the output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from .mosaic import RIM

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from .mosaic import Window

SMALLEST = 2  # pixels: a narrower or lower box is dropped
LONGEST = 100  # times as long as wide, or the other way round: dropped from there on
BOX_SHOWN = 0.10  # share of a box's area that must remain in the frame
POLYGON_SHOWN = 0.01  # the same for a box around a polygon, which fits what remains

_NEAREST = 1e-3  # homogeneous coordinate below which a point counts as behind the viewer


def matrix(
    img: int,
    *,
    perspective: tuple[float, float] = (0, 0),
    angle: float = 0,
    scale: float = 1,
    shear: tuple[float, float] = (0, 0),
    shift: tuple[float, float] = (0, 0),
    flip: tuple[bool, bool] = (False, False),
) -> NDArray[np.float64]:
    """Return the map from a canvas of side 2·img to the output of side img.

    The canvas is centred, tilted, turned and scaled, sheared, moved to the output's centre and mirrored.

    Args:
        img: Side of the output in pixels.
        perspective: Growth of the homogeneous coordinate per pixel along x and y.
        angle: Counter-clockwise turn as seen, in degrees.
        scale: Magnification.
        shear: Degrees along x and y.
        shift: Move along x and y as a share of `img`.
        flip: Whether to mirror left to right, and top to bottom.
    """
    turn = np.deg2rad(angle)
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    along_x, along_y = np.tan(np.deg2rad(shear))
    centre = np.array([[1, 0, -img], [0, 1, -img], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, 1, 0], [*perspective, 1]])
    rotate = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    slant = np.array([[1, along_x, 0], [along_y, 1, 0], [0, 0, 1]])
    move = np.array([[1, 0, (0.5 + shift[0]) * img], [0, 1, (0.5 + shift[1]) * img], [0, 0, 1]])
    mirror = np.eye(3)
    for axis, wanted in enumerate(flip):
        if wanted:
            mirror[axis, axis], mirror[axis, 2] = -1, img
    product: NDArray[np.float64] = mirror @ move @ slant @ rotate @ tilt @ centre
    return product


def window_of(matrix: NDArray[np.float64], img: int) -> Window:
    """Return the part of the canvas that the output's pixels are sampled from."""
    corners = np.linalg.inv(matrix) @ [[0, img, img, 0], [0, 0, img, img], [1, 1, 1, 1]]
    if (corners[2] < _NEAREST).any():
        return 0, 0, 2 * img, 2 * img
    x, y = corners[:2] / corners[2]
    low, high = (
        np.clip((edge(y) + reach, edge(x) + reach), 0, 2 * img).astype(int).tolist()
        for edge, reach in ((np.min, -1), (np.max, 2))  # the neighbours, and cutting to whole pixels
    )
    return (*low, *high)


def warp_pixels(
    framed: Tensor,  # (B, 3, 2·RIM + 2·img, 2·RIM + 2·img) float: canvases with a rim of RIM pixels
    matrices: NDArray[np.float64],  # (B, 3, 3)
    img: int,
) -> Tensor:  # (B, 3, img, img) float
    """Sample the canvases bilinearly at the places that the output's pixel centres come from.

    Whatever lies beyond the canvas has the colour of the rim next to it.
    """
    places = sources(matrices, img)
    return sample_pixels(framed, torch.from_numpy(places).to(framed.device), img, flat=is_flat(places))


def sources(matrices: NDArray[np.float64], img: int) -> NDArray[np.float32]:  # both (B, 3, 3)
    """Return the maps from an output's pixels to a canvas whose sides run from -1 to 1, rim included."""
    half = img + RIM
    to_grid = np.array([[1 / half, 0, RIM / half - 1], [0, 1 / half, RIM / half - 1], [0, 0, 1]])
    places: NDArray[np.float32] = (to_grid @ np.linalg.inv(matrices)).astype(np.float32)
    return places


def is_flat(places: NDArray[np.float32]) -> bool:
    """Whether none of the (B, 3, 3) maps has a perspective."""
    return bool((places[:, 2] == (0, 0, 1)).all())


def sample_pixels(
    framed: Tensor,  # as for `warp_pixels`
    places: Tensor,  # (B, 3, 3) from `sources`
    img: int,
    *,
    flat: bool,  # from `is_flat`: dividing by ones is left out
) -> Tensor:  # (B, 3, img, img) float
    """Sample the canvases as `warp_pixels` does, its maps already on their device."""
    m = places[:, :2] if flat else places
    centres = torch.arange(img, device=framed.device) + 0.5
    points = m[:, :, 0, None, None] * centres + (m[:, :, 1, None] * centres + m[:, :, 2, None])[..., None]
    if not flat:  # what is behind the viewer goes far beyond the rim
        points = points[:, :2] / points[:, 2:].clamp(min=1e-6)
    return F.grid_sample(framed, points.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)


def warp_boxes(
    boxes: NDArray[np.float32],  # (n, 4) left, top, right, bottom on the canvas
    matrices: NDArray[np.float64],  # (n, 3, 3)
    img: int,
) -> NDArray[np.float64]:  # (n, 4) in the output
    """Return the boxes about what the frame shows of the warped outlines; zero where that is nothing."""
    corners = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]  # (n, 4, 2)
    points, depth = _project(corners, matrices)
    warped = np.concatenate((points.min(axis=1), points.max(axis=1)), axis=1).clip(0, img)
    warped[(depth < _NEAREST).any(axis=1)] = 0
    return warped


def warp_polygons(
    polygons: list[NDArray[np.float32]],  # n times (m, 2) on the canvas
    matrices: NDArray[np.float64],  # (n, 3, 3)
    img: int,
) -> NDArray[np.float64]:  # (n, 4) in the output
    """Return the boxes around what the frame shows of the warped outlines; zero where that is nothing."""
    lengths = np.array([len(polygon) for polygon in polygons])
    starts = np.cumsum(lengths) - lengths
    following = np.arange(1, lengths.sum() + 1)
    following[starts + lengths - 1] = starts  # outlines are closed
    owner = np.repeat(np.arange(len(polygons)), lengths)
    points, depth = _project(np.concatenate(polygons)[:, None], matrices[owner])
    here, there = points[:, 0], points[following, 0]
    first, last = clip_edges(here, there, img)
    hidden = (first > last) | (np.minimum(depth, depth[following])[:, 0] < _NEAREST)
    ends = np.stack([here + (there - here) * share[:, None] for share in (first, last)])  # (2, edges, 2)
    low = np.minimum.reduceat(np.where(hidden[:, None], np.inf, ends.min(axis=0)), starts)
    high = np.maximum.reduceat(np.where(hidden[:, None], -np.inf, ends.max(axis=0)), starts)
    boxes = np.concatenate((low, high), axis=1)
    boxes[~np.isfinite(boxes).all(axis=1)] = 0
    return boxes


def clip_edges(
    here: NDArray[np.float64],  # (n, 2)
    there: NDArray[np.float64],  # (n, 2)
    img: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far along (0 to 1) each edge enters and leaves the frame; enters > leaves: it misses it.

    Liang and Barsky, "A New Concept and Method for Line Clipping", ACM Transactions on Graphics 3(1), 1984.
    """
    step = there - here
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (0 - here) / step, (img - here) / step
    parallel = step == 0
    inside = (here >= 0) & (here <= img)
    enter = np.where(parallel, np.where(inside, -np.inf, np.inf), np.minimum(low, high))
    leave = np.where(parallel, np.where(inside, np.inf, -np.inf), np.maximum(low, high))
    return enter.max(axis=1).clip(0, 2), leave.min(axis=1).clip(-1, 1)  # beyond 0…1 only where it misses


def visible(
    before: NDArray[np.float32],  # (n, 4) on the canvas
    after: NDArray[np.float64],  # (n, 4) in the output
    scale: NDArray[np.float64],  # (n,) magnification
    share: NDArray[np.float64],  # (n,) of the area that must remain
) -> NDArray[np.bool_]:
    """Return which boxes still show enough of their object to be learned."""
    size = (before[:, 2:] - before[:, :2]) * scale[:, None]
    width, height = (after[:, 2:] - after[:, :2]).T
    slender = np.maximum(width / (height + 1e-16), height / (width + 1e-16)) >= LONGEST
    remains = width * height / (size.prod(axis=1) + 1e-16) > share
    shown: NDArray[np.bool_] = (width > SMALLEST) & (height > SMALLEST) & remains & ~slender
    return shown


def _project(
    points: NDArray[np.float32], matrices: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Map (n, m, 2) points by (n, 3, 3) matrices; return them, and their (n, m) homogeneous coordinates.

    Points behind the viewer have no image; they are returned as zeros.
    """
    mapped = points @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
    depth = mapped[..., 2]
    return mapped[..., :2] / np.where(depth < _NEAREST, np.inf, depth)[..., None], depth
