"""Before a search with a checkout: what is wrong or worth knowing, and what all its trainings share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dataset import have_outlines, parts, write_resolved
from .installed import Installed, look

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .settings import Settings

Finding = tuple[str, str]  # "error" | "warning" | "note", message


def check(
    settings: Settings, hyp: Mapping[str, Any], space: Mapping[str, Mapping[str, Any]], cache: Path | None
) -> list[Finding]:
    """Look for trouble by asking the checkout; it trains nothing and fetches nothing."""
    try:
        found = look(settings, cache)
    except ValueError as error:
        return [("error", str(error))]
    return [
        ("note", f"YOLOv5 at {settings.folder}, run by {settings.python}"),
        *_network(settings, found),
        *_data(settings, found),
        *_hyp(settings, hyp, space, found),
    ]


def prepare(settings: Settings, cache: Path) -> Settings:
    """Fetch what is not here, once, and write a data.yaml whose paths are absolute.

    Raises:
        ValueError: The data or the weights cannot be used, or not be fetched.
    """
    found = look(settings, cache)
    if found.downloads or (settings.weights and not found.start and not found.network_problem):
        found = look(settings, cache, fetch=True)
    if found.network_problem:
        raise ValueError(found.network_problem)
    if found.data_problem:
        raise ValueError(f"data: {found.data_problem}")
    if settings.weights and not found.start:
        raise ValueError(f"weights: {settings.weights} is not here and could not be fetched")
    return replace(settings, source=write_resolved(found.data, cache), start=found.start)


def _network(settings: Settings, found: Installed) -> Iterator[Finding]:
    if found.network_problem:
        yield "error", f"{'weights' if settings.weights else 'model'}: {found.network_problem}"
    elif settings.weights and not found.start:
        if Path(settings.weights).name != settings.weights:
            yield "error", f"weights: {settings.weights} does not exist, here or in {settings.folder}"
        else:
            yield (
                "warning",
                f"weights: {settings.weights} is not here yet, and so not checked: a study would begin by having the "
                "checkout fetch it",
            )


def _data(settings: Settings, found: Installed) -> Iterator[Finding]:
    if found.downloads:
        yield (
            "warning",
            f"data: {found.data_problem}; a study would begin by having the checkout fetch what {settings.data} names",
        )
    elif found.data_problem:
        yield "error", f"data: {found.data_problem}"


def _hyp(
    settings: Settings, hyp: Mapping[str, Any], space: Mapping[str, Mapping[str, Any]], found: Installed
) -> Iterator[Finding]:
    if space.get("copy_paste", {}).get("gain") and found.data and not have_outlines(parts(found.data)):
        yield "warning", "copy_paste: has no effect, the labels are boxes and it needs outlines; freeze it"
    if settings.optimizer != "SGD" and hyp.get("lr0", 0) >= 0.01:
        yield (
            "warning",
            f"lr0: {hyp['lr0']} is a rate for SGD; {settings.optimizer} usually starts at 0.001, higher ones tend to "
            "diverge",
        )
