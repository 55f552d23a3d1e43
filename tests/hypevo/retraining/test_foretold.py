"""What a confirmation says it can detect is detected as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from hypevo.retraining.foretold import POWER, Scatter, detectable, foretell, seeds_for
from hypevo.retraining.verdict import judge


@pytest.mark.parametrize("seeds", [3, 5, 12])
def test_a_gain_of_that_size_is_found_in_four_of_five_confirmations(seeds):
    """2,000 confirmations: sd 0.9 %."""
    rng = np.random.default_rng(seeds)
    gain = detectable(seeds, 0.01, 0.025)
    found = sum(
        judge("c", dict(enumerate(row)), dict.fromkeys(range(seeds), 0.0), error=0.025).wins
        for row in rng.normal(gain, 0.01, (2000, seeds))
    )
    assert found / 2000 == pytest.approx(POWER, abs=0.03)


def test_the_number_of_seeds_is_the_smallest_that_detects_the_gain():
    needed = seeds_for(0.012, 0.01, 0.025)
    assert needed is not None
    assert detectable(needed, 0.01, 0.025) <= 0.012 < detectable(needed - 1, 0.01, 0.025)
    assert seeds_for(1e-6, 0.01, 0.025) is None
    assert seeds_for(0.01, 0.0, 0.025) == 2


def test_it_is_said_with_what_it_assumes_and_an_unknown_noise_is_said():
    said = foretell(5, Scatter(0.01, "assumed: so"), 0.025)
    assert said.startswith("5 seeds detect a gain of 0.02")
    assert said.endswith("(--seeds 12); assumed: so")
    assert "is not known yet" in foretell(5, None, 0.025)
