"""One hyperparameter of the search: its bounds, its gain, and the values it may take."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from hypevo.problem.yamlfile import describe, is_word, number
from hypevo.protocol import Value

GeneType = Literal["float", "int", "categorical"]

# Names become yaml keys, csv columns and MLflow parameters; yaml takes some words for something else.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_NOT_NAMES = {"true", "false", "yes", "no", "on", "off", "null", "inherit"}
_MOST = 1e100  # beyond it differences, squares and products overflow
_MOST_WHOLE = 2**53  # beyond it floats skip whole numbers


@dataclass(frozen=True)
class Gene:
    """One hyperparameter of the search.

    Attributes:
        name: Its key in hyp files.
        low: Lower bound, inclusive.
        high: Upper bound, inclusive.
        gain: Scale of its mutation; 0 freezes it.
        type: "float", "int", or "categorical" (one of `choices`).
        log: Whether samplers that know a logarithmic scale search on it.
        step: Distance between allowed values, counted from `low`; None allows all of them.
        choices: The values of a categorical gene: all numbers, all words, or true and false. `low` and `high` span
            the numbers, or the positions of the others (see `span`).
        default: Its value where the hyp file has none; None leaves that to the preset `scratch-low`.

    Raises:
        ValueError: The fields contradict each other; the message names the gene, the field and the remedy.
    """

    name: str
    low: float
    high: float
    gain: float = 1.0
    type: GeneType = "float"
    log: bool = False
    step: float | None = None
    choices: tuple[Value, ...] | None = None
    default: Value | None = None

    def __post_init__(self) -> None:
        problem = _contradiction(self)
        if problem is None and self.default is not None:
            try:  # whether it is within the bounds matters only where the gene is searched
                self.read(self.default)
            except ValueError as error:
                problem = f"default: {error}"
        if problem is not None:
            raise ValueError(f"{self.name}: {problem}")

    @property
    def movable(self) -> bool:
        """Whether the evolution may change it."""
        return self.gain > 0 and self.low < self.high

    def read(self, value: object) -> Value:
        """Return a value as a training gets it: a float, an int for type int, a choice as the space has it.

        Raises:
            ValueError: It is of another kind. Bounds and the other choices are the matter of `misfit`.
        """
        if self.choices is not None and not _are_numbers(self.choices):
            kind = type(self.choices[0])
            if not isinstance(value, kind):
                raise ValueError(f"expected one of {_listed(self.choices)}; got {describe(value)}")
            return value
        exact = number(value)
        if self.choices is not None:
            whole = all(isinstance(choice, int) for choice in self.choices) and exact.is_integer()
            return next((c for c in self.choices if c == exact), int(exact) if whole else exact)
        if self.type == "int":
            if not exact.is_integer():
                raise ValueError(f"expected a whole number; got {exact:.9g}")
            return int(exact)
        return exact

    def misfit(self, value: object) -> str | None:
        """Say why a search could not propose `value`; None when it could."""
        try:
            read = self.read(value)
        except ValueError as error:
            return str(error)
        if self.choices is not None:
            return None if read in self.choices else f"{_shown(read)} is not one of {_listed(self.choices)}"
        exact = float(read)
        if not self.low <= exact <= self.high:
            return f"{exact:.9g} is outside its bounds {self.low:.9g} to {self.high:.9g}"
        if self.step is not None and not _is_whole((exact - self.low) / self.step):
            return f"{exact:.9g} is not {self.low:.9g} plus a multiple of its step {self.step:.9g}"
        return None

    def moved(self, before: Value, now: Value) -> float:
        """How far a value went, as a part of the range, on a logarithmic scale where the search has one."""
        if before == now:
            return 0.0
        if isinstance(before, (str, bool)) or isinstance(now, (str, bool)):
            return 1.0  # words have no distance
        if self.log and self.low > 0 and before > 0 and now > 0:
            return abs(math.log(now / before)) / math.log(self.high / self.low)
        return abs(now - before) / (self.high - self.low)

    def nearest(self, value: object) -> Value | None:
        """The value nearest to `value` that a search could propose; None for a word that is no choice."""
        read = self.read(value)
        if self.choices is not None:
            if not _are_numbers(self.choices):
                return read if read in self.choices else None
            return min(self.choices, key=lambda choice: abs(float(choice) - float(read)))
        within = min(max(float(read), self.low), self.high)
        if self.step is not None:
            within = self.low + round((within - self.low) / self.step) * self.step
        return self.read(min(within, self.high))


def span(choices: Sequence[Value]) -> tuple[float, float]:
    """The `low` and `high` of a gene with these choices: of the numbers, or of the positions of words and booleans."""
    if _are_numbers(choices):
        return min(map(float, choices)), max(map(float, choices))
    return 0.0, float(len(choices) - 1)


def _contradiction(gene: Gene) -> str | None:
    """Say what is wrong with a gene's own fields; None when they fit together."""
    if not _NAME.fullmatch(gene.name) or gene.name.lower() in _NOT_NAMES:
        return "expected a name of letters, digits, «_», «-» and «.» that yaml reads as text; choose another"
    for field in ("low", "high", "gain", "step"):
        value = getattr(gene, field)
        if value is not None and not math.isfinite(value):
            return f"expected a finite {field}; got {value}"
        if value is not None and abs(value) > _MOST:
            return f"expected {field} between {-_MOST:g} and {_MOST:g}; got {value:g}"
    if gene.low > gene.high:
        return f"expected low <= high; got low {gene.low:.9g} and high {gene.high:.9g}; swap them"
    if gene.gain < 0:
        return f"expected a gain of 0 (frozen) or more; got {gene.gain:g}; give 0 to freeze the gene"
    if gene.type not in get_args(GeneType):
        return f"expected type {', '.join(get_args(GeneType))}; got «{gene.type}»"
    if gene.step is not None and gene.step <= 0:
        return f"expected a step above 0; got {gene.step:g}; leave it out to allow every value"
    if gene.type == "categorical" or gene.choices is not None:
        return _contradiction_of_choices(gene)
    return _contradiction_of_scale(gene)


def _of_yaml(word: str) -> str:
    """What a word means in a yaml file, where that is why it is refused: true and false have several words there."""
    if re.fullmatch(r"(?i:yes|true|on|no|false|off)", word):
        meaning = "true" if word.lower() in {"yes", "true", "on"} else "false"
        return f", which is YAML's own word for {meaning}"
    return ""


def _contradiction_of_choices(gene: Gene) -> str | None:
    choices = gene.choices
    if gene.type != "categorical" or choices is None:
        return "type categorical and choices belong together; give both or neither"
    if not choices or len({_kind(choice) for choice in choices}) > 1:
        return f"expected choices of one kind, numbers, words, or true and false; got [{_listed(choices)}]"
    odd = [choice for choice in choices if isinstance(choice, str) and not is_word(choice)]
    if odd:
        return (
            f"expected choices that are numbers or words of letters, digits, «_», «.», «+», «/» and «-»; "
            f"got {describe(odd[0])}{_of_yaml(odd[0])}"
        )
    if len(set(choices)) < len(choices):
        return f"expected choices that differ; got [{_listed(choices)}]; name each of them once"
    if (gene.low, gene.high) != span(choices):
        return f"expected low and high to span [{_listed(choices)}]; leave low and high out"
    if gene.log or gene.step is not None:
        return "choices have no log and no step; leave them out"
    return None


def _contradiction_of_scale(gene: Gene) -> str | None:
    if gene.type == "int" and any(bound % 1 for bound in (gene.low, gene.high, gene.step or 1)):
        return "expected whole numbers as low, high and step of type int; round them, or use type float"
    if gene.type == "int" and max(-gene.low, gene.high) > _MOST_WHOLE:
        return f"expected low and high of type int between -2^53 and 2^53; got {gene.low:g} and {gene.high:g}"
    if gene.log and gene.low <= 0:
        return f"expected low > 0 with log: true; got {gene.low:g}; raise low or leave log out"
    if gene.log and gene.step is not None:
        return "log and step exclude each other; leave one out"
    if gene.step is not None and (gene.high - gene.low) / _MOST_WHOLE > gene.step:
        return f"expected at most 2^53 steps between low and high; got step {gene.step:g}; raise the step"
    if gene.step is not None and not _is_whole((gene.high - gene.low) / gene.step):
        reached = gene.low + (gene.high - gene.low) // gene.step * gene.step
        return f"expected high on the grid of step {gene.step:g}; got {gene.high:g}; set it to {reached:g}"
    return None


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) < 1e-8


def _are_numbers(choices: Sequence[Value]) -> bool:
    return all(_kind(choice) == "number" for choice in choices)


def _kind(value: Value) -> str:
    return "boolean" if isinstance(value, bool) else "word" if isinstance(value, str) else "number"


def _listed(values: Sequence[Value]) -> str:
    return ", ".join(map(_shown, values))


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:.9g}"
