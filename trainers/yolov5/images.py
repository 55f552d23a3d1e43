"""The resized images of a split for its trainings: from the cache, or decoded as they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .cache import fitted_shapes, open_cache, planes_of, read_ahead

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from .resize import Shrink
    from .split import Split


class Images(Protocol):
    """Images as `(3, h, w)` uint8 RGB arrays; several threads may ask at once."""

    @property
    def shapes(self) -> NDArray[np.int64]:
        """Heights and widths of all, (N, 2)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...


def open_images(
    split: Split,
    folder: Path,
    *,
    img: int,
    shrink: Shrink,
    cache: str,
    name: str = "",
    thorough: bool = False,
) -> Images:
    """Open the resized images of a split; `cache` is disk, ram or none, the rest is as for `open_cache`."""
    if cache == "none":
        return DecodedImages(split, img=img, shrink=shrink)
    images = open_cache(split, folder, img=img, shrink=shrink, name=name, thorough=thorough)
    if cache == "ram":
        read_ahead(images)
    return images


class DecodedImages:
    """Images decoded and resized whenever they are asked for: nothing is kept, on disk or in memory.

    Args:
        split: Whose images.
        img: Long side of the resized images in pixels.
        shrink: How images larger than `img` are made smaller, as for `open_cache`: so are the pixels the same.
    """

    def __init__(self, split: Split, *, img: int, shrink: Shrink) -> None:
        self.shapes = fitted_shapes(split, img)
        self._split = split
        self._shrink: Shrink = shrink

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return planes_of(self._split, index, self.shapes, self._shrink)
