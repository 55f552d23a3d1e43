"""Things to be sent by a thread of its own, which keeps trying while the other side is away.

Whoever puts something in never waits. What is put in twice before it was sent is sent once, in its latest form.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from hypevo.messages import first_line, hidden
from hypevo.protocol import WorkError

Key = tuple[str, Any]  # kind, and which of it
Tell = Callable[[str], None]
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between tries while the other side is away
GIVE_UP = 30.0  # seconds for which another side that is away is waited for at an end
LAST_SHARE = 0.8  # of the patience: what is sent last is sent then, whatever else still waits
TELL_FIRST, TELL_EVERY = 2.0, 5.0  # seconds between two words on what `close` waits for


class Refused(Exception):  # noqa: N818 - an answer, and no error of ours
    """The other side is there and will not take this, now or later."""


class Turn(IntEnum):
    """When an item is sent: before others, in its turn, or after all others and only once the outbox closes."""

    FIRST, USUAL, LAST = range(3)


class Outbox:
    """Items by key, sent in the order in which their keys came, turn by turn."""

    def __init__(self, name: str, send: Callable[[Key, Any], None]) -> None:
        """Prepare to `send(key, item)` from a thread called `name`.

        `send` raises `Refused` for what is to be dropped, a WorkError to have all dropped, now and later; any
        other exception means «later». Sending must bear repetition: an item whose delivery failed half-way is sent
        again as a whole.
        """
        self._send = send
        self._name = name
        self._waiting: dict[Turn, dict[Key, Any]] = {turn: {} for turn in Turn}
        self._notices: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._sending: Key | None = None
        self._closing = self._over = False
        self._deadline = self._hurry = self._give_up = float("inf")  # on the monotonic clock
        self._away = float("inf")
        self._troubled: set[Key] = set()  # keys whose last try failed
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, key: Key, item: Any, turn: Turn = Turn.USUAL) -> None:
        """Send an item, soon; one that comes after the end is dropped."""
        with self._changed:
            if not self._over:
                self._waiting[turn][key] = item
                self._changed.notify()

    def notices(self) -> list[str]:
        """What a user should know, each sentence once: the other side is away, is back, refused something."""
        told = []
        while not self._notices.empty():
            told.append(self._notices.get())
        return told

    def left(self) -> set[Key]:
        """The keys of what is not sent yet, the one on its way included."""
        with self._changed:
            keys = {key for waiting in self._waiting.values() for key in waiting}
            return keys if self._sending is None else keys | {self._sending}

    def close(self, patience: float, tell: Tell | None = None, *, away: float = float("inf")) -> set[Key]:
        """Send what is left, for `patience` seconds at most.

        Args:
            patience: Seconds; what is on its way then is waited for no longer.
            tell: Is told what is waited for, now and then.
            away: Seconds without any success after which the other side is waited for no longer.

        Returns:
            The keys of what is not sent.

        Raises:
            KeyboardInterrupt: a user does not want to wait; nothing more is sent.
        """
        now = time.monotonic()
        with self._changed:
            self._closing = True
            self._deadline = now + patience
            self._hurry = now + patience * LAST_SHARE
            self._away, self._give_up = away, now + away
            self._changed.notify()
        try:
            self._wait(tell)
        finally:
            with self._changed:
                self._deadline = -float("inf")
                self._changed.notify()
        return self.left()

    def stop(self, patience: float = GIVE_UP) -> None:
        """Send nothing more; what is on its way is waited for."""
        self._drop_all()
        if self._thread.is_alive():
            self._thread.join(patience)

    def _wait(self, tell: Tell | None) -> None:
        say = time.monotonic() + TELL_FIRST
        while self._thread.is_alive() and (rest := self._deadline - time.monotonic()) > 0:
            self._thread.join(min(rest, max(0.0, say - time.monotonic()) if tell else rest))
            if tell and time.monotonic() >= say:
                say = time.monotonic() + TELL_EVERY
                count = len(self.left())
                seconds = max(0.0, self._deadline - time.monotonic())
                tell(
                    f"{self._name}: {count} {'item' if count == 1 else 'items'} left, waiting {seconds:.0f} s "
                    f"at most; Ctrl-C leaves at once, all is kept on disk"
                )

    # -- the thread ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        pause = FIRST_PAUSE
        while (taken := self._take()) is not None:
            turn, key, item = taken
            try:
                self._send(key, item)
            except Refused as refusal:
                self._notices.put(f"{self._name} refuses {refusal}")
                self._sent()
            except WorkError:
                self._drop_all()
                self._sent()
            except Exception as error:  # noqa: BLE001 - whatever a server's or an artifact store's client raises
                self._failed(key, error)
                with self._changed:  # behind the others: it may be at fault itself
                    self._waiting[turn].setdefault(key, item)
                    self._sending = None
                    if not self._closing:
                        self._changed.wait_for(lambda: self._closing, timeout=pause)
                    if self._closing:
                        rest = min(self._deadline, self._give_up) - time.monotonic()
                        if rest <= 0:
                            return
                        self._changed.wait(min(rest, FIRST_PAUSE))
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                pause = FIRST_PAUSE
                self._succeeded(key)
                self._sent()

    def _take(self) -> tuple[Turn, Key, Any] | None:
        """The next item, once there is one; None when there will be no more."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._waiting[Turn.FIRST] or self._waiting[Turn.USUAL] or self._closing
            )
            now = time.monotonic()
            if now > self._deadline:
                return None
            turns = [Turn.LAST] if now > self._hurry and self._waiting[Turn.LAST] else list(Turn)
            for turn in turns:
                if self._waiting[turn] and (turn is not Turn.LAST or self._closing):
                    self._sending = key = next(iter(self._waiting[turn]))
                    return turn, key, self._waiting[turn].pop(key)
        return None

    def _drop_all(self) -> None:
        with self._changed:
            for waiting in self._waiting.values():
                waiting.clear()
            self._closing = self._over = True
            self._deadline = -float("inf")
            self._changed.notify()

    def _sent(self) -> None:
        with self._changed:
            self._sending = None
            self._give_up = time.monotonic() + self._away

    def _failed(self, key: Key, error: Exception) -> None:
        if not self._troubled:
            reason = hidden(first_line(error, 300))
            self._notices.put(
                f"{self._name} does not answer ({reason}); the work goes on, all is kept on disk"
            )
        self._troubled.add(key)

    def _succeeded(self, key: Key) -> None:
        if key in self._troubled:
            self._troubled.discard(key)
            if not self._troubled:
                self._notices.put(f"{self._name} answers again")
