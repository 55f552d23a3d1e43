"""Image files: their size, and their pixels as 8-bit RGB, whatever format and mode they were saved in."""

from __future__ import annotations

import errno
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..printable import printable
from .text import BadFileError, require_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"})
# Pillow has more formats, and starts Ghostscript for some. Its JPEG opens the MPO of cameras as well.
FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
MOST_PIXELS = 89_478_485  # of an image, a quarter of a gigabyte; Pillow warns from there on
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)  # of the machine or its disk, not of an image
SMALLEST_SIDE = 10  # pixels; below, YOLOv5 release 7.0 calls an image corrupt

_ORIENTATION = 274  # the EXIF tag
_SIDEWAYS = frozenset({5, 6, 7, 8})  # its values that swap width and height


# What it warns of is refused here, with a reason.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def measure(path: Path) -> tuple[int, int]:
    """Return the (height, width) that `read` will give, having made sure that the file decodes.

    A JPEG is decoded at an eighth of its size: that still reads every coefficient, in a fraction of the time.

    Raises:
        BadFileError: The file is missing, damaged, or too small.
    """
    with _opened(path) as image:
        width, height = image.size
        if image.getexif().get(_ORIENTATION) in _SIDEWAYS:
            width, height = height, width
        if min(width, height) < SMALLEST_SIDE:
            raise BadFileError(f"{width}x{height} pixels, expected at least {SMALLEST_SIDE} on each side")
        image.draft("L", (max(width // 8, 1), max(height // 8, 1)))
        image.load()
    return height, width


def read(path: Path) -> NDArray[np.uint8]:
    """Return the pixels, shape (height, width, 3), RGB, turned as the EXIF orientation says.

    Sixteen bits are cut to the upper eight, an alpha channel is dropped, grey becomes three equal channels.

    Raises:
        BadFileError: The file is missing or damaged.
    """
    with _opened(path) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits, or 32 holding 16
            grey = np.clip(np.asarray(upright).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
            return np.repeat(grey[:, :, None], 3, axis=2)
        if upright.mode == "P" and "transparency" in upright.info:
            upright = upright.convert("RGBA")
        return np.array(upright.convert("RGB"))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An open Pillow image; whatever its decoder raises becomes a BadFileError that says so."""
    try:
        require_file(path)
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadFileError(_too_many(f"{image.width * image.height:,}"))
            yield image
    except (BadFileError, MemoryError):  # the second says nothing of the image
        raise
    except FileNotFoundError:
        raise BadFileError("no such file") from None
    except (
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ):  # twice the limit; or python -W error
        raise BadFileError(_too_many("even more")) from None
    except UnidentifiedImageError:
        raise BadFileError(f"not a readable image (cannot identify it as {', '.join(FORMATS)})") from None
    except OSError as error:
        if error.errno in _OURS:
            raise
        raise BadFileError(f"not a readable image ({printable(error)})") from error
    except Exception as error:  # each format's parser has its own, some without a text
        raise BadFileError(f"not a readable image ({printable(error) or type(error).__name__})") from error


def _too_many(pixels: str) -> str:
    return f"expected at most {MOST_PIXELS:,} pixels, got {pixels}; make it smaller or cut it into tiles"
