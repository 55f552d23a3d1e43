"""What a training prints: it goes straight into its log, which is kept to a size however much is printed."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

LONGEST_LOG = 32_000_000  # bytes
KEPT = 8_000_000  # of the beginning, and of the end, of a longer one
LOOK_EVERY = 0.1  # seconds


class Output:
    """The log that this process, and all that it starts, prints into.

    There is no pipe between: a process that is killed has all it printed in its log.
    """

    def __init__(self, log: Path) -> None:
        """Send standard output and standard error to the end of `log`."""
        self._file = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._left_out = 0
        self._turn = threading.Lock()
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(self._file, 1)
        os.dup2(self._file, 2)

    def shorten(self) -> None:
        """Take the middle out of a log that has grown too long, and say so; what is printed meanwhile goes too."""
        with self._turn, suppress(OSError):  # a full disk; the next look comes soon
            size = os.fstat(self._file).st_size
            if size <= LONGEST_LOG:
                return
            os.lseek(self._file, size - KEPT, os.SEEK_SET)  # writes go to the end all the same
            end = os.read(self._file, KEPT)
            os.ftruncate(self._file, KEPT)
            self._left_out += size - 2 * KEPT
            note = (
                f"\n[hypevo: some {self._left_out:,} bytes of output were left out here; see the end below]\n"
            )
            os.write(self._file, note.encode() + end)
