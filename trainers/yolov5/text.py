"""The text files of a dataset: UTF-8, or told what they are."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from ..printable import printable

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


class BadFileError(ValueError):
    """A file of a dataset that can't be used; its message is the reason."""


def read_text(path: Path, most: int) -> str:
    """Return the text of a file of at most `most` bytes, without its byte order mark.

    Raises:
        FileNotFoundError: There is no such file.
        BadFileError: It can't be read, is longer, or is no UTF-8 text; the message says what it is instead.
    """
    size = require_file(path)
    if size > most:
        raise BadFileError(f"expected at most {most:,} bytes, got {size:,}")
    try:
        with path.open("rb") as file:
            data = file.read(most)
    except OSError as error:
        raise BadFileError(f"it can't be read: {error.strerror}") from None
    return decoded(data)


def require_file(path: Path) -> int:
    """Return the size of a file in bytes, having made sure that it is one: opening a pipe would wait for ever.

    Raises:
        FileNotFoundError: There is no such file.
        BadFileError: It is something else, or can't be reached.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"no such file: {printable(path)}") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise BadFileError(f"it can't be reached: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode):
        raise BadFileError(f"expected a file, got {_KINDS.get(stat.S_IFMT(status.st_mode), 'a device')}")
    return status.st_size


def decoded(data: bytes) -> str:
    """Return the text without its byte order mark.

    Raises:
        BadFileError: It is no UTF-8; the message names the encoding that it looks like.
    """
    if _is_utf16(data):
        raise BadFileError("expected UTF-8 text, got UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    if _looks_like_gbk(data):
        raise BadFileError("expected UTF-8 text, got what looks like GBK; save it as UTF-8")
    raise BadFileError("expected UTF-8 text, got another encoding or what is not a text file at all")


def _is_utf16(data: bytes) -> bool:
    """Whether there is a byte order mark of UTF-16, or every second byte is the zero that ASCII has in it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    head = data[:4096]
    zeros = sorted((head[::2].count(0), head[1::2].count(0)))
    return len(head) > 1 and zeros[0] == 0 and zeros[1] > len(head) / 4


def _looks_like_gbk(data: bytes) -> bool:
    """Whether it decodes as GBK and its bytes beyond ASCII come in pairs, as those of Latin-1 seldom do."""
    try:
        data.decode("gbk")
    except UnicodeDecodeError:
        return False
    runs = re.findall(rb"[\x80-\xff]+", data)
    return sum(len(run) % 2 == 0 for run in runs) * 2 > len(runs)
