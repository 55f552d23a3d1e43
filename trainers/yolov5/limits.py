"""Values of hyperparameters that no training can run with, whatever a search would allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .settings import GENES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# (gene, least value that is too much, why)
_TOO_MUCH = (
    ("momentum", 1.0, "the steps would never fade"),
    ("warmup_momentum", 1.0, "the steps would never fade"),
    ("scale", 1.0, "images would shrink to nothing"),
    ("anchors", 100.0, "no output layer can hold so many"),
    ("shear", 90.0, "images would be drawn out without end"),
)


def impossible(hyp: Mapping[str, object]) -> Iterator[str]:
    """Say for each value what is wrong with it. A word or a boolean is wrong for every gene of this trainer."""
    numbers: dict[str, float] = {}
    for gene in GENES:
        value = hyp.get(gene, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{gene}: expected a number; got {value}"
        else:
            numbers[gene] = value
    for gene, value in numbers.items():
        if not value >= 0:
            yield f"{gene}: expected 0 or more; got {value:g}"
    for gene, limit, why in _TOO_MUCH:
        if numbers.get(gene, 0.0) >= limit:
            yield f"{gene}: expected less than {limit:g}; got {numbers[gene]:g}: {why}"
