"""importance.png."""

from hypevo.results.evolve_csv import Row
from hypevo.results.pictures.importance import importance_figure
from hypevo.results.pictures.marks import Marks

ROWS = [Row(number, {}, {"a": 0.5, "b": 0.5}, number / 24) for number in range(24)]


def test_each_gene_has_its_bar_in_the_given_order_with_its_share():
    figure = importance_figure(ROWS, lambda: {"b": 0.75, "a": 0.247, "c": 0.003}, Marks(title="s"))
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.247, 0.003]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a", "c"]
    assert [text.get_text() for text in axes.texts] == ["75%", "25%", "<1%"]
    assert axes.get_ylim() == (2.5, -0.5)  # the first on top
    assert (
        figure.texts[0].get_text()
        == "s · in which genes the best tenth of 24 trials differs from all of them"
    )


def test_of_very_many_genes_the_last_ones_are_left_out_and_that_is_said():
    (axes,) = importance_figure(ROWS, lambda: {f"g{index}": 1 / 40 for index in range(40)}).axes
    assert len(axes.patches) == 30
    assert "10 less important genes are left out" in axes.get_xlabel()
