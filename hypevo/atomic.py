"""Replace files as a whole: a reader, or a crash, sees the old content or the new and nothing between."""

import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes | bytearray) -> None:
    """Write `content` beside `path`, push it to the disk, and put it in the place of `path`.

    Args:
        path: The file to replace or create; its folder exists.
        content: Bytes, or text for UTF-8 with line breaks as they are.

    Raises:
        OSError: The folder cannot be written; `path` is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
