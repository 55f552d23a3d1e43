"""Before a search with Ultralytics: what is wrong or worth knowing, and what all its trainings share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...digits import write_digits
from ...findings import HIGHEST_FOR_ADAM, NO_POLYGONS, rate_for_sgd
from ..dataset import have_outlines, holdings, parts, write_resolved
from .genes import genes, lacking
from .installed import Installed, look
from .settings import EMBEDDED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...findings import Finding
    from .settings import Settings

_AFTER_MOSAIC = ("mosaic", "mixup", "cutmix", "copy_paste")  # what close_mosaic turns off


def space(settings: Settings, cache: Path) -> dict[str, dict[str, Any]]:
    """The genes of the installed version; without polygons in the labels, copy_paste is frozen."""
    found = look(settings, data_of(settings, cache))
    return genes(found.defaults, masks=_outlines(found))


def check(
    settings: Settings,
    hyp: Mapping[str, object],
    space: Mapping[str, Mapping[str, object]],
    cache: Path | None,
) -> list[Finding]:
    """Look for trouble by asking the installed version; it trains nothing and fetches nothing."""
    if settings.lacks:
        return [("error", settings.lacks)]
    try:
        found = look(settings, data_of(settings, cache))
    except ValueError as error:
        return [("error", str(error))]
    return [
        ("note", f"ultralytics {found.version} of {settings.interpreter}"),
        *found.findings(weights=settings.weights, data=settings.data, program="Ultralytics"),
        *(holdings(found.data) if found.data and settings.task != "classify" else ()),
        *_hyp(settings, hyp, space, found),
    ]


def prepare(settings: Settings, cache: Path) -> Settings:
    """Fetch what is not here, once, and write a data.yaml whose paths are absolute.

    Raises:
        ValueError: The data or the weights cannot be used, or not be fetched.
    """
    if settings.lacks:
        raise ValueError(settings.lacks)
    data = data_of(settings, cache)
    found = look(settings, data)
    if found.worth_fetching(settings.weights):
        found = look(settings, data, fetch=True)
    if problem := found.problem(settings.weights):
        raise ValueError(problem)
    source = str(Path(data).absolute()) if settings.task == "classify" else write_resolved(found.data, cache)
    return replace(settings, python=settings.interpreter, source=source, start=found.start)


def data_of(settings: Settings, cache: Path | None) -> str:
    """What Ultralytics is given as data: the embedded dataset as files under `cache`."""
    if settings.data != EMBEDDED:
        return settings.data
    return str(write_digits((cache or Path("runs/cache")).absolute() / EMBEDDED))


def _hyp(
    settings: Settings,
    hyp: Mapping[str, object],
    space: Mapping[str, Mapping[str, object]],
    found: Installed,
) -> Iterator[Finding]:
    for name in hyp:
        if name not in found.defaults:
            yield (
                "error",
                f"hyp: ultralytics {found.version} has no option {name}; take it out of the space and hyp",
            )
    dropped = lacking(found.defaults)
    if dropped:
        yield "note", f"not searched, as ultralytics {found.version} has no such option: {', '.join(dropped)}"
    if not _outlines(found):
        if space.get("copy_paste", {}).get("gain"):
            yield "warning", f"{NO_POLYGONS}; --freeze copy_paste leaves it out of the search"
        elif "copy_paste" in space:
            yield "note", "copy_paste: not searched, the labels are boxes and it needs polygons"
    closed = hyp.get("close_mosaic", 0)
    if isinstance(closed, int | float) and closed >= settings.epochs:
        acting = [name for name in _AFTER_MOSAIC if name in hyp]
        yield (
            "warning",
            f"close_mosaic: is {closed}, so that none of the {settings.epochs} epochs trains with {', '.join(acting)}; "
            f"train longer, or start from a hyp file with close_mosaic below {settings.epochs}",
        )
    lr0 = hyp.get("lr0", 0)
    if settings.optimizer.startswith("Adam") and isinstance(lr0, int | float) and lr0 >= HIGHEST_FOR_ADAM:
        yield rate_for_sgd(settings.optimizer, lr0)


def _outlines(found: Installed) -> bool:
    return bool(found.data) and have_outlines(parts(found.data))
