"""The results of a confirmation weighed: what its trainings say of each candidate, and what they could say at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import stdev

from hypevo.retraining.candidates import Candidate, fitness_of
from hypevo.retraining.foretold import Scatter
from hypevo.retraining.verdict import Verdict, judge
from hypevo.trainings.work import Training

_ENOUGH = 3  # results from which a standard deviation is taken

Scores = Mapping[str, Mapping[int, float | None]]  # by a candidate's key and by seed; None where it failed


def scores_of(trainings: Mapping[tuple[str, int], Training]) -> Scores:
    """The fitness of each training that has ended, by the candidate's key and the seed."""
    scores: dict[str, dict[int, float | None]] = {}
    for (key, seed), training in trainings.items():
        if training.record.result is not None:
            scores.setdefault(key, {})[seed] = fitness_of(training.record)
    return scores


def weigh(
    candidates: Sequence[Candidate], default: Candidate, scores: Scores, *, error: float, untouched: float
) -> tuple[Verdict, ...]:
    """The verdict on each candidate.

    Args:
        candidates: All of them.
        default: What they are compared with.
        scores: Of all trainings.
        error: Probability of a wrong verdict that the candidates have together.
        untouched: Fitness of the weights before any training; nan when it is not known.
    """
    return tuple(
        replace(
            judge(
                one.name,
                scores.get(one.key, {}),
                scores.get(default.key, {}),
                error=error / len(candidates),
                search_fitness=one.search_fitness,
                untouched=untouched,
            ),
            same=one.key == default.key,
        )
        for one in candidates
    )


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
