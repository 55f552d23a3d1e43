"""The precision-recall curve: what its axes show."""

import numpy as np
import pytest

from hypevo.results.pictures.curve import plot_pr_curve, pr_figure


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
