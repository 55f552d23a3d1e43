"""What the trials in a picture are held against, as plain values, and the sentence on how the best one stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hypevo.protocol import Hyp
from hypevo.results.evolve_csv import Row, best_of


@dataclass(frozen=True)
class Marks:
    """What is known besides the finished trials; all of it may be missing.

    Attributes:
        default: Fitness of the individual that the search started from.
        hyp: Its values.
        untouched: Fitness of the starting weights before any training.
        band: Fitness of the default with other seeds, from … to …: the noise.
        beside: How the best stands to it: beyond the noise, within the noise, maybe luck.
        failed: Numbers of the trials without a fitness.
        parents: By trial, the numbers of those that it descends from; empty for mutants of the default.
        title: Whose picture it is.
        start: What the start is called.
        one: What an individual is called.
    """

    default: float | None = None
    hyp: Hyp = field(default_factory=dict)
    untouched: float | None = None
    band: tuple[float, float] | None = None
    beside: str = ""
    failed: Sequence[int] = ()
    parents: Mapping[int, Sequence[int]] = field(default_factory=dict)
    title: str = ""
    start: str = "default"
    one: str = "trial"

    @classmethod
    def of_file(cls, rows: Sequence[Row], title: str) -> Marks:
        """What a file tells by itself: a search writes the individual that it starts from first."""
        if not rows:
            return cls(title=title, start="first row", one="row")
        first = rows[0].fitness if rows[0].fitness == rows[0].fitness else None
        return cls(first, rows[0].hyp, title=title, start="first row", one="row")

    @property
    def references(self) -> list[float]:
        """Every fitness that is marked by a line or a band."""
        known = [self.default, self.untouched, *(self.band or ())]
        return [value for value in known if value is not None]


def headline(rows: Sequence[Row], marks: Marks) -> str:
    """Say in a sentence what came out, and no more than is known."""
    best = best_of(rows)
    if best is None:
        return f"no {marks.one} has a fitness yet"
    said = f"best {best.fitness:.4g} in {marks.one} {best.number}"
    if marks.default is not None:
        gain = best.fitness - marks.default
        if gain <= 0:
            said += f", no better than the {marks.start} ({marks.default:.4g})"
        else:
            said += f": {gain:+.2g} over the {marks.start}"
            if marks.band is not None:
                half = (marks.band[1] - marks.band[0]) / 2
                said += f", {marks.beside} (±{half:.2g})"
    if marks.untouched is not None and best.fitness < marks.untouched:
        said += f"; below the untouched weights ({marks.untouched:.4g})"
    return said
