"""What the race of `hypevo confirm --top k` saves, and what it costs, in units of the noise, which is normal.

A seed's own luck, which all trainings of it share, is as large as the noise. Printed: trainings with a race / without,
how often the best candidate is kept, and how often one is called better that is not (first look, so 2.5 % at most).

    python benchmarks/race.py --races 500
"""

from __future__ import annotations

import argparse

import numpy as np

from hypevo.retraining.candidates import Candidate
from hypevo.retraining.race import Race
from hypevo.retraining.verdict import error_of_look
from hypevo.retraining.weighing import weigh

GAINS = {
    "all as good as the default": (0, 0, 0, 0, 0),
    "one better by 2": (2, 0, 0, 0, 0),
    "in steps, 2 to 0": (2, 1.5, 1, 0.5, 0),
    "in steps, 4 to 0": (4, 3, 2, 1, 0),
    "one worse by 4": (1, 1, 1, 1, -4),
    "all worse by 3": (-3, -3, -3, -3, -3),
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--races", type=int, default=500)
    options = parser.parse_args()
    default = Candidate("default", {"a": 0})
    candidates = [Candidate(f"trial {number}", {"a": number}) for number in range(1, 6)]
    keys = [one.key for one in (*candidates, default)]
    print(
        "| five candidates | seeds | trainings, with / without | best kept | wrongly better |\n|---|---|---|---|---|"
    )
    for name, gains in GAINS.items():
        for seeds in (5, 8, 12, 20):
            rng = np.random.default_rng(seeds)
            race = Race({one.key: one.name for one in candidates}, default.key, range(seeds))
            trainings = kept = wrong = 0
            for _ in range(options.races):
                table = np.array([*gains, 0])[:, None] + rng.normal(size=(6, seeds)) + rng.normal(size=seeds)
                scores = {key: dict(enumerate(row)) for key, row in zip(keys, table.tolist(), strict=True)}
                dropped = race.standings(scores).dropped
                trainings += seeds * 6 - sum(seeds - one.seeds for one in dropped.values())
                kept += keys[0] not in dropped
                verdicts = weigh(
                    candidates, default, scores, error=error_of_look(1), untouched=np.nan, dropped=dropped
                )
                wrong += any(one.wins and gain <= 0 for one, gain in zip(verdicts, gains, strict=True))
            share = trainings / options.races / seeds / 6
            print(
                f"| {name} | {seeds} | {share:.2f} | {kept / options.races:.3f} | {wrong / options.races:.3f} |"
            )


if __name__ == "__main__":
    main()
