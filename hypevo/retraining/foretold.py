"""How large a gain so many seeds can detect, and how many seeds a gain needs: the power of a confirmation.

«Detect» is: the paired interval of the verdict lies above zero with a probability of `POWER`, if the true gain is that
large and the paired differences are normal with the standard deviation that is given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

POWER = 0.8
_MOST = 1000  # seeds; nobody trains more


@dataclass(frozen=True)
class Scatter:
    """Standard deviation of the paired differences, and where it is known from, in words."""

    value: float
    source: str


def detectable(seeds: int, scatter: float, error: float) -> float:
    """The smallest true gain that so many pairs detect.

    Args:
        seeds: Pairs, at least two.
        scatter: Standard deviation of the paired differences.
        error: Probability of a wrong verdict, of both sides together.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct
    from scipy.stats import t as student

    if scatter == 0:
        return 0.0
    least = float(student.ppf(1 - error / 2, seeds - 1))
    shift = brentq(lambda shift: float(nct.sf(least, seeds - 1, shift)) - POWER, 0, 10 * least)
    return float(shift) * scatter / math.sqrt(seeds)


def seeds_for(gain: float, scatter: float, error: float) -> int | None:
    """The fewest pairs that detect a gain; None if even a thousand don't."""
    if not detectable(_MOST, scatter, error) <= gain:
        return None
    too_few, enough = 1, _MOST
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (
            (too_few, middle) if detectable(middle, scatter, error) <= gain else (middle, enough)
        )
    return enough


def foretell(seeds: int, scatter: Scatter | None, error: float) -> str:
    """What so many seeds can detect, and what more of them could, in a sentence."""
    if scatter is None:
        return (
            f"how large a gain {seeds} seeds can show is not known yet: the noise of these trainings is not; "
            f"this confirmation will tell"
        )
    more = 12 if seeds < 12 else 2 * seeds
    mine, theirs = (detectable(number, scatter.value, error) for number in (seeds, more))
    return (
        f"{seeds} seeds detect a gain of {mine:.4f} with probability {POWER:g}, {more} one of {theirs:.4f} "
        f"(--seeds {more}); {scatter.source}"
    )
