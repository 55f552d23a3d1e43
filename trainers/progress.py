"""What a user waits for before a training: a progress bar, or a line now and then where no bar can be drawn."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")
EVERY = 10.0  # seconds between two lines


def bar() -> Progress:
    """Return a bar on standard error, which shows nothing unless that is a terminal, and is gone at its end."""
    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def shown(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield the items, of which there are `total`, under a bar, or lines in a log, that say `what` is being done."""
    with bar() as progress:
        if not progress.disable:
            yield from progress.track(items, total=total, description=what)
            return
        last = time.monotonic()
        for number, item in enumerate(items, 1):
            yield item
            if time.monotonic() - last >= EVERY:
                last = time.monotonic()
                print(f"{what}: {number:,} of {total:,}", file=sys.stderr, flush=True)
