"""Whether the search ranks the candidates of a confirmation as fresh seeds do."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypevo.messages import of_hundred
from hypevo.retraining.verdict import Verdict

FEWEST = 4  # candidates; of three, every sixth order is the right one
_ALL, _DRAWN = 7, 10_000  # candidates up to which all orders are counted, and how many are drawn beyond


@dataclass(frozen=True)
class Agreement:
    """How the two rank the candidates.

    Attributes:
        spearman: Rank correlation of the search's fitness with the gain over the default with fresh seeds.
        candidates: How many the search has a fitness of, and fresh seeds a gain.
        chance: Share of all orders in which it is as high or higher: what chance alone gives.
    """

    spearman: float
    candidates: int
    chance: float

    def __str__(self) -> str:
        """In a sentence."""
        return (
            f"the search ranks the {self.candidates} candidates as fresh seeds do with Spearman {self.spearman:.2f}; "
            f"by chance alone it is as high in {of_hundred(self.chance)} of 100 cases. They are its best, so alike "
            f"that a low one says little of the whole search"
        )


def agreement(verdicts: Sequence[Verdict]) -> Agreement | None:
    """Compare them; None for fewer than four candidates, or equal ones only.

    A dropped candidate counts with the gain on the seeds that it had.
    """
    from hypevo.study.fidelity import spearman  # scipy.stats takes half a second

    known = [(one.search_fitness, one.gain) for one in verdicts]
    pairs = np.array([pair for pair in known if all(map(math.isfinite, pair))]).reshape(-1, 2)
    count = len(pairs)
    if count < FEWEST or not math.isfinite(found := float(spearman(*pairs.T))):
        return None
    if count <= _ALL:
        orders = np.array(list(itertools.permutations(range(count))))
    else:
        orders = np.random.default_rng(0).permuted(np.tile(np.arange(count), (_DRAWN, 1)), axis=1)
    as_high = spearman(pairs[:, 0], pairs[orders, 1]) >= found - 1e-9
    return Agreement(found, count, float(as_high.mean()))
