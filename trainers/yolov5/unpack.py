"""Unpacking a zip from the network: nothing outside the folder, no links, no bombs, whole or not at all."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

_MOST_GROWTH = 100  # times the zip's size; photographs hardly shrink, label texts by ten
ALWAYS_FINE = 1 << 28  # bytes: a small zip may grow more
# What zipfile raises on damage, and on encryption or compression that it doesn't know.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


def unpack(archive: Path, root: Path) -> None:
    """Unpack a dataset so that its files lie in `root`, whether or not the zip has them in a folder of that name.

    What already lies in `root` stays.

    Raises:
        ValueError: It is no zip, it is damaged, or an entry is one that no dataset needs; nothing was written.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix="unpacking-") as temporary:
        unpacked = Path(temporary) / "unpacked"
        try:
            with zipfile.ZipFile(archive) as opened:
                _check(opened, archive)
                opened.extractall(unpacked)
        except _DAMAGE as error:
            raise ValueError(f"{archive.name} can't be unpacked: {error or type(error).__name__}") from error
        inner = unpacked / root.name
        _move(inner if inner.is_dir() else unpacked, root)


def _check(opened: zipfile.ZipFile, archive: Path) -> None:
    entries = opened.infolist()
    for entry in entries:
        posix, windows = PurePosixPath(entry.filename), PureWindowsPath(entry.filename)
        if posix.is_absolute() or windows.anchor or ".." in posix.parts or ".." in windows.parts:
            raise ValueError(
                f"{archive.name} would write outside of its folder: {entry.filename!r}; not unpacked"
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ValueError(f"{archive.name} holds a link: {entry.filename!r}; not unpacked")
    size = sum(entry.file_size for entry in entries)
    if size > max(ALWAYS_FINE, _MOST_GROWTH * archive.stat().st_size):
        raise ValueError(
            f"{archive.name} would grow to {size / 1e9:.1f} GB, more than a dataset does; not unpacked"
        )
    free = shutil.disk_usage(archive.parent).free
    if size > free:
        raise ValueError(
            f"{archive.name} needs {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; not unpacked"
        )


def _move(source: Path, root: Path) -> None:
    if not root.exists():
        try:
            source.rename(root)
        except OSError:
            if not root.exists():  # else another process was faster
                raise
        return
    # Labels before images: who looks meanwhile must not take all images for background.
    for entry in sorted(source.iterdir(), reverse=True):
        if not (root / entry.name).exists():
            entry.rename(root / entry.name)
