"""Before a search with a checkout: what is wrong or worth knowing, and what all its trainings share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...findings import HIGHEST_FOR_ADAM, NO_POLYGONS, rate_for_sgd
from ..dataset import have_outlines, holdings, parts, write_resolved
from .installed import look

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ...findings import Finding
    from ..found import Found
    from .settings import Settings


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
        *found.findings(
            weights=settings.weights,
            data=settings.data,
            program="the checkout",
            places=f", here or in {settings.folder}",
        ),
        *(holdings(found.data) if found.data else ()),
        *_hyp(settings, hyp, space, found),
    ]


def prepare(settings: Settings, cache: Path) -> Settings:
    """Fetch what is not here, once, and write a data.yaml whose paths are absolute.

    Raises:
        ValueError: The data or the weights cannot be used, or not be fetched.
    """
    found = look(settings, cache)
    if found.worth_fetching(settings.weights):
        found = look(settings, cache, fetch=True)
    if problem := found.problem(settings.weights):
        raise ValueError(problem)
    return replace(settings, source=write_resolved(found.data, cache), start=found.start)


def _hyp(
    settings: Settings, hyp: Mapping[str, Any], space: Mapping[str, Mapping[str, Any]], found: Found
) -> Iterator[Finding]:
    if space.get("copy_paste", {}).get("gain") and found.data and not have_outlines(parts(found.data)):
        yield "warning", f"{NO_POLYGONS}; --freeze copy_paste leaves it out of the search"
    if settings.optimizer != "SGD" and hyp.get("lr0", 0) >= HIGHEST_FOR_ADAM:
        yield rate_for_sgd(settings.optimizer, hyp["lr0"])
