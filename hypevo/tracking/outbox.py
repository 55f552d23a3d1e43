"""Things to be sent by a thread of its own, which keeps trying while the other side is away.

Whoever puts something in never waits. What is put in twice before it was sent is sent once, in its latest form.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

Key = tuple[str, Any]  # kind, and which of it
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between tries while the other side is away


class Refused(Exception):  # noqa: N818 - an answer, and no error of ours
    """The other side is there and will not take this, now or later."""


class Outbox:
    """Items by key, sent in the order in which their keys came, urgent ones before the others."""

    def __init__(self, name: str, send: Callable[[Key, Any], None]) -> None:
        """Prepare to `send(key, item)` from a thread called `name`.

        `send` raises `Refused` for what is to be dropped; any other exception means «later». Sending must bear
        repetition: an item whose delivery failed half-way is sent again as a whole.
        """
        self._send = send
        self._name = name
        self._waiting: dict[bool, dict[Key, Any]] = {True: {}, False: {}}  # urgent or not -> key -> item
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._deadline = float("inf")
        self._closing = False
        self._troubled: set[Key] = set()  # keys whose last try failed
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, key: Key, item: Any, *, urgent: bool = False) -> None:
        """Send an item, soon."""
        with self._changed:
            self._waiting[urgent][key] = item
            self._changed.notify()

    def news(self) -> list[str]:
        """What a user should know, each sentence once: the other side is away, is back, refused something."""
        said = []
        while not self._news.empty():
            said.append(self._news.get())
        return said

    def close(self, patience: float) -> set[Key]:
        """Send what is left, for `patience` seconds at most while the other side is away.

        Returns:
            The keys of what is not sent.
        """
        with self._changed:
            self._closing = True
            self._deadline = time.monotonic() + patience
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()
        return set(self._waiting[True]) | set(self._waiting[False])

    def stop(self) -> None:
        """Send nothing more; what is on its way is waited for."""
        with self._changed:
            for waiting in self._waiting.values():
                waiting.clear()
        self.close(patience=0.0)

    # -- the thread ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        pause = FIRST_PAUSE
        while (taken := self._take()) is not None:
            urgent, key, item = taken
            try:
                self._send(key, item)
            except Refused as refusal:
                self._news.put(f"{self._name} refuses {refusal}")
            except Exception as error:  # noqa: BLE001 - whatever a server's or an artifact store's client raises
                self._failed(key, error)
                with self._changed:
                    self._waiting[urgent].setdefault(
                        key, item
                    )  # behind the others: it may be at fault itself
                    closing = self._changed.wait_for(lambda: self._closing, timeout=pause)
                if time.monotonic() > self._deadline:
                    return
                if closing:
                    time.sleep(FIRST_PAUSE)
                pause = min(LONGEST_PAUSE, pause * 2)
                continue
            pause = FIRST_PAUSE
            self._succeeded(key)

    def _take(self) -> tuple[bool, Key, Any] | None:
        """The next item, once there is one; None when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting[True] or self._waiting[False] or self._closing)
            for urgent in (True, False):
                if self._waiting[urgent]:
                    key = next(iter(self._waiting[urgent]))
                    return urgent, key, self._waiting[urgent].pop(key)
        return None

    def _failed(self, key: Key, error: Exception) -> None:
        if not self._troubled:
            reason = f"{type(error).__name__}: {error}".strip().split("\n")[0][:300]
            self._news.put(f"{self._name} does not answer ({reason}); the work goes on, all is kept on disk")
        self._troubled.add(key)

    def _succeeded(self, key: Key) -> None:
        if key in self._troubled:
            self._troubled.discard(key)
            if not self._troubled:
                self._news.put(f"{self._name} answers again")
