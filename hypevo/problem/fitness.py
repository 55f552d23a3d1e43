"""Fitness: the one number an evolution maximises, as an expression over a trainer's metrics.

    fitness = parse_fitness("0.1*mAP_0.5 + 0.9*mAP_0.5:0.95", METRICS)
    fitness({"mAP_0.5": 0.6, "mAP_0.5:0.95": 0.4})     # 0.42

What an expression may hold is described in `expression`.
"""

import importlib
import logging
import math
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hypevo.messages import first_line, place
from hypevo.problem.expression import Expression, known_as, parse_expression, value_of
from hypevo.protocol import InputError, WorkError

DEFAULT_FITNESS = "0.1*mAP_0.5 + 0.9*mAP_0.5:0.95"

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Fitness:
    """What an individual is worth: a function of its metrics.

    Attributes:
        text: The expression, or `module:function`, as the user wrote it.
        names: The metrics it reads, in order of appearance; () for a function, which does not say.
        rule: Metrics in, number out.
    """

    text: str
    names: tuple[str, ...]
    rule: Callable[[Mapping[str, float]], float]

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """Return the fitness, to be maximised.

        NaN when a metric it reads is missing or not finite, at a division by zero, and when the result is not
        finite: such an individual never wins.

        Raises:
            WorkError: A user's function raised something else, or returned something other than a number.
        """
        try:
            value = self.rule(metrics)
        except (ZeroDivisionError, OverflowError):
            return math.nan
        except (Exception, SystemExit) as error:
            raise WorkError(f"{self.text}: {_told(error)}; it got {_shown(metrics)}") from error
        try:
            result = float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise WorkError(
                f"{self.text}: expected a number; got {value!r:.100} for {_shown(metrics)}"
            ) from error
        return result if math.isfinite(result) else math.nan

    def of_epoch(self, metrics: Mapping[str, float]) -> float:
        """Return the fitness, NaN also where a user's function fails: an epoch may lack some of the final metrics."""
        try:
            return self(metrics)
        except WorkError as error:
            _log.warning("%s", error)
            return math.nan

    def try_out(self, metrics: Sequence[str]) -> None:
        """Call a user's function once, on numbers that metrics of these names could have.

        Raises:
            InputError: It fails, or returns something other than a number.
        """
        if isinstance(self.rule, Expression) or not metrics:
            return
        plausible = {name: 0.4 + 0.2 * index / len(metrics) for index, name in enumerate(metrics)}
        try:
            self(plausible)
        except WorkError as error:
            raise InputError(str(error)) from error

    def absent(self, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """Return the metrics it reads that are not there at all; one that is not finite is there."""
        return tuple(name for name in self.names if not known_as(name, metrics))

    def missing(self, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """Return the metrics it reads that are absent or not finite, to say why a fitness is NaN."""
        return tuple(name for name in self.names if not math.isfinite(value_of(name, metrics)))


def weighted(weights: Mapping[str, float]) -> str:
    """The expression that sums metrics by weight, as in `0.1*mAP_0.5 + 0.9*mAP_0.5:0.95`.

    Raises:
        ValueError: A weight is no finite number, or there is none.
    """
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise ValueError(f"expected a number as the weight of {name}; got {weight!r:.100}")
    if not weights:
        raise ValueError("expected a metric with its weight; got none")
    terms = [
        f"{'-' if weight < 0 else '+'} {'' if abs(weight) == 1 else f'{abs(weight)!r}*'}`{name}`"
        for name, weight in weights.items()
    ]
    return " ".join(terms).removeprefix("+ ")


def fittest(candidates: Iterable[_T], of: Callable[[_T], tuple[float | None, int]]) -> _T | None:
    """Return the best: the highest fitness, among equal ones that of the earliest trial.

    Args:
        candidates: Trials, rows, or what stands for them.
        of: Fitness and trial number of a candidate. One without a finite fitness never wins; 0 is a fitness.

    Returns:
        None when no candidate has a finite fitness.
    """
    best: tuple[float, int] | None = None
    found: _T | None = None
    for candidate in candidates:
        fitness, number = of(candidate)
        if fitness is not None and math.isfinite(fitness) and (best is None or (fitness, -number) > best):
            best, found = (fitness, -number), candidate
    return found


def usual_fitness(metrics: Collection[str]) -> str:
    """The fitness of detectors for a trainer that returns their metrics; empty for any other."""
    return DEFAULT_FITNESS if set(parse_fitness(DEFAULT_FITNESS, ()).names) <= set(metrics) else ""


def parse_fitness(text: str, metrics: Sequence[str]) -> Fitness:
    """Parse a fitness expression, or import a `module:function` of the metrics.

    Args:
        text: The expression. Two dotted identifiers around a colon are a function.
        metrics: The names the trainer declares.

    Returns:
        The fitness.

    Raises:
        InputError: The expression is malformed, names an unknown metric (the message points at the place) or
            no metric at all, or the function cannot be imported.
    """
    if _FUNCTION.fullmatch(text.strip()) and text.strip() not in metrics:
        return Fitness(text.strip(), (), _imported(text.strip()))
    expression = parse_expression(text, metrics)
    return Fitness(text.strip(), expression.names, expression)


def _imported(name: str) -> Callable[[Mapping[str, float]], Any]:
    module_name, _, path = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # appended: a user's folder must not hide an installed package
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{name}: {error}; expected a function in a module importable from the environment or from "
            f"{Path.cwd()}; a metric of this name goes in `backticks`"
        ) from error
    except (Exception, SystemExit) as error:
        raise InputError(f"{name}: {module_name} cannot be imported: {_told(error)}") from error
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise InputError(f"{name}: {module_name} has no function {path}; expected one of the metrics")
    function: Callable[[Mapping[str, float]], Any] = found
    return function


def _told(error: BaseException) -> str:
    """What was raised and where, in one line."""
    return first_line(error, 300) + place(error)


def _shown(metrics: Mapping[str, float]) -> str:
    return str({name: round(value, 4) for name, value in metrics.items()})[:500]
