"""The results of a confirmation weighed: what its trainings say of each candidate, and what they could say at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import stdev

from hypevo.retraining.candidates import Candidate
from hypevo.retraining.foretold import Scatter
from hypevo.retraining.race import Scores
from hypevo.retraining.verdict import Dropped, Verdict, judge

_ENOUGH = 3  # results from which a standard deviation is taken


def weigh(
    candidates: Sequence[Candidate],
    default: Candidate,
    scores: Scores,
    *,
    error: float,
    untouched: float,
    dropped: Mapping[str, Dropped],
) -> tuple[Verdict, ...]:
    """The verdict on each candidate.

    Args:
        candidates: All of them.
        default: What they are compared with.
        scores: Of all trainings.
        error: Probability of a wrong verdict that the candidates have together, dropped ones too.
        untouched: Fitness of the weights before any training; nan when it is not known.
        dropped: Who was dropped in the race, by key; what was trained of them in vain is not in the scores.
    """

    def of(one: Candidate) -> Verdict:
        out = dropped.get(one.key)
        verdict = judge(
            one.name,
            scores.get(one.key, {}),
            scores.get(default.key, {}),
            error=error / len(candidates),
            search_fitness=one.search_fitness,
            untouched=untouched if out is None else math.nan,
        )
        if out is not None:  # when it ended was chosen by its results, so there is no interval
            verdict = replace(verdict, half_width=math.inf, dropped=out)
        return replace(verdict, same=one.key == default.key)

    return tuple(map(of, candidates))


def scatter_of(
    candidates: Sequence[Candidate], default: Candidate, scores: Scores, noise: float | None
) -> Scatter | None:
    """How much paired differences scatter: as those that are there, else as the default's noise lets expect.

    Args:
        candidates: The first one's pairs count.
        default: What it is compared with.
        scores: Of the trainings that are there.
        noise: Standard deviation of the default's fitness over seeds; None when it is not known.
    """
    mine, theirs = (scores.get(one.key, {}) for one in (candidates[0], default))
    both = [(mine[seed], theirs[seed]) for seed in mine if seed in theirs]
    pairs = [a - b for a, b in both if a is not None and b is not None]
    if len(pairs) >= _ENOUGH and candidates[0].key != default.key:
        value = stdev(pairs)
        return Scatter(value, f"as the {len(pairs)} pairs that are there scatter (sd {value:.4f})")
    if noise is None:
        return None
    return Scatter(
        math.sqrt(2) * noise,
        f"assumed: each training scatters as the default did over seeds (sd {noise:.4f}), by itself",
    )
