"""The terminal: consoles for messages and for results, plain text only, and a study outlives them."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO, cast

from rich.console import Console


class _Outliving:
    """Standard error that goes silent when it is closed or nobody reads it: a study of weeks must not end with it."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        if sys.stderr is not None:
            try:
                sys.stderr.write(text)
            except (OSError, ValueError):
                _silence(sys.stderr)
        return len(text)

    def flush(self) -> None:
        if sys.stderr is not None:
            try:
                sys.stderr.flush()
            except (OSError, ValueError):
                _silence(sys.stderr)

    def isatty(self) -> bool:
        try:
            return sys.stderr is not None and sys.stderr.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        if sys.stderr is None:
            raise OSError("there is no standard error")
        return sys.stderr.fileno()


def open_streams() -> None:
    """Open what the caller has closed of the standard streams, or the next file would get their number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)  # children want it as well
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def messages() -> Console:
    """The console for progress and messages; what it prints may be a user's, so there is no markup and no emoji."""
    stream = cast("TextIO", _Outliving())
    return Console(file=stream, soft_wrap=True, markup=False, emoji=False, highlight=False)


def results() -> Console:
    """The console for results, on standard output."""
    return Console(soft_wrap=True, markup=False, emoji=False)


def _silence(stream: TextIO) -> None:
    """Send to nowhere what a stream still holds and gets."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
