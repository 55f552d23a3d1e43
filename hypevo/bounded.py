"""Read a user's file as a whole, unless it is longer than any honest one."""

from importlib.resources.abc import Traversable
from pathlib import Path

from hypevo.protocol import InputError


def read_bounded(path: Path | Traversable, most: int, kind: str) -> bytes:
    """Return the file's content.

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
