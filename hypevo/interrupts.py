"""Ctrl-C and SIGTERM as a question first, so that the work can be put down at a safe place."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def asked_first(ask_to_stop: Callable[[], None]) -> Iterator[None]:
    """Call `ask_to_stop` at the first signal; a second one raises KeyboardInterrupt at once.

    `ask_to_stop` runs inside a signal handler, at any moment: it should do no more than put an item into a SimpleQueue.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def handle(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a handler
        signal.signal(number, signal.default_int_handler)
        ask_to_stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
