"""evolve.png: what its axes show."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from PIL import Image

from hypevo.problem.space import Gene, Space
from hypevo.protocol import WorkError
from hypevo.results.evolve_csv import Row
from hypevo.results.plots import crowding, evolve_figure, plot_evolve, plot_pr_curve, pr_figure

SPACE = Space([*(Gene(f"g{i}", 0.0, 1.0) for i in range(6)), Gene("frozen", 0.0, 1.0, gain=0.0)])


def evolution(size: int, seed: int = 0) -> list[Row]:
    rng = np.random.default_rng(seed)
    return [
        Row(
            i,
            {},
            {**{name: float(rng.uniform()) for name in SPACE if name != "frozen"}, "frozen": 0.5},
            i / size,
        )
        for i in range(size)
    ]


def dots(axes: Axes) -> PathCollection:
    (found,) = (child for child in axes.collections if isinstance(child, PathCollection))
    return found


def test_one_subplot_per_gene_five_a_row_titled_with_the_best_value() -> None:
    rows = evolution(10)
    figure = evolve_figure(rows, SPACE)
    assert [axes.get_title() for axes in figure.axes] == [
        f"{name} = {value:.3g}" for name, value in rows[-1].hyp.items()
    ]
    grids = [axes.get_subplotspec() for axes in figure.axes]
    assert [(grid.rowspan.start, grid.colspan.start) for grid in grids if grid] == [
        (0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1),
    ]  # fmt: skip


def test_every_generation_is_a_dot_at_its_value_and_fitness() -> None:
    rows = evolution(10)
    for axes, name in zip(evolve_figure(rows, SPACE).axes, SPACE, strict=True):
        expected = [(row.hyp[name], row.fitness) for row in rows]
        np.testing.assert_array_equal(np.asarray(dots(axes).get_offsets()), expected)


def test_the_best_is_a_black_plus() -> None:
    rows = evolution(10)
    for axes, name in zip(evolve_figure(rows, SPACE).axes, SPACE, strict=True):
        (cross,) = (line for line in axes.lines if line.get_marker() == "+")
        assert cross.get_color() == "k"
        assert (list(cross.get_xdata()), list(cross.get_ydata())) == (
            [rows[-1].hyp[name]],
            [rows[-1].fitness],
        )


def upright_lines(figure: Figure) -> dict[str, list[float]]:
    return {
        axes.get_title().split(" = ")[0]: [
            float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 2
        ]
        for axes in figure.axes
    }


def test_a_frozen_gene_is_a_vertical_line() -> None:
    lines = upright_lines(evolve_figure(evolution(10), SPACE))
    assert lines.pop("frozen") == [0.5]
    assert set(map(tuple, lines.values())) == {()}


def test_without_a_space_a_gene_that_never_moved_counts_as_frozen() -> None:
    lines = upright_lines(evolve_figure(evolution(10)))
    assert [name for name, at in lines.items() if at] == ["frozen"]


def test_only_the_first_column_labels_its_ticks_and_axis() -> None:
    figure = evolve_figure(evolution(10), SPACE)
    figure.draw_without_rendering()
    for position, axes in enumerate(figure.axes):
        labelled = any(label.get_visible() and label.get_text() for label in axes.get_yticklabels())
        assert labelled == (position % 5 == 0)
        assert axes.get_ylabel() == ("fitness" if position % 5 == 0 else "")


def test_a_single_generation_is_drawn_dark() -> None:
    rows = evolution(1)
    for axes in evolve_figure(rows, SPACE).axes:
        assert len(np.asarray(dots(axes).get_offsets())) == 1
        low, high = dots(axes).get_clim()
        assert low == 0.0
        assert high is not None
        assert high > 0.0


def test_individuals_without_fitness_are_left_out() -> None:
    rows = [*evolution(5), Row(5, {}, dict.fromkeys(SPACE, 0.5), math.nan)]
    assert len(np.asarray(dots(evolve_figure(rows, SPACE).axes[0]).get_offsets())) == 5
    with pytest.raises(ValueError, match="expected a row with a finite fitness; 1 rows have none"):
        evolve_figure(rows[5:], SPACE)


def test_rows_without_a_gene_have_no_dot_in_its_subplot() -> None:
    rows = evolution(5)
    rows[0] = Row(0, {}, {"g0": 0.5}, 0.0)
    first, second = evolve_figure(rows, SPACE).axes[:2]
    assert len(np.asarray(dots(first).get_offsets())) == 5
    assert len(np.asarray(dots(second).get_offsets())) == 4


def test_crowding_is_the_log_count_of_the_cell() -> None:
    # 20 edges over 0 to 19 make unit cells; the last edge belongs to the last cell.
    x = np.array([0.0, 0.9, 1.0, 18.5, 19.0, 19.0])
    y = np.array([0.0, 0.9, 0.9, 19.0, 19.0, 0.0])
    np.testing.assert_allclose(np.exp(crowding(x, y)), [2, 2, 1, 2, 2, 1])


def test_crowding_agrees_with_a_histogram() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=500), rng.normal(size=500)
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=19)
    columns = np.clip(np.digitize(x, x_edges) - 1, 0, 18)
    lines = np.clip(np.digitize(y, y_edges) - 1, 0, 18)
    np.testing.assert_allclose(np.exp(crowding(x, y)), counts[columns, lines])


def test_crowding_of_a_gene_without_range_counts_along_fitness_alone() -> None:
    np.testing.assert_allclose(np.exp(crowding(np.full(3, 0.5), np.array([0.0, 0.0, 1.0]))), [2, 2, 1])
    np.testing.assert_allclose(np.exp(crowding(np.full(4, 0.5), np.full(4, 1.0))), 4)


def test_the_picture_is_a_png_whatever_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "evolve.png"
    path.write_text("torn")
    plot_evolve(path, evolution(3), SPACE)
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.width > picture.height
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_format_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="xyz"):
        plot_evolve(tmp_path / "evolve.xyz", evolution(2), SPACE)
    assert list(tmp_path.iterdir()) == []


def test_importing_the_door_does_not_open_it() -> None:
    code = "import sys, hypevo.results.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pr_curve_has_a_line_for_each_class_and_the_mean():
    values = np.column_stack([np.linspace(0, 1, 101)] + [np.linspace(1, 0, 101)] * 3)
    (axes,) = pr_figure(["cat", "dog"], values).axes
    assert [line.get_label() for line in axes.lines] == ["cat", "dog", "all classes"]
    assert all(len(line.get_xdata()) == 101 for line in axes.lines)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("recall", "precision")


def test_pr_curve_of_many_classes_names_the_mean_only():
    values = np.zeros((101, 82))
    (axes,) = pr_figure([str(index) for index in range(80)], values).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["all classes"]


def test_a_table_of_something_else_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("epoch,loss\n0,1\n")
    with pytest.raises(ValueError, match="expected the columns recall, mean"):
        plot_pr_curve(tmp_path / "t.csv", tmp_path / "t.png")


def test_a_picture_of_a_study_that_was_taken_over_meanwhile_is_not_written(tmp_path):
    def taken_over():
        raise WorkError("another driver took the study over")

    with pytest.raises(WorkError):
        plot_evolve(tmp_path / "evolve.png", evolution(3), SPACE, taken_over)
    assert list(tmp_path.iterdir()) == []
