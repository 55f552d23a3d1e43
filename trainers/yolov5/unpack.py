"""Unpacking a dataset's zip: images, labels and lists alone, into a new folder, whole or not at all."""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import tempfile
import unicodedata
import zipfile
import zlib
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from ..printable import printable
from .decode import SUFFIXES
from .download import UNFINISHED, size_text

MOST_FILES = 1_000_000
MOST_BYTES = 200_000_000_000  # of the unpacked files
ALWAYS_FINE = 1 << 28  # bytes: a small zip may grow more
MOST_GROWTH = 100  # times the zip's size; photographs hardly shrink, label texts by ten

_LISTING = 128 * MOST_FILES  # bytes of a zip's own list of its files, which is read at once
_TAKEN = SUFFIXES | {".txt"}
_TAKEN_NAMES = {"data.yaml", "data.yml"}
_KINDS = {0, stat.S_IFREG, stat.S_IFDIR}  # of file; 0 where the zip was made on another system than Unix
_DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE
)  # Windows'
_NOT_ON_WINDOWS = set('<>:"|?*')
# What zipfile raises on damage, and on encryption or compression that it doesn't know.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


class _File(NamedTuple):
    entry: zipfile.ZipInfo
    parts: tuple[str, ...]  # folders and name


def unpack(archive: Path, folder: Path) -> list[str]:
    """Unpack the images, labels, lists and a data.yaml of a zip into `folder`, which must not exist.

    A zip that tries to leave the folder, or to grow beyond reason, is refused as a whole: it is none of a dataset.
    Files of other kinds, hidden ones, and names that Windows can't hold are left out.

    Returns:
        The names that were left out, fit for a terminal.

    Raises:
        ValueError: It is no zip, damaged, refused, or holds nothing to take; nothing was written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=UNFINISHED) as temporary:
        unfinished = Path(temporary) / "dataset"
        try:
            with _Bounded(archive) as file, zipfile.ZipFile(file) as opened:
                taken, left = _chosen(opened.infolist(), archive)
                for item in taken:
                    _write(opened, item, unfinished)
        except _DAMAGE as error:
            reason = printable(error) or type(error).__name__
            raise ValueError(f"{archive.name} can't be unpacked: {reason}") from error
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was faster
                raise
    return left


class _Bounded(io.FileIO):
    """A file that isn't read at once beyond reason: zipfile reads a zip's list of files, of any length, in one go."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LISTING:
            raise zipfile.BadZipFile(f"its list of files is longer than that of {MOST_FILES:,} files")
        return super().read(size) or b""


def _chosen(entries: list[zipfile.ZipInfo], archive: Path) -> tuple[list[_File], list[str]]:
    """Return what to unpack, and the names of what to leave out."""
    taken: list[_File] = []
    left: list[str] = []
    seen: dict[tuple[str, ...], str] = {}
    for entry in entries:
        name = entry.filename
        parts = tuple(part for part in entry.filename.replace("\\", "/").split("/") if part not in ("", "."))
        _refuse_hostile(entry, parts, archive)
        if entry.is_dir() or not parts:
            continue
        if not _is_wanted(parts):
            left.append(printable(name))
            continue
        same = tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)
        if same in seen:
            raise ValueError(
                f"{archive.name} holds two files for one place, {seen[same]!r} and {name!r} "
                "(Windows and macOS take them for the same name); not unpacked"
            )
        seen[same] = name
        taken.append(_File(entry, parts))
    if not taken:
        raise ValueError(f"{archive.name} holds no images, labels or lists; not unpacked")
    if len(taken) > MOST_FILES:
        raise ValueError(f"{archive.name} holds {len(taken):,} files, expected at most {MOST_FILES:,}")
    _refuse_growth(sum(item.entry.file_size for item in taken), archive)
    return taken, left


def _refuse_hostile(entry: zipfile.ZipInfo, parts: tuple[str, ...], archive: Path) -> None:
    name = entry.filename
    outside = entry.filename.startswith(("/", "\\")) or any(
        part == ".." or PureWindowsPath(part).drive for part in parts
    )
    if outside:
        raise ValueError(f"{archive.name} would write outside of its folder: {name!r}; not unpacked")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in _KINDS:
        what = "link" if kind == stat.S_IFLNK else "device or pipe"
        raise ValueError(f"{archive.name} holds a {what}: {name!r}; not unpacked")


def _is_wanted(parts: tuple[str, ...], *, windows: bool = os.name == "nt") -> bool:
    """Whether this is a file of a dataset, with a name that every system can hold."""
    name = parts[-1].lower()
    if Path(name).suffix not in _TAKEN and name not in _TAKEN_NAMES:
        return False
    return not any(
        part.startswith(".")
        or part.endswith((".", " "))
        or _DEVICES.fullmatch(part)
        or printable(part) != part
        or (windows and not _NOT_ON_WINDOWS.isdisjoint(part))
        for part in parts
    )


def _refuse_growth(size: int, archive: Path) -> None:
    if size > min(MOST_BYTES, max(ALWAYS_FINE, MOST_GROWTH * archive.stat().st_size)):
        raise ValueError(
            f"{archive.name} would grow to {size_text(size)}, expected at most {size_text(MOST_BYTES)} "
            f"and {MOST_GROWTH} times its size; not unpacked"
        )
    free = shutil.disk_usage(archive.parent).free
    if size > free:
        raise ValueError(
            f"{archive.name} needs {size_text(size)}, and {size_text(free)} are free in {printable(archive.parent)}; "
            "make room, or name another folder in HYPEVO_CACHE"
        )


def _write(opened: zipfile.ZipFile, item: _File, folder: Path) -> None:
    target = folder.joinpath(*item.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(item.entry) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file)
