"""Ctrl-C, SIGTERM and a closed terminal as a request first, so that the work stops at a safe place."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

Handler = Callable[[int, Any], Any]


class Interrupted(Exception):  # noqa: N818 - what a user did, and no error
    """A KeyboardInterrupt that ended a command, on its way through code that would hide it."""


# SIGHUP: the terminal was closed; `nohup` has it ignored, and Windows has none.
_TERMINATION = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@contextlib.contextmanager
def asked_first(ask_to_stop: Callable[[], None], say: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Call `ask_to_stop` at the first signal; a second one raises KeyboardInterrupt at once.

    Args:
        ask_to_stop: Runs inside a signal handler, at any moment: it should do no more than put an item into a
            SimpleQueue.
        say: Tells the user, in a thread of its own: what has to stop may be drawing or writing for seconds.
    """
    signals: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def handle(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a handler
        signal.signal(number, signal.default_int_handler)
        ask_to_stop()
        signals.put(True)

    def answer() -> None:
        if signals.get():
            say()

    voice = threading.Thread(target=answer, name="interrupt", daemon=True)
    voice.start()
    try:
        with _handled(dict.fromkeys((signal.SIGINT, *_TERMINATION), handle)):
            yield
    finally:
        signals.put(False)
        voice.join()


@contextlib.contextmanager
def terminated_gently() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does, so that what is open is closed."""
    with _handled(dict.fromkeys(_TERMINATION, signal.default_int_handler)):
        yield


@contextlib.contextmanager
def signals_kept() -> Iterator[None]:
    """Set the handlers again that are there now, after something that sets its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_TERMINATION)}
    try:
        yield
    finally:
        for number, old in before.items():
            if old is not None:
                signal.signal(number, old)


@contextlib.contextmanager
def _handled(handlers: dict[signal.Signals, Handler]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = {
        number: signal.signal(number, handler)
        for number, handler in handlers.items()
        if number not in _TERMINATION or signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
