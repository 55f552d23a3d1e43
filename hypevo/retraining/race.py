"""The race of a confirmation: candidates that cannot win any more are dropped, the others go on to the next seed.

Who is called better is decided at the end alone, over all seeds, and every candidate keeps its share of the error
(`hypevo.retraining.verdict`), dropped or not. So a race adds no wrong «better». What it may get wrong is to drop the
best candidate: in at most 5 % of races, by this rule.

After each seed, from the third on, every candidate is compared with the one that leads and with the default, pair by
pair. It is dropped where it lies behind by more than `t(1 − e, df) · sd / √n`. The sd is that of the differences of
this pair, or that expected of a pair from the scatter of all who still race, whichever is larger. After n seeds,
`e = 5 % · 2 / (n (n − 1)) / candidates`: over n = 3, 4, … and all candidates that adds up to 5 %. The one that
leads stays.

Whoever failed on a seed where the default did not can no longer be called better, is dropped at once, and nobody counts
as behind it any more: the race is read again without it, and those that were dropped behind it may return.

Results are read in the order of their seeds, so the number of slots or an interruption changes no decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hypevo.retraining.verdict import ERROR, Dropped, quantile

Scores = Mapping[str, Mapping[int, float | None]]  # by a candidate's key and by seed; None where it failed

_DEFAULT = "the default"
FIRST = 3  # seeds before the first comparison


@dataclass(frozen=True)
class Standings:
    """How a race stands.

    Attributes:
        racing: Keys of the candidates that are still in it.
        dropped: Why the others are out, by key.
        complete: Seeds that all who were in the race then have a result for, counted from the first one.
    """

    racing: tuple[str, ...]
    dropped: Mapping[str, Dropped]
    complete: int

    def counted(self, scores: Scores) -> Scores:
        """The results without those that came too late to count: of who is dropped, the ones behind the decision."""
        return {
            key: {seed: of[seed] for seed in sorted(of)[: self.dropped[key].seeds]}
            if key in self.dropped
            else of
            for key, of in scores.items()
        }


class Rule(Protocol):
    """Decides who is trained further."""

    @property
    def names(self) -> Mapping[str, str]:
        """Of all candidates, by key."""

    @property
    def default(self) -> str:
        """The key of what they are compared with."""

    @property
    def seeds(self) -> Sequence[int]:
        """All of them, in order."""

    def standings(self, scores: Scores) -> Standings:
        """What the results that are there decide."""


@dataclass(frozen=True)
class Race:
    """Who races, and over what.

    Attributes:
        names: Of the candidates, by key, without the default.
        default: The default's key.
        seeds: All of them, in order.
    """

    names: Mapping[str, str]
    default: str
    seeds: Sequence[int]

    def standings(self, scores: Scores) -> Standings:
        """How the race stands by the results that are there. One candidate alone is in no race."""
        if len(self.names) < 2:
            return Standings(tuple(self.names), {}, 0)
        failed: dict[str, Dropped] = {}
        while True:
            standings, more = self._replayed(scores, failed)
            if not more:
                return standings
            failed |= more

    def _replayed(
        self, scores: Scores, failed: Mapping[str, Dropped]
    ) -> tuple[Standings, dict[str, Dropped]]:
        """The race without those known to fail, up to the seed at which more do: those are returned."""
        racing = [key for key in self.names if key not in failed]
        dropped, complete = dict(failed), 0
        for seed in self.seeds:
            if not racing or any(seed not in scores.get(key, {}) for key in (*racing, self.default)):
                break
            complete += 1
            if scores[self.default][seed] is not None:
                more = [key for key in racing if scores[key][seed] is None]
                if more:
                    return Standings((), {}, 0), {key: Dropped(complete, _DEFAULT) for key in more}
            if complete < len(self.seeds):  # else there is nothing to save
                out = self._behind(racing, scores, self.seeds[:complete])
                racing = [key for key in racing if key not in out]
                dropped |= out
        return Standings(tuple(racing), dropped, complete), {}

    def _behind(self, racing: Sequence[str], scores: Scores, seeds: Sequence[int]) -> dict[str, Dropped]:
        """Who is out after these seeds, on which all of them have a fitness where the default has one."""
        out: dict[str, Dropped] = {}
        valid = [seed for seed in seeds if scores[self.default][seed] is not None]
        if len(racing) < 2 or len(valid) < FIRST:
            return out
        table = np.array(
            [[scores[key][seed] for seed in valid] for key in (*racing, self.default)], np.float64
        )
        error = ERROR * (FIRST - 1) / (len(seeds) * (len(seeds) - 1)) / len(self.names)
        leader = int(table[:-1].mean(1).argmax())
        least = _least_gaps(table, error)
        for row, key in enumerate(racing):
            ahead = max((leader, len(racing)), key=least[:, row].__getitem__)
            if row != leader and least[ahead, row] > 0:
                name = _DEFAULT if ahead == len(racing) else self.names[racing[ahead]]
                gap = float((table[ahead] - table[row]).mean())
                out[key] = Dropped(len(seeds), name, gap, float(least[ahead, row]))
        return out


def _least_gaps(table: NDArray[np.float64], error: float) -> NDArray[np.float64]:
    """How far each row lies above each other one at least, (rows, rows); below 0 where that is not shown.

    Args:
        table: Fitness, (rows, seeds), three seeds or more.
        error: Probability that one of them is too large.
    """
    rows, seeds = table.shape
    rest = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    freedom = (rows - 1) * (seeds - 1)
    differences = table[:, None] - table  # (rows, rows, seeds)
    variance = np.maximum(2 * (rest**2).sum() / freedom, differences.var(2, ddof=1))
    found: NDArray[np.float64] = differences.mean(2) - quantile(error, freedom) * np.sqrt(variance / seeds)
    return found
