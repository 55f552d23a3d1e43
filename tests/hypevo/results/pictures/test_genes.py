"""evolve.png: what its axes show."""

import math

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hypevo.problem.space import Gene, Space
from hypevo.results.evolve_csv import Row
from hypevo.results.pictures.genes import decades, evolve_figure
from hypevo.results.pictures.marks import Marks

SPACE = Space([*(Gene(f"g{i}", 0.0, 1.0) for i in range(6)), Gene("frozen", 0.0, 1.0, gain=0.0)])
MOVABLE = [gene.name for gene in SPACE.movable]


def evolution(size: int, seed: int = 0) -> list[Row]:
    rng = np.random.default_rng(seed)
    return [
        Row(i, {}, {**{name: float(rng.uniform()) for name in MOVABLE}, "frozen": 0.5}, 0.3 + i / size / 10)
        for i in range(size)
    ]


def points(axes: Axes, label: str = "trials") -> np.ndarray:
    found = [one for one in axes.collections if one.get_label() == label]
    return np.asarray(found[0].get_offsets()) if found else np.empty((0, 2))


def line(axes: Axes, label: str):
    (found,) = (line for line in axes.lines if line.get_label() == label)
    return found


def genes(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_label() != "age"]


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def test_one_subplot_per_searched_gene_five_a_row_titled_with_the_best_value() -> None:
    rows = evolution(10)
    figure = evolve_figure(rows, SPACE)
    assert [axes.get_title("left") for axes in genes(figure)] == [
        f"{name}  {rows[-1].hyp[name]:.3g}" for name in MOVABLE
    ]
    grids = [axes.get_subplotspec() for axes in genes(figure)]
    assert [(grid.rowspan.start, grid.colspan.start) for grid in grids if grid] == [
        (0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0),
    ]  # fmt: skip


def test_every_generation_is_a_dot_at_its_value_and_fitness() -> None:
    rows = evolution(10)
    for axes, name in zip(genes(evolve_figure(rows, SPACE)), MOVABLE, strict=True):
        np.testing.assert_array_equal(points(axes), [(row.hyp[name], row.fitness) for row in rows])


def test_the_colour_of_a_dot_is_its_age() -> None:
    (dots,) = (
        one for one in genes(evolve_figure(evolution(5), SPACE))[0].collections if one.get_label() == "trials"
    )
    np.testing.assert_allclose(np.asarray(dots.get_array()), [0, 0.25, 0.5, 0.75, 1])


def test_the_best_is_a_star_and_the_default_a_diamond() -> None:
    rows = evolution(10)
    marks = Marks(default=0.3, hyp=rows[0].hyp)
    for axes, name in zip(genes(evolve_figure(rows, SPACE, marks)), MOVABLE, strict=True):
        assert line(axes, "best").get_xydata().tolist() == [[rows[-1].hyp[name], rows[-1].fitness]]
        assert line(axes, "default").get_xydata().tolist() == [[rows[0].hyp[name], 0.3]]
        assert axes.get_title("left") == f"{name}  {rows[0].hyp[name]:.3g} → {rows[-1].hyp[name]:.3g}"


def test_default_noise_and_untouched_weights_are_marked_in_every_plot_and_named_once() -> None:
    marks = Marks(default=0.31, untouched=0.33, band=(0.30, 0.32))
    figure = evolve_figure(evolution(10), SPACE, marks)
    for axes in genes(figure):
        assert list(line(axes, "start").get_ydata()) == [0.31, 0.31]
        assert list(line(axes, "untouched").get_ydata()) == [0.33, 0.33]
        (band,) = (patch for patch in axes.patches if patch.get_label() == "noise")
        assert band.get_extents().transformed(axes.transData.inverted()).bounds[1] == pytest.approx(0.30)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "best 0.39", "default 0.31", "default ± 2 sd of its seeds", "untouched weights 0.33",
    ]  # fmt: skip


def test_frozen_genes_are_left_out_and_listed() -> None:
    assert "Not searched: frozen 0.5" in words(evolve_figure(evolution(10), SPACE))


def test_without_a_space_a_gene_that_never_moved_counts_as_frozen() -> None:
    figure = evolve_figure(evolution(10))
    assert len(genes(figure)) == 6
    assert "Not searched: frozen 0.5" in words(figure)


def test_of_a_single_row_without_a_space_every_gene_is_drawn() -> None:
    assert len(genes(evolve_figure(evolution(1)))) == 7


def test_a_study_that_moves_nothing_still_has_its_headline() -> None:
    figure = evolve_figure(evolution(2), SPACE.freeze(SPACE), Marks(title="s"))
    assert genes(figure) == []
    assert "s · best 0.35 in trial 1" in words(figure)


def test_the_axis_is_logarithmic_where_the_search_is() -> None:
    space = Space([Gene("asked", 1.0, 2.0, log=True), Gene("wide", 0.01, 0.1), Gene("narrow", 0.5, 1.0),
                   Gene("from_zero", 0.0, 1.0), Gene("whole", 1, 64, type="int")])  # fmt: skip
    rows = [
        Row(i, {}, {"asked": 1.5, "wide": 0.05, "narrow": 0.6, "from_zero": 0.5, "whole": 8}, i)
        for i in range(3)
    ]
    assert [axes.get_xscale() for axes in genes(evolve_figure(rows, space))] == [
        "log", "log", "linear", "linear", "linear",
    ]  # fmt: skip


def test_bounds_are_in_sight_and_so_is_a_value_outside_of_them() -> None:
    space = Space([Gene("g", 0.2, 0.8)])
    (axes,) = genes(evolve_figure([Row(0, {}, {"g": 0.95}, 0.1), Row(1, {}, {"g": 0.5}, 0.2)], space))
    assert [line.get_xdata()[0] for line in axes.lines if line.get_label() == "bound"] == [0.2, 0.8]
    left, right = axes.get_xlim()
    assert left < 0.2
    assert right > 0.95


def test_a_gene_of_words_has_its_choices_on_the_axis_and_its_dots_near_them() -> None:
    space = Space([Gene("act", 0, 2, type="categorical", choices=("relu", "tanh", "gelu"))])
    rows = [Row(i, {}, {"act": ("tanh", "relu")[i % 2]}, i) for i in range(4)]
    (axes,) = genes(evolve_figure(rows, space))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["relu", "tanh", "gelu"]
    assert np.round(points(axes)[:, 0]).tolist() == [1, 0, 1, 0]


def test_a_collapsed_training_is_a_triangle_at_the_edge_and_counted() -> None:
    rows = [*evolution(20), Row(20, {}, dict.fromkeys(SPACE, 0.5), 0.0)]
    figure = evolve_figure(rows, SPACE)
    axes = genes(figure)[0]
    ((x, y),) = points(axes, "below")
    assert x == 0.5
    assert axes.get_ylim()[0] < y < 0.3
    assert len(points(axes)) == 20
    assert "1 trial with a fitness below" in words(figure)


def test_only_the_first_column_labels_its_ticks_and_axis() -> None:
    figure = evolve_figure(evolution(10), SPACE)
    figure.draw_without_rendering()
    for position, axes in enumerate(genes(figure)):
        labelled = any(label.get_visible() and label.get_text() for label in axes.get_yticklabels())
        assert labelled == (position % 5 == 0)
        assert axes.get_ylabel() == ("fitness" if position % 5 == 0 else "")


def test_individuals_without_fitness_are_left_out() -> None:
    rows = [*evolution(5), Row(5, {}, dict.fromkeys(SPACE, 0.5), math.nan)]
    assert len(points(genes(evolve_figure(rows, SPACE))[0])) == 5
    with pytest.raises(ValueError, match="expected a row with a finite fitness; 1 rows have none"):
        evolve_figure(rows[5:], SPACE)


def test_rows_without_a_gene_have_no_dot_in_its_subplot() -> None:
    rows = evolution(5)
    rows[0] = Row(0, {}, {"g0": 0.5}, 0.3)
    first, second = genes(evolve_figure(rows, SPACE))[:2]
    assert len(points(first)) == 5
    assert len(points(second)) == 4


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-5, 0.1, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
        (0.02, 0.2, [0.02, 0.05, 0.1, 0.2]),
        (0.9e-10, 1.1, [1e-10, 1e-7, 1e-4, 1e-1]),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_few_and_round(low: float, high: float, ticks: list[float]) -> None:
    assert decades(low, high) == ticks
