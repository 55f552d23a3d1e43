"""One hyperparameter of the search: its bounds, its gain, and the values it may take."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

GeneType = Literal["float", "int", "categorical"]

# Names become yaml keys, csv columns and MLflow parameters; yaml takes some words for something else.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_NOT_NAMES = {"true", "false", "yes", "no", "on", "off", "null", "inherit"}


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
        choices: The values of a categorical gene: numbers, as everything in a hyp file. `low` and `high`
            span them.
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
    choices: tuple[float, ...] | None = None
    default: float | None = None

    def __post_init__(self) -> None:
        problem = _contradiction(self)
        if problem is None and self.default is not None:
            misfit = self.misfit(self.default)
            problem = misfit and f"default {misfit}; change the default or the gene"
        if problem is not None:
            raise ValueError(f"{self.name}: {problem}")

    @property
    def movable(self) -> bool:
        """Whether the evolution may change it."""
        return self.gain > 0 and self.low < self.high

    def misfit(self, value: float) -> str | None:
        """Say why `value` is not one of this gene's; None when it is."""
        if not math.isfinite(value):
            return f"{value} is not a finite number"
        if self.choices is not None:
            return None if value in self.choices else f"{value:g} is not one of {_listed(self.choices)}"
        if not self.low <= value <= self.high:
            return f"{value:.9g} is outside its bounds {self.low:.9g} to {self.high:.9g}"
        if self.type == "int" and value != int(value):
            return f"{value:.9g} is not a whole number"
        if self.step is not None and not _is_whole((value - self.low) / self.step):
            return f"{value:.9g} is not {self.low:.9g} plus a multiple of its step {self.step:.9g}"
        return None


def _contradiction(gene: Gene) -> str | None:
    """Say what is wrong with a gene's own fields; None when they fit together."""
    if not _NAME.fullmatch(gene.name) or gene.name.lower() in _NOT_NAMES:
        return "expected a name of letters, digits, «_», «-» and «.» that yaml reads as text; choose another"
    for field in ("low", "high", "gain", "step"):
        value = getattr(gene, field)
        if value is not None and not math.isfinite(value):
            return f"expected a finite {field}; got {value}"
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


def _contradiction_of_choices(gene: Gene) -> str | None:
    choices = gene.choices
    if gene.type != "categorical" or choices is None:
        return "type categorical and choices belong together; give both or neither"
    if not choices or not all(math.isfinite(choice) for choice in choices):
        return f"expected one finite number or more as choices; got [{_listed(choices)}]"
    if len(set(choices)) < len(choices):
        return f"expected choices that differ; got [{_listed(choices)}]; name each of them once"
    if (gene.low, gene.high) != (min(choices), max(choices)):
        return f"expected low and high to span [{_listed(choices)}]; leave low and high out"
    if gene.log or gene.step is not None:
        return "choices have no log and no step; leave them out"
    return None


def _contradiction_of_scale(gene: Gene) -> str | None:
    if gene.type == "int" and any(bound % 1 for bound in (gene.low, gene.high, gene.step or 1)):
        return "expected whole numbers as low, high and step of type int; round them, or use type float"
    if gene.log and gene.low <= 0:
        return f"expected low > 0 with log: true; got {gene.low:g}; raise low or leave log out"
    if gene.log and gene.step is not None:
        return "log and step exclude each other; leave one out"
    if gene.step is not None and not _is_whole((gene.high - gene.low) / gene.step):
        reached = gene.low + (gene.high - gene.low) // gene.step * gene.step
        return f"expected high on the grid of step {gene.step:g}; got {gene.high:g}; set it to {reached:g}"
    return None


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) < 1e-8


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
