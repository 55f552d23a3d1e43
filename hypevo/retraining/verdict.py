"""What fresh seeds say of a candidate against the default: better, worse, no difference shown, or nothing yet.

The best of many noisy results is lucky as well as good, so its own fitness says too much. Each candidate is trained
with the same fresh seeds as the default, and the paired differences decide: mean ± half-width of a Student-t interval.

Who looks, adds seeds and looks again has more than one chance to be fooled. The rule that keeps wrong verdicts at 5 %
for all looks and all candidates together: the first look may be wrong in 2.5 % of cases, each further one in half as
many as the one before (2.5 + 1.25 + … = 5), and within a look the candidates share its part equally (Bonferroni).
Where the weights are known that the trainings start from, each candidate is compared with these too, that is with not
training at all: a fifth of its part goes there, since such differences are seldom small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from statistics import fmean, stdev
from typing import Any

from hypevo.study.attributes import BETTER, HARMFUL, UNDECIDED

ERROR = 0.05  # of all verdicts of a confirmation together
UNTOUCHED_SHARE = 0.2  # of a candidate's part of the error, for the comparison with the untouched weights
_WORDS = {
    1: "better than not training at all",
    -1: HARMFUL,
    0: "no difference from not training at all shown",
}


@dataclass(frozen=True)
class Dropped:
    """Why a candidate is out of a race.

    Attributes:
        seeds: After how many.
        behind: Behind whom, or who has not failed where it did.
        gap: Mean paired difference to that one; None when it failed.
        least: How large it is at least.
    """

    seeds: int
    behind: str
    gap: float | None = None
    least: float | None = None

    def __str__(self) -> str:
        """When and why."""
        why = f"it failed where {self.behind} did not"
        if self.gap is not None:
            why = f"{self.gap:.4f} behind {self.behind}, at least {self.least:.4f}"
        return f"dropped after {self.seeds} seed{'' if self.seeds == 1 else 's'}: {why}"


@dataclass(frozen=True)
class Verdict:
    """What the fresh seeds say of one candidate.

    Attributes:
        candidate: «trial 12» or «recommended».
        gain: Mean paired difference of fitness, candidate minus default; nan when there are no two pairs.
        half_width: Of its interval.
        pairs: Seeds on which both have a fitness.
        failures: Seeds on which the candidate failed and the default did not.
        search_fitness: What the search had seen; nan for the recommended one, which it had not trained.
        fitness: Mean over the pairs.
        default_fitness: Mean of the default over the pairs.
        same: Whether the candidate is the default itself.
        scatter: Standard deviation of the paired differences; nan when there are no two pairs.
        untouched: Fitness of the weights before any training; nan when it is not known.
        untouched_gain: Mean of the candidate over all seeds on which it has a fitness, minus that.
        untouched_half_width: Of its interval.
        dropped: Why it was dropped in a race, from whose results until then all above are; None when it was not.
    """

    candidate: str
    gain: float
    half_width: float
    pairs: int
    failures: int = 0
    search_fitness: float = math.nan
    fitness: float = math.nan
    default_fitness: float = math.nan
    same: bool = False
    scatter: float = math.nan
    untouched: float = math.nan
    untouched_gain: float = math.nan
    untouched_half_width: float = math.inf
    dropped: Dropped | None = None

    @property
    def judged(self) -> bool:
        """Whether enough trainings succeeded to say anything."""
        return self.same or self.dropped is not None or self.pairs >= 2 or self.failures > 0

    @property
    def wins(self) -> bool:
        """Whether the whole interval lies above zero, and the candidate never failed where the default did not."""
        decided = not self.same and self.dropped is None and self.pairs >= 2
        return decided and self.failures == 0 and self.gain - self.half_width > 0

    @property
    def loses(self) -> bool:
        """Whether the whole interval lies below zero."""
        decided = not self.same and self.dropped is None and self.pairs >= 2
        return decided and self.gain + self.half_width < 0

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        if not self.judged:
            return UNDECIDED
        if self.same:
            return "the default itself"
        if self.dropped is not None:
            return "dropped"
        if self.wins:
            return BETTER
        if self.loses:
            return "worse"
        return "not better: it failed" if self.failures else "no difference shown"

    @property
    def over_untouched(self) -> int | None:
        """Against not training at all: 1 for better, -1 for worse, 0 when neither is shown; None when not known."""
        if math.isnan(self.untouched_gain):
            return None
        if abs(self.untouched_gain) <= self.untouched_half_width:
            return 0
        return 1 if self.untouched_gain > 0 else -1

    @property
    def untouched_words(self) -> str:
        """The verdict against not training at all, with its numbers; empty when it is not known."""
        if self.over_untouched is None:
            return ""
        numbers = f"{self.untouched_gain:+.4f} ± {self.untouched_half_width:.4f}"
        return f"{_WORDS[self.over_untouched]}: {numbers} (untouched {self.untouched:.4f})"

    def to_dict(self) -> dict[str, Any]:
        """The verdict for JSON, which knows no nan: null stands for it."""
        values = {**asdict(self), "verdict": self.word, "wins": self.wins}
        values["over_untouched"] = None if self.over_untouched is None else _WORDS[self.over_untouched]
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}

    def __str__(self) -> str:
        """The verdict in a sentence."""
        return "; ".join(filter(None, (self._against_default(), self.untouched_words)))

    def _against_default(self) -> str:
        if self.same:
            return f"{self.candidate}: the same hyperparameters as the default; there is nothing to compare"
        if self.dropped is not None:
            return f"{self.candidate}: {self.dropped}"
        if not self.judged:
            return (
                f"{self.candidate}: {UNDECIDED}: expected a result of it and of the default for 2 seeds or more, "
                f"got {self.pairs}"
            )
        numbers = f"{self.gain:+.4f} ± {self.half_width:.4f} over {self.pairs} seeds"
        failed = (
            f"failed on {self.failures} {'seed' if self.failures == 1 else 'seeds'} where the default did not"
        )
        if self.pairs < 2:
            return f"{self.candidate}: not better: it {failed}"
        means = f"fitness {self.fitness:.4f}, default {self.default_fitness:.4f}"
        if self.failures and not self.loses:
            return f"{self.candidate}: not better: it {failed}; elsewhere {numbers} ({means})"
        also = f"; {failed}" if self.failures else ""
        sentence = {BETTER: "better than the default", "worse": "worse than the default"}.get(
            self.word, self.word
        )
        return f"{self.candidate}: {sentence}: {numbers} ({means}){also}"


def judge(
    candidate: str,
    fitness: Mapping[int, float | None],
    default: Mapping[int, float | None],
    *,
    error: float,
    search_fitness: float = math.nan,
    untouched: float = math.nan,
) -> Verdict:
    """Compare a candidate with the default, and with not training at all.

    Args:
        candidate: Its name.
        fitness: By seed; None where the training failed. Seeds that were not trained are absent.
        default: The same of the default.
        error: Probability of a wrong verdict that the candidate may have, in both comparisons together.
        search_fitness: What the search had seen.
        untouched: Fitness of the weights before any training; nan when it is not known, then the default gets it all.
    """
    against_default, against_untouched = shares(error, untouched_known=not math.isnan(untouched))
    scores = [value for value in fitness.values() if value is not None]
    above, beside = math.nan, math.inf
    if not math.isnan(untouched) and len(scores) >= 2:
        above, beside = paired_interval([value - untouched for value in scores], against_untouched)
    known = {seed: value for seed, value in default.items() if value is not None}
    pairs = [(value, known[seed]) for seed, value in fitness.items() if value is not None and seed in known]
    failures = sum(value is None and seed in known for seed, value in fitness.items())
    if len(pairs) < 2:
        return Verdict(
            candidate, math.nan, math.inf, len(pairs), failures, search_fitness,
            untouched=untouched, untouched_gain=above, untouched_half_width=beside,
        )  # fmt: skip
    differences = [mine - theirs for mine, theirs in pairs]
    gain, half_width = paired_interval(differences, against_default)
    return Verdict(
        candidate, gain, half_width, len(pairs), failures, search_fitness,
        fmean(mine for mine, _ in pairs), fmean(theirs for _, theirs in pairs), scatter=stdev(differences),
        untouched=untouched, untouched_gain=above, untouched_half_width=beside,
    )  # fmt: skip


def shares(error: float, *, untouched_known: bool) -> tuple[float, float]:
    """How a candidate's part of the error is shared: against the default, and against the untouched weights."""
    part = UNTOUCHED_SHARE * error if untouched_known else 0.0
    return error - part, part


def paired_interval(differences: Sequence[float], error: float = ERROR) -> tuple[float, float]:
    """Mean and half-width of a two-sided Student-t interval.

    Args:
        differences: One per seed, at least two.
        error: Probability that the interval misses the true mean.
    """
    n = len(differences)
    return fmean(differences), quantile(error / 2, n - 1) * stdev(differences) / math.sqrt(n)


@cache
def quantile(error: float, freedom: int) -> float:
    """What Student's t exceeds with this probability."""
    from scipy.stats import t as student  # half a second

    return float(student.ppf(1 - error, freedom))


def error_of_look(look: int) -> float:
    """Probability of a wrong verdict that the `look`-th look, counted from 1, may have; all looks sum to `ERROR`."""
    return ERROR / 2.0**look
