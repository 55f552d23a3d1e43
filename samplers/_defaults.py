"""Checks of the defaults that a user gave: of each value against its range, and of each name against the study."""

from __future__ import annotations

import warnings
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING, Any

from optuna.distributions import CategoricalDistribution, FloatDistribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


def check_values(defaults: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> None:
    """Refuse a default that its distribution does not contain; one between two steps is no mistake.

    Raises:
        ValueError: If a default is outside its range, none of the choices, or no number.
    """
    for name in defaults.keys() & space.keys():
        value, distribution = defaults[name], space[name]
        if isinstance(distribution, CategoricalDistribution):
            inside = any(value is choice or value == choice for choice in distribution.choices)
            expected = f"one of {distribution.choices}"
        else:
            low, high = distribution.low, distribution.high  # type: ignore[attr-defined]
            inside = isinstance(value, Real) and low <= value <= high
            expected = f"a number from {low:.9g} to {high:.9g}"
        if not inside:
            raise ValueError(
                f"expected the default of {name!r} to be {expected}, got {value!r}; change the default or the range."
            )


def check_names(defaults: Mapping[str, Any], complete: FrozenTrial, trials: Iterable[FrozenTrial]) -> None:
    """Refuse a default whose name no trial of a study has, or warn of it where the space may be conditional.

    A space is only known from its trials. Where a complete one has floats alone, nothing decides about other
    parameters, and the name is a mistake; a choice or an integer may hide a parameter in a branch not yet taken.

    Args:
        defaults: By name.
        complete: A trial that has all its parameters.
        trials: All trials of its study.

    Raises:
        ValueError: If a name is unknown.
    """
    missing = defaults.keys() - complete.distributions.keys()
    if not missing:
        return
    unknown = sorted(missing.difference(*(trial.distributions for trial in trials)))
    if not unknown:
        return
    message = (
        f"expected defaults for parameters that trials have, got {', '.join(_hint(n, complete) for n in unknown)}; "
        "correct the name or leave it out."
    )
    if all(isinstance(distribution, FloatDistribution) for distribution in complete.distributions.values()):
        raise ValueError(message)
    warnings.warn(f"{message} If it belongs to a branch not yet taken, all is well.", stacklevel=2)


def _hint(name: str, trial: FrozenTrial) -> str:
    near = get_close_matches(name, trial.distributions, n=1)
    return f"{name!r} (did you mean {near[0]!r}?)" if near else repr(name)
