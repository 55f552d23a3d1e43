"""Optuna's journal on a file: the same format, kept readable whatever a crash or a full disk left in it.

Optuna's own `JournalFileBackend` appends behind half a line, and then reads the file no more.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from optuna.storages.journal import BaseJournalBackend, JournalFileOpenLock

LONGEST_LINE = 10_000_000  # bytes
_HELD_AT_MOST = 10  # seconds; a lock is held for milliseconds, an older one is that of a killed process
_BEGIN = b'{"op_code":'  # of every line that Optuna writes

_log = logging.getLogger(__name__)


class JournalLostError(OSError):
    """The file was deleted, or replaced by another one, while a study was at work on it."""


class JournalFile(BaseJournalBackend):
    """A journal file.

    What it appends is there as whole lines or not at all. Half a line at the end, which another process left when it
    died, is dropped; a spoilt line in the middle is skipped. Both are told.
    """

    def __init__(self, path: Path, tell: Callable[[str], None] = _log.warning) -> None:
        """Open a journal, which is made if it is not there; `tell` is told what was found spoilt.

        Raises:
            OSError: The file cannot be opened.
            ValueError: It has content, and not one line of it is a journal's.
        """
        self._path = path
        self._tell = tell
        self._lock = JournalFileOpenLock(str(path.resolve()), grace_period=_HELD_AT_MOST)
        with path.open("ab") as file:
            self._identity = _identity(file)
        self._read = (0, 0)  # lines read so far, and the byte behind the last of them
        self._last = b""  # the last of them: an older copy of the file has another one there
        self._told: set[int] = set()  # bytes at which a spoilt line begins
        _refuse_other_files(path)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines at the end, on the disk when this returns.

        Raises:
            JournalLostError: The file is not the one that was opened.
            OSError: It cannot be written; nothing was added.
        """
        lines = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        with _held(self._lock), self._open("rb+") as file:
            end = self._whole_lines(file)
            file.seek(end)
            try:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self._path, end)
                raise

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the lines from a number on. The last is left out while another process is writing it.

        Raises:
            JournalLostError: The file is not the one that was opened.
        """
        number, begin = self._read if self._read[0] <= log_number_from else (0, 0)
        with self._open("rb") as file:
            file.seek(begin)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                begin += len(line)
                content = self._parse(line, begin - len(line))
                if content is None:
                    continue
                number += 1
                if number > log_number_from:
                    self._read, self._last = (number, begin), line
                    yield content

    def _open(self, mode: str) -> BinaryIO:
        """Open the file, and see that it is still the one whose lines were read."""
        try:
            file: BinaryIO = self._path.open(mode)  # type: ignore[assignment]  # a binary mode
        except FileNotFoundError as error:
            raise JournalLostError(f"{self._path} was deleted while the study was at work") from error
        behind = self._read[1]
        file.seek(behind - len(self._last))
        if _identity(file) != self._identity or file.read(len(self._last)) != self._last:
            file.close()
            raise JournalLostError(f"{self._path} was replaced by another file while the study was at work")
        return file

    def _whole_lines(self, file: BinaryIO) -> int:
        """The length of the file without half a line at its end. Call it with the lock held."""
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if file.read() in (b"\n", b""):
            return size
        file.seek(max(0, size - LONGEST_LINE))
        tail = file.read()
        half = tail[tail.rfind(b"\n") + 1 :]
        if half[:1] not in (b"{", b"\0") or len(half) == LONGEST_LINE:  # zeros: of a power cut
            raise JournalLostError(f"{self._path}: its last line is none that Optuna writes")
        self._tell(f"{self._path}: dropped half a line of {len(half)} bytes at its end, left by a crash")
        file.truncate(size - len(half))
        return size - len(half)

    def _parse(self, line: bytes, at: int) -> dict[str, Any] | None:
        """The content of a line; of half a line with a whole one behind it, the whole one; None of a spoilt one."""
        content = _content(line)
        if content is not None:
            return content
        behind = line.rfind(_BEGIN)
        whole = _content(line[behind:]) if behind > 0 else None
        if at not in self._told:
            self._told.add(at)
            kept = "kept the whole line after it" if whole else "skipped it"
            self._tell(f"{self._path}: spoilt line at byte {at}: {kept}")
        return whole


@contextlib.contextmanager
def _held(lock: JournalFileOpenLock) -> Iterator[None]:
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _content(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(content, dict) and isinstance(content.get("op_code"), int) and "worker_id" in content
    return content if whole else None


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def _refuse_other_files(path: Path) -> None:
    """Raise a ValueError for a file that is no journal, before anything is done to it."""
    with path.open("rb") as file:
        begun = file.read(LONGEST_LINE)
    *lines, last = begun.split(b"\n")
    cut_off = not lines and (last.startswith(_BEGIN) or _BEGIN.startswith(last))  # in its first line
    if begun.strip(b"\0") and not cut_off and all(_content(line) is None for line in lines):
        raise ValueError("no line in it is one that Optuna writes")
