"""Arithmetic over metrics: numbers, names, + - * / and parentheses, with a caret under every mistake.

Metric names hold digits, dots and colons, so a name is the longest known one that fits where it stands; a name
that is not known goes in backticks. Where a trainer declares no metrics, every word is a name. Python's parser reads
the expression, with a variable in place of each metric. Python never runs it.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hypevo.messages import did_you_mean
from hypevo.protocol import InputError

ALIASES: Mapping[str, str] = {
    "mAP50": "mAP_0.5",
    "mAP50_95": "mAP_0.5:0.95",
    "mAP50-95": "mAP_0.5:0.95",
}

MAX_LENGTH = 2000
MAX_DEPTH = 50

_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[^\s()*/+`-]+")
_UNDECLARED = r"[^\W\d]\w*(?:[.:]\w+)*"  # a metric that no trainer has declared, without backticks

# A number, a metric by name, or what is done with the values before it.
Step = float | str | Callable[..., float]


@dataclass(frozen=True)
class Expression:
    """An expression in postfix order, so that a long one needs no recursion."""

    program: tuple[Step, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics it reads, in order of appearance."""
        return tuple(dict.fromkeys(step for step in self.program if isinstance(step, str)))

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """Return its value, NaN when a metric it reads is missing or not finite."""
        stack: list[float] = []
        for step in self.program:
            match step:
                case float():
                    stack.append(step)
                case str():
                    value = value_of(step, metrics)
                    if not math.isfinite(value):
                        return math.nan
                    stack.append(value)
                case operator.neg:
                    stack.append(-stack.pop())
                case _:
                    right, left = stack.pop(), stack.pop()
                    stack.append(step(left, right))
        return stack.pop()


def value_of(name: str, metrics: Mapping[str, float]) -> float:
    """A metric by its name, or by another that means the same; NaN when it is not there."""
    found = known_as(name, metrics)
    return float(metrics[found]) if found else math.nan


def known_as(name: str, metrics: Mapping[str, float]) -> str | None:
    """The name under which a metric is there: its own, or another that means the same; None when it is not."""
    names = (name, *(alias for alias, means in ALIASES.items() if means == name))
    return next((one for one in names if one in metrics), None)


_OPERATORS: Mapping[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}


def parse_expression(text: str, metrics: Sequence[str]) -> Expression:
    """Parse an expression.

    Args:
        text: The expression, at most `MAX_LENGTH` characters.
        metrics: The names that need no backticks; any word does not when there are none.

    Raises:
        InputError: It is malformed, or names an unknown metric or none; the message points at the place.
    """
    if len(text) > MAX_LENGTH:
        raise InputError(f"expected at most {MAX_LENGTH} characters; got {len(text)}")
    python, read = _as_python(text.replace("\N{MINUS SIGN}", "-"), metrics)
    steps: list[Step] = []
    waiting: list[ast.AST] = [ast.parse(python, mode="eval").body]
    while waiting:
        match waiting.pop():
            case ast.BinOp(left, sign, right):
                steps.append(_OPERATORS[type(sign)])
                waiting += [left, right]
            case ast.UnaryOp(sign, operand):
                steps.append(_OPERATORS[type(sign)])
                waiting.append(operand)
            case ast.Constant(float() as number):
                steps.append(number)
            case ast.Name(variable):
                steps.append(read[int(variable[1:])])
            case node:
                raise InputError(f"expected numbers, metrics and + - * /; got {type(node).__name__}")
    return Expression(tuple(reversed(steps)))


def _as_python(text: str, metrics: Sequence[str]) -> tuple[str, list[str]]:
    """Write an expression for Python's parser: its n-th metric as the variable `mn`, its numbers as floats.

    Values and operators take turns, so that one pass finds every mistake, and knows its place.

    Returns:
        The text for Python, and the metrics in order of appearance.
    """
    means = {**ALIASES, **{name: name for name in metrics}}
    # A metric whose name is also a number, or begins with an operator, is reached in backticks only.
    spoken = [name for name in means if _WORD.match(name) and not _NUMBER.fullmatch(name)]
    names = "|".join(map(re.escape, sorted(spoken, key=len, reverse=True))) or "(?!)"
    word = "(?!)" if metrics else _UNDECLARED
    value = re.compile(rf"(?P<name>{names}|{word})(?!\w|[.:]\w)|`(?P<quoted>[^`]*)`|{_NUMBER.pattern}")
    written: list[str] = []
    read: list[str] = []
    opened: list[int] = []  # the places of parentheses that are not closed yet
    valued = minus = False  # a value has just ended; the next one is negated
    place = 0
    while (place := len(text) - len(text[place:].lstrip())) < len(text) or not valued:
        match valued, text[place : place + 1]:
            case True, "+" | "-" | "*" | "/" as sign:
                written.append(sign)
                valued = False
            case True, ")" if opened:
                written.append(")")
                opened.pop()
            case True, _:
                raise _wrong(f"expected an operator (+ - * /){' or «)»' if opened else ''}", text, place)
            case _, "+" | "-" as sign:
                minus ^= sign == "-"  # signs are folded: Python's parser takes only so many in a row
            case _, "(":
                if len(opened) == MAX_DEPTH:
                    raise _wrong(f"expected at most {MAX_DEPTH} nested parentheses", text, place)
                opened.append(place)
                written.append("-(" if minus else "(")
                minus = False
            case _:
                found = value.match(text, place)
                problem = _mistake(found, text[place:], metrics)
                if found is None or problem:
                    raise _wrong(problem, text, place)
                name = found["name"] or (found["quoted"] or "").strip()
                if name:
                    read.append(means.get(name, name))
                variable = f"m{len(read) - 1}" if name else repr(float(found[0]))
                written.append(f"-{variable}" if minus else variable)
                valued, minus = True, False
                place = found.end() - 1
        place += 1
    if opened:
        raise _wrong("this parenthesis is never closed", text, opened[-1])
    if not read:
        raise _wrong(f"expected at least one metric{_known(metrics)}", text, 0)
    return " ".join(written), read


def _mistake(value: re.Match[str] | None, rest: str, metrics: Sequence[str]) -> str:
    """What is wrong with a value of an expression, or with what stands in its place; empty if nothing is."""
    if value is None:
        word = _WORD.match(rest)
        if word is not None:
            return f"unknown metric «{word[0]}»{did_you_mean(word[0], metrics) or _known(metrics)}"
        closed = not rest.startswith("`")
        return "expected a metric, a number or «(»" if closed else "this backtick is never closed"
    name, quoted = value["name"], value["quoted"]
    if metrics and name is not None and name not in metrics and (means := ALIASES[name]) not in metrics:
        return f"{name} means {means}, which the trainer does not declare{_known(metrics)}"
    if quoted is not None and not quoted.strip():
        return "expected a metric's name between the backticks"
    finite = name is not None or quoted is not None or math.isfinite(float(value[0]))
    return "" if finite else "expected a finite number"


def _known(metrics: Sequence[str]) -> str:
    declared = f"the trainer declares {', '.join(sorted(set(metrics)))}" if metrics else "none is declared"
    return f"; {declared}; put any other name in `backticks`"


def _wrong(problem: str, text: str, place: int) -> InputError:
    """An error with the expression below it and a caret under the place."""
    shown = "".join(" " if character.isspace() else character for character in text)
    return InputError(f"{problem}\n  {shown}\n  {' ' * place}^")
