"""Read the small yaml files people write: one mapping, plain values, nothing repeated, nothing executed.

Hyp and space files go through this one loader, so that they share limits and messages. The trainers have a loader
of their own for data.yaml, twice on purpose: a trainer runs without this package and may not import it.
"""

import math
import re
from collections.abc import Hashable
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from hypevo.files import read_bounded
from hypevo.protocol import InputError, Value

MAX_BYTES = 100_000  # a hyp file has one or two thousand
MAX_DEPTH = 5

# PyYAML follows YAML 1.1, where a float needs a dot and a signed exponent: it reads 1e-5 as a string.
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


def read_mapping(path: Path | Traversable) -> dict[str, object]:
    """Read a yaml file that holds one mapping.

    Args:
        path: The file, UTF-8, at most `MAX_BYTES` long.

    Returns:
        Its entries in the file's order. Values are what yaml makes of them; `plain` and `number` say what they mean.

    Raises:
        InputError: The file cannot be read or is not one mapping with distinct text keys.
    """
    data = read_bounded(path, MAX_BYTES, "a yaml file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a yaml file in UTF-8; byte {error.start} is no text") from error
    return parse_mapping(text, source=str(path))


def parse_mapping(text: str, *, source: str) -> dict[str, object]:
    """Parse yaml text that holds one mapping; `source` names it in errors (see `read_mapping`)."""
    try:
        loader = _PlainLoader(text)
        try:
            content = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{source}{where}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # an impossible date, a number too long
        raise InputError(f"{source}: not readable as yaml: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{source}: expected lines such as «lr0: 0.01»; got {describe(content)}")
    for key in content:
        if not isinstance(key, str):
            raise InputError(f"{source}: expected names as keys; got {describe(key)}; put it in quotes")
    return content


def number(value: object) -> float:
    """Return a yaml value as a finite float.

    Raises:
        ValueError: It is a boolean, a text that is no number, NaN, infinite, or something else.
    """
    if isinstance(value, bool):
        raise ValueError(f"expected a number; got {describe(value)} (so yaml reads yes, no, on and off)")
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if not isinstance(value, int | float):
        raise ValueError(f"expected a number; got {describe(value)}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise ValueError(f"expected a finite number; got {result}")
    return result


def plain(value: object) -> Value:
    """Return a yaml value as what it is: a finite number, a word, or true or false.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value.strip())):
        return value
    if value is None or not isinstance(value, int | float | str):
        raise ValueError(f"expected a number, a word, or true or false; got {describe(value)}")
    exact = number(value)
    return value if isinstance(value, int) else exact


def is_word(text: str) -> bool:
    """Whether yaml files and csv files both keep a text as it is: it reads as no number, date or boolean."""
    if not re.fullmatch(r"\w[\w.+/-]*", text):
        return False
    try:
        return not _is_float(text) and yaml.safe_load(text) == text
    except (yaml.YAMLError, ValueError):
        return False


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def describe(value: object) -> str:
    """Name a yaml value for an error: its kind, and the value itself when it is short."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the boolean {str(value).lower()}"
        case str():
            return f"the text {_quoted(value)}" if len(value) <= 40 else f"a text of {len(value)} characters"
        case int() if abs(value) > 10**300:
            return "a number beyond all bounds"
        case int() | float():
            return f"the number {value:g}"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
    return f"a {type(value).__name__}"


def _quoted(text: str) -> str:
    return f"«{repr(text)[1:-1]}»"  # control characters as escapes


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader that refuses tags, references, merges, repeated keys and deep nesting."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.NodeEvent = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it open
        if event.anchor is not None:
            raise _refusal("references (&x, *x) are not accepted; write the value out", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _refusal("tags (!x) are not accepted; write a plain value", event.start_mark)
        if self._depth == MAX_DEPTH:
            raise _refusal(f"nested deeper than {MAX_DEPTH} levels; these files are flat", event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise _refusal("merges (<<) are not accepted; write the entries out", key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                if key.value in lines:
                    first = f"{_quoted(key.value)} is already on line {lines[key.value]}"
                    raise _refusal(f"{first}; keep one of the two", key.start_mark)
                lines[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)


def _refusal(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
