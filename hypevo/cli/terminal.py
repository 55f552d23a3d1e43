"""The terminal: consoles for messages and for results, plain text only, no secrets, and a study outlives them."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from types import TracebackType
from typing import TextIO, cast

from rich.console import Console
from rich.file_proxy import FileProxy

from hypevo.messages import hidden, printable_lines


class _Outliving:
    """Standard error without secrets; silent when closed or unread: a study of weeks must not end with it."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        stream = _standard_error()
        if stream is not None:
            try:
                stream.write(hidden(text))
            except (OSError, ValueError):
                _silence(stream)
        return len(text)

    def flush(self) -> None:
        stream = _standard_error()
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                _silence(stream)

    def isatty(self) -> bool:
        stream = _standard_error()
        try:
            return stream is not None and stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        stream = _standard_error()
        if stream is None:
            raise OSError("there is no standard error")
        return stream.fileno()


def _standard_error() -> TextIO | None:
    """Standard error itself: while a bar is drawn, rich puts in its place what writes to the console, hence to us."""
    stream = sys.stderr
    return cast("TextIO", stream.rich_proxied_file) if isinstance(stream, FileProxy) else stream


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


def keep_secrets() -> None:
    """Keep the secrets of addresses out of what an unforeseen error prints, and out of the list of processes."""

    def report(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        _Outliving().write(printable_lines(text))

    sys.excepthook = report
    threading.excepthook = lambda one: report(one.exc_type, one.exc_value, one.exc_traceback)
    shown = [hidden(word) for word in sys.orig_argv]
    if shown != sys.orig_argv:
        from setproctitle import setproctitle

        setproctitle(" ".join(shown))


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
