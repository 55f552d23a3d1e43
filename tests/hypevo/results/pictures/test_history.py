"""history.png, and the sentence above all pictures."""

import math

import numpy as np
import pytest
from matplotlib.axes import Axes

from hypevo.results.evolve_csv import Row
from hypevo.results.pictures.history import history_figure
from hypevo.results.pictures.marks import Marks, headline

ROWS = [
    Row(number, {}, {"g": 0.5}, fitness) for number, fitness in ((0, 0.30), (1, 0.29), (3, 0.33), (4, 0.32))
]

BEST = "best 0.33 in trial 3: +0.03"


def offsets(axes: Axes, label: str) -> list[list[float]]:
    (found,) = (one for one in axes.collections if one.get_label() == label)
    return np.asarray(found.get_offsets()).tolist()


def test_every_trial_is_at_its_number_and_fitness_and_failed_ones_at_the_edge() -> None:
    (axes,) = history_figure(ROWS, Marks(failed=[2, 5])).axes
    assert offsets(axes, "trials") == [[0, 0.30], [1, 0.29], [3, 0.33], [4, 0.32]]
    assert [x for x, _ in offsets(axes, "failed")] == [2, 5]
    assert axes.get_xlabel() == "trial (2 ✕ without a fitness: failed, or stopped early)"


def test_the_running_best_never_falls_and_reaches_the_last_trial() -> None:
    (axes,) = history_figure(ROWS, Marks(failed=[7])).axes
    (line,) = (line for line in axes.lines if line.get_label() == "best so far")
    assert line.get_xydata().tolist() == [[0, 0.30], [1, 0.30], [3, 0.33], [4, 0.33], [7, 0.33]]


def test_trials_that_finished_out_of_order_are_drawn_by_their_number() -> None:
    (axes,) = history_figure(ROWS[::-1]).axes
    assert offsets(axes, "trials") == [[0, 0.30], [1, 0.29], [3, 0.33], [4, 0.32]]


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(ValueError, match="expected a row with a finite fitness"):
        history_figure([Row(0, {}, {}, math.nan)])


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        (Marks(), "best 0.33 in trial 3"),
        (Marks(default=0.30), "best 0.33 in trial 3: +0.03 over the default"),
        (
            Marks(default=0.30, band=(0.28, 0.32), beside="maybe luck"),
            BEST + " over the default, maybe luck (±0.02)",
        ),
        (
            Marks(default=0.30, band=(0.26, 0.34), beside="within the noise"),
            BEST + " over the default, within the noise (±0.04)",
        ),
        (Marks(default=0.33), "best 0.33 in trial 3, no better than the default (0.33)"),
        (Marks(default=0.30, untouched=0.4),
         "best 0.33 in trial 3: +0.03 over the default; below the untouched weights (0.4)"),
        (Marks.of_file(ROWS, ""), "best 0.33 in row 3: +0.03 over the first row"),
    ],
)  # fmt: skip
def test_the_headline_says_what_is_known_and_no_more(marks: Marks, said: str) -> None:
    assert headline(ROWS, marks) == said
