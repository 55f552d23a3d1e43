"""Files read and written as a whole: no torn content, nothing longer than an honest file."""

from __future__ import annotations

import os
import time
from importlib.resources.abc import Traversable
from pathlib import Path

from hypevo.protocol import InputError

_HELD = 20, 0.05  # attempts and the seconds between them: a scanner or a synchroniser lets go of a file soon


class HeldError(PermissionError):
    """A file is open in another program that lets nobody replace it, as Excel does on Windows."""


def write_atomically(path: Path, content: str | bytes | bytearray) -> None:
    """Replace a file: a reader, or a crash, sees the old content or the new and nothing between.

    Args:
        path: The file to replace or create; its folder exists.
        content: Bytes, or text for UTF-8 with line breaks as they are.

    Raises:
        HeldError: Another program keeps the file open; `path` is as it was.
        OSError: The folder cannot be written; `path` is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def replace(temporary: Path, path: Path) -> None:
    """Move a file to where another may be, waiting a second where that one is held.

    Raises:
        HeldError: Another program keeps it open.
        OSError: It cannot be moved.
    """
    attempts, pause = _HELD
    for attempt in range(1, attempts + 1):
        try:
            temporary.replace(path)
            return
        except PermissionError as error:
            if not path.is_file():
                raise
            if attempt == attempts:
                raise HeldError(
                    f"{path} is open in another program, which lets nobody replace it; close it there"
                ) from error
        time.sleep(pause)


def read_bounded(path: Path | Traversable, most: int, kind: str) -> bytes:
    """Return a file's content.

    Args:
        path: The file.
        most: Its greatest length in bytes.
        kind: What was expected, with its article: "a yaml file".

    Raises:
        InputError: The file cannot be read, is longer, or is a pipe or a device, where reading may never end.
    """
    try:
        if path.is_dir() or (isinstance(path, Path) and path.exists() and not path.is_file()):
            raise InputError(f"{path}: expected {kind}; this is no file but a folder, a pipe or a device")
        with path.open("rb") as file:
            data: bytes = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > most:
        raise InputError(f"{path}: expected {kind} of at most {most:,} bytes; this one is longer")
    return data
