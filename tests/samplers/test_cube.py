from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from samplers._cube import Cube
from samplers._genes import Genes

SPACE: dict[str, BaseDistribution] = {
    "linear": FloatDistribution(-1.0, 3.0),
    "log": FloatDistribution(1e-6, 1.0, log=True),
    "wide": FloatDistribution(0.01, 1.0),
    "stepped": FloatDistribution(0.0, 1.0, step=0.25),
    "int": IntDistribution(0, 10),
    "choice": CategoricalDistribution("abc"),
}


def cube_of(space: dict[str, BaseDistribution]) -> Cube:
    return Cube.of(Genes.of(space))


def test_bounds_are_the_corners_and_middles_are_halfway() -> None:
    cube = cube_of(SPACE)
    vectors = np.array([[-1, 1e-6, 0.01, 0, 0, 0], [3, 1, 1, 1, 10, 2], [1, 1e-3, 0.1, 0.5, 5, 1]])
    expected = np.array([[0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 2], [0.5, 0.5, 0.5, 0.5, 0.5, 1]])
    assert cube.scale(vectors) == pytest.approx(expected)


def test_scaling_can_be_undone() -> None:
    cube = cube_of(SPACE)
    vectors = np.array([[0.12345, 2.5e-5, 0.3, 0.75, 7, 2], [-1, 1, 0.01, 0, 10, 0]])
    half = np.full(vectors.shape, 0.5)
    assert cube.unscale(cube.scale(vectors), half).tolist() == vectors.tolist()


def test_floats_get_five_significant_digits() -> None:
    cube = cube_of({"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(1e-6, 1.0, log=True)})
    vector = cube.unscale(np.array([0.123456789, 0.123456789]), np.full(2, 0.5))
    assert vector.tolist() == [0.12346, float(f"{1e-6 ** (1 - 0.123456789):.5g}")]


def test_a_value_between_two_steps_goes_up_as_often_as_it_is_near() -> None:
    cube = cube_of({"x": IntDistribution(0, 10)})
    fraction = np.random.default_rng(0).random((4000, 1))
    values = cube.unscale(np.full((4000, 1), 0.33), fraction)
    assert set(values.ravel()) == {3.0, 4.0}
    assert np.mean(values == 4.0) == pytest.approx(0.3, abs=0.03)  # standard error 0.007


def test_categorical_genes_have_a_feature_for_each_choice() -> None:
    cube = cube_of({"choice": CategoricalDistribution("abc"), "x": FloatDistribution(0.0, 1.0)})
    features = cube.features(np.array([[0, 0.2], [2, 0.7]]))
    assert features.tolist() == [[1, 0, 0, 0.2], [0, 0, 1, 0.7]]
    assert cube.columns().tolist() == [0, 3]
    assert cube.n_features == 4
