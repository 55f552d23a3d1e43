"""Waiting for a store that is away before the work has begun."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from hypevo.protocol import InputError
from hypevo.tracking import outbox
from hypevo.tracking.failures import FAILURES, explained, line, passing

OPENING_PATIENCE = 60.0  # seconds for which a store that went away is waited for

T = TypeVar("T")


def patiently(attempt: Callable[[], T], uri: str, tell: outbox.Tell) -> T:
    """The result of an attempt, which is repeated while the store at `uri` is away.

    Raises:
        InputError: it stays away, or it refuses.
    """
    began, pause = time.monotonic(), outbox.FIRST_PAUSE
    while True:
        try:
            found = attempt()
        except FAILURES as error:
            rest = began + OPENING_PATIENCE - time.monotonic()
            if not passing(error) or rest <= 0:
                raise InputError(explained(error, uri)) from error
            if pause == outbox.FIRST_PAUSE:
                tell(f"MLflow does not answer ({line(error)}); waiting for it, {rest:.0f} s at most")
            time.sleep(min(pause, rest))
            pause *= 2
        else:
            if pause != outbox.FIRST_PAUSE:
                tell("MLflow answers again")
            return found
