"""Fitness: the one number an evolution maximises, as an expression over a trainer's metrics.

    fitness = parse_fitness("0.1*mAP_0.5 + 0.9*mAP_0.5:0.95", METRICS)
    fitness({"mAP_0.5": 0.6, "mAP_0.5:0.95": 0.4})     # 0.42

    expression = term, { ("+" | "-"), term } ;
    term       = factor, { ("*" | "/"), factor } ;
    factor     = ("+" | "-"), factor | "(", expression, ")" | number | name | "`", any name, "`" ;

Metric names hold digits, dots and colons, so a name is the longest known one that fits where it stands. A
name the trainer does not declare goes in backticks. Nothing is ever evaluated as Python.
"""

import importlib
import logging
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypevo.messages import did_you_mean, first_line, place
from hypevo.protocol import InputError, WorkError

DEFAULT_FITNESS = "0.1*mAP_0.5 + 0.9*mAP_0.5:0.95"

ALIASES: Mapping[str, str] = {
    "mAP50": "mAP_0.5",
    "mAP50_95": "mAP_0.5:0.95",
    "mAP50-95": "mAP_0.5:0.95",
}

_log = logging.getLogger(__name__)

MAX_LENGTH = 2000
MAX_DEPTH = 50

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_WORD = re.compile(r"[^\s()*/+`-]+")
_GOES_ON = re.compile(r"\w|[.:]\w")


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
                f"{self.text}: expected a number; it returned {value!r:.100} for {_shown(metrics)}"
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
        if isinstance(self.rule, _Expression) or not metrics:
            return
        plausible = {name: 0.4 + 0.2 * index / len(metrics) for index, name in enumerate(metrics)}
        try:
            self(plausible)
        except WorkError as error:
            raise InputError(str(error)) from error

    def missing(self, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """Return the metrics it reads that are absent or not finite, to say why a fitness is NaN."""
        return tuple(name for name in self.names if not math.isfinite(metrics.get(name, math.nan)))


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
    program = _Parser(text, metrics).parse()
    names = tuple(dict.fromkeys(step.metric for step in program if isinstance(step, _Metric)))
    return Fitness(text.strip(), names, _Expression(program))


@dataclass(frozen=True)
class _Metric:
    """The step of a program that reads a metric."""

    metric: str


@dataclass(frozen=True)
class _Expression:
    """An expression in postfix order: numbers, metrics, and the operators + - * / neg on what came before."""

    program: tuple[float | str | _Metric, ...]

    def __call__(self, metrics: Mapping[str, float]) -> float:
        stack: list[float] = []
        for step in self.program:
            match step:
                case _Metric(name):
                    value = float(metrics.get(name, math.nan))
                    if not math.isfinite(value):
                        return math.nan
                    stack.append(value)
                case "neg":
                    stack.append(-stack.pop())
                case str():
                    right, left = stack.pop(), stack.pop()
                    stack.append(_OPERATORS[step](left, right))
                case _:
                    stack.append(step)
        return stack.pop()


_OPERATORS: Mapping[str, Callable[[float, float], float]] = {
    "+": float.__add__,
    "-": float.__sub__,
    "*": float.__mul__,
    "/": float.__truediv__,
}


class _Parser:
    """Recursive descent over the text; `program` grows in postfix order."""

    def __init__(self, text: str, metrics: Sequence[str]) -> None:
        if len(text) > MAX_LENGTH:
            raise InputError(f"expected at most {MAX_LENGTH} characters; came {len(text)}")
        self.text = text.replace("\N{MINUS SIGN}", "-")
        self.metrics = frozenset(metrics)
        self.names = {**ALIASES, **{name: name for name in metrics}}
        # A metric whose name is also a number is reached in backticks only.
        spoken = [name for name in self.names if not _NUMBER.fullmatch(name)]
        self.longest_first = sorted(spoken, key=len, reverse=True)
        self.position = 0
        self.depth = 0
        self.program: list[float | str | _Metric] = []

    def parse(self) -> tuple[float | str | _Metric, ...]:
        self.expression()
        if self.peek():
            raise self.error("expected an operator (+ - * /)")
        if not any(isinstance(step, _Metric) for step in self.program):
            raise self.error(f"expected at least one metric{self.known()}", 0)
        return tuple(self.program)

    def expression(self) -> None:
        self.term()
        while (operator := self.peek()) in ("+", "-"):
            self.position += 1
            self.term()
            self.program.append(operator)

    def term(self) -> None:
        self.factor()
        while (operator := self.peek()) in ("*", "/"):
            self.position += 1
            self.factor()
            self.program.append(operator)

    def factor(self) -> None:
        negative = False
        while (sign := self.peek()) in ("+", "-"):
            self.position += 1
            negative ^= sign == "-"
        if sign == "(":
            self.parenthesis()
        elif sign == "`":
            self.quoted()
        elif not (self.name() or self.number()):
            raise self.unknown()
        if negative:
            self.program.append("neg")

    def parenthesis(self) -> None:
        opening = self.position
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"expected at most {MAX_DEPTH} nested parentheses")
        self.position += 1
        self.expression()
        if self.peek() != ")":
            if self.peek():
                raise self.error("expected an operator (+ - * /) or ')'")
            raise self.error("this parenthesis is never closed", opening)
        self.position += 1
        self.depth -= 1

    def quoted(self) -> None:
        closing = self.text.find("`", self.position + 1)
        if closing < 0:
            raise self.error("this backtick is never closed")
        name = self.text[self.position + 1 : closing].strip()
        if not name:
            raise self.error("expected a metric's name between the backticks")
        self.program.append(_Metric(self.names.get(name, name)))
        self.position = closing + 1

    def name(self) -> bool:
        for name in self.longest_first:
            end = self.position + len(name)
            if self.text.startswith(name, self.position) and not _GOES_ON.match(self.text, end):
                metric = self.names[name]
                if metric not in self.metrics:
                    raise self.error(
                        f"{name} means {metric}, which the trainer does not declare{self.known()}"
                    )
                self.program.append(_Metric(metric))
                self.position = end
                return True
        return False

    def number(self) -> bool:
        match = _NUMBER.match(self.text, self.position)
        if match is None:
            return False
        value = float(match[0])
        if math.isinf(value):
            raise self.error("expected a finite number")
        self.program.append(value)
        self.position = match.end()
        return True

    def peek(self) -> str:
        """Skip blanks; return the character there, "" at the end."""
        while self.text[self.position : self.position + 1].isspace():
            self.position += 1
        return self.text[self.position : self.position + 1]

    def unknown(self) -> InputError:
        match = _WORD.match(self.text, self.position)
        if match is None:
            return self.error("expected a metric, a number or '('")
        nearest = did_you_mean(match[0], self.metrics)
        return self.error(f"unknown metric {match[0]!r}{nearest or self.known()}")

    def known(self) -> str:
        declared = (
            f"the trainer declares {', '.join(sorted(self.metrics))}" if self.metrics else "none is declared"
        )
        return f"; {declared}; put any other name in `backticks`"

    def error(self, problem: str, position: int | None = None) -> InputError:
        """Return an error with the expression below it and a caret under the place."""
        column = self.position if position is None else position
        shown = "".join(" " if character.isspace() else character for character in self.text)
        return InputError(f"{problem}\n  {shown}\n  {' ' * column}^")


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
