"""A progress bar for what a user waits for before a training; silent where nobody watches."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


def bar() -> Progress:
    """Return a bar on standard error, which shows nothing unless that is a terminal, and is gone at its end."""
    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def shown(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield the items, of which there are `total`, under a bar that says `what` is being done."""
    with bar() as progress:
        yield from progress.track(items, total=total, description=what)
