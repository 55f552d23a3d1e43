"""lineage.png: the line of the best."""

import pytest

from hypevo.problem.gene import Gene
from hypevo.problem.space import Space
from hypevo.results.evolve_csv import Row
from hypevo.results.pictures.lineage import line_of, lineage_figure
from hypevo.results.pictures.marks import Marks

SPACE = Space([Gene("lr", 1e-4, 1e-1, log=True), Gene("mix", 0.0, 1.0)])
VALUES = [(0.01, 0.5, 0.30), (0.02, 0.5, 0.20), (0.01, 0.6, 0.35), (0.05, 0.65, 0.40), (0.01, 0.1, 0.33)]
ROWS = [Row(number, {}, {"lr": lr, "mix": mix}, fitness) for number, (lr, mix, fitness) in enumerate(VALUES)]
MARKS = Marks(hyp=ROWS[0].hyp, parents={1: (), 2: (0, 1), 3: (1, 2), 4: (2,)})


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_the_line_goes_through_the_fittest_parent_of_each_back_to_the_default():
    figure = lineage_figure(ROWS, SPACE, MARKS)
    (axes,) = figure.axes
    (line,) = (one for one in axes.lines if one.get_label() == "line")
    assert line.get_xydata().tolist() == [[0, 0.30], [2, 0.35], [3, 0.40]]
    assert sum(one.get_label() == "other parents" for one in axes.lines) == 4
    said = words(figure)
    assert said[0] == "the line of the best, trial 3: 2 steps from the default"
    assert "0 → 2, +0.05 (and 1 other parent):  mix 0.5 → 0.6" in said
    assert "2 → 3, +0.05 (and 1 other parent):  lr 0.01 → 0.05, mix 0.6 → 0.65" in said  # the farthest first


def test_trials_that_descend_from_no_trial_descend_from_the_default_and_failed_parents_are_passed_over():
    marks = Marks(hyp=ROWS[0].hyp, parents={3: (7, 1), 1: ()})
    (axes,) = lineage_figure(ROWS, SPACE, marks).axes
    (line,) = (one for one in axes.lines if one.get_label() == "line")
    assert line.get_xdata().tolist() == [0, 1, 3]


def test_of_a_long_line_the_last_steps_are_told():
    rows = [Row(number, {}, {"lr": 0.01, "mix": number / 30}, number / 30) for number in range(30)]
    marks = Marks(hyp=rows[0].hyp, parents={number: (number - 1,) for number in range(1, 30)})
    said = words(lineage_figure(rows, SPACE, marks))
    assert "15 earlier steps …" in said
    assert sum(" → " in text for text in said) == 14


def test_equally_fit_parents_and_circles_in_a_strangers_file_end():
    assert line_of(2, {2: (1, 0), 1: (2,)}, {0: 1.0, 1: 1.0, 2: 1.0}) == [0, 2]
    assert line_of(2, {2: (1,), 1: (2,)}, {1: 1.0, 2: 1.0}) == [1, 2]


@pytest.mark.parametrize(
    ("rows", "marks", "why"),
    [
        (ROWS, Marks.of_file(ROWS, "x"), "a file does not say"),
        (ROWS[:2], MARKS, "trial 0, descends from no other trial"),
    ],
)
def test_what_has_no_line_says_why(rows, marks, why):
    with pytest.raises(ValueError, match=why):
        lineage_figure(rows, SPACE, marks)
