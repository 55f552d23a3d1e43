"""How a picture is written, and where the axis of fitness ends."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from hypevo.protocol import WorkError
from hypevo.results.pictures.canvas import fitness_limits, save


def wide() -> Figure:
    return Figure(figsize=(4, 2))


def test_the_picture_is_a_png_whatever_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "evolve.png"
    path.write_text("torn")
    save(path, wide)
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.width > picture.height
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_format_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="xyz"):
        save(tmp_path / "evolve.xyz", wide)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_a_study_that_was_taken_over_meanwhile_is_not_written(tmp_path: Path) -> None:
    def taken_over() -> None:
        raise WorkError("another driver took the study over")

    with pytest.raises(WorkError):
        save(tmp_path / "evolve.png", wide, taken_over)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["genes", "history", "curve", "canvas", "pairs"])
def test_importing_the_door_does_not_open_it(module: str) -> None:
    code = f"import sys, hypevo.results.pictures.{module}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_few_collapsed_trainings_do_not_press_the_others_together() -> None:
    good = np.linspace(0.30, 0.34, 40).tolist()
    low, high = fitness_limits([0.0, 0.001, *good])
    assert 0.28 < low < 0.30
    assert 0.34 < high < 0.36


def test_many_collapsed_trainings_are_the_finding_and_stay_in_sight() -> None:
    low, _ = fitness_limits([0.0] * 10 + [0.3] * 10)
    assert low < 0.0


def test_nothing_is_cut_off_above_and_what_is_marked_is_seen() -> None:
    low, high = fitness_limits([0.30, 0.31, 0.32], [0.29, 0.40])
    assert low < 0.29
    assert high > 0.40


def test_untouched_weights_far_below_do_not_press_the_trials_together() -> None:
    low, _ = fitness_limits(np.linspace(0.30, 0.34, 20).tolist(), [0.0])
    assert low > 0.25


@pytest.mark.parametrize("fitness", [[0.0], [0.3, 0.3], [-1.0]])
def test_equal_fitness_still_has_an_axis(fitness: list[float]) -> None:
    low, high = fitness_limits(fitness)
    assert low < fitness[0] < high
