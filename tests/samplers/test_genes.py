from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from samplers._genes import Genes

SPACE: dict[str, BaseDistribution] = {
    "float": FloatDistribution(-1.5, 2.5),
    "float_log": FloatDistribution(1e-7, 10.0, log=True),
    "float_step": FloatDistribution(-10.2, 10.3, step=0.1),
    "float_coarse": FloatDistribution(0.0, 0.9, step=0.3),
    "int": IntDistribution(-3, 10),
    "int_step": IntDistribution(1, 9, step=2),
    "int_log": IntDistribution(1, 1000, log=True),
    "categorical": CategoricalDistribution(("a", None, 3, 0.5)),
}


@given(arrays(float, len(SPACE), elements=st.floats(-1e9, 1e9)))
def test_snapped_vectors_are_always_in_the_space(vector: np.ndarray) -> None:
    genes = Genes.of(SPACE)
    for name, value in genes.decode(genes.snap(vector)).items():
        assert SPACE[name]._contains(SPACE[name].to_internal_repr(value)), name


@given(arrays(float, len(SPACE), elements=st.floats(-20, 20)))
def test_individuals_survive_encoding(vector: np.ndarray) -> None:
    genes = Genes.of(SPACE)
    snapped = genes.snap(vector)
    assert genes.encode(genes.decode(snapped)).tolist() == snapped.tolist()


def test_decoded_values_are_python_numbers() -> None:
    genes = Genes.of(SPACE)
    params = genes.decode(genes.snap(np.full(len(SPACE), 2.0)))
    assert [type(value) for value in params.values()] == [float, float, float, float, int, int, int, int]


def test_settling_leaves_decimals_and_makes_integers_whole() -> None:
    genes = Genes.of({"decimal": FloatDistribution(0.0, 1.0, step=0.1), "whole": IntDistribution(1, 100)})
    settled = genes.settle(np.array([0.3, np.nextafter(3.0, 0.0)]))
    assert genes.decode(settled) == {"decimal": 0.3, "whole": 3}


def test_unknown_kind_of_distribution_is_refused() -> None:
    class Strange(BaseDistribution):
        def to_external_repr(self, param_value_in_internal_repr: float) -> float:
            return param_value_in_internal_repr

        def to_internal_repr(self, param_value_in_external_repr: float) -> float:
            return param_value_in_external_repr

        def single(self) -> bool:
            return False

        def _contains(self, param_value_in_internal_repr: float) -> bool:
            return True

    with pytest.raises(ValueError, match="expected a float, int or categorical distribution"):
        Genes.of({"x": Strange()})
