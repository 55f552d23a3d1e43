"""Options are fields of dataclasses: what a field says of itself, its checks, and a typed word as its value."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hypevo.messages import did_you_mean
from hypevo.protocol import InputError

PANELS = ("The training", "The search", "How it runs", "Where things are")  # in the order of the help
TRAINING, SEARCH, RUNNING, PLACES = PANELS


def option(
    default: Any,
    text: str,
    panel: str = "",
    *,
    choices: Sequence[str] = (),
    least: float | None = None,
    above: float | None = None,
    named: str | None = None,
) -> Any:
    """A field of settings that is an option of the command line.

    Args:
        default: Its value when nothing is given.
        text: Its help. Choices and default are added where help is shown.
        panel: The heading under which the help lists it.
        choices: The words it may be; any when empty.
        least: The smallest number it may be.
        above: The number that it must exceed.
        named: The option, where it is not called as the field.
    """
    bounds = {"choices": tuple(choices), "least": least, "above": above}
    return dataclasses.field(
        default=default, metadata={"help": text, "panel": panel, "named": named, **bounds}
    )


def argument(text: str, **default: Any) -> Any:
    """A field of settings that is given by its place on the command line, without a name."""
    return dataclasses.field(metadata={"help": text, "argument": True}, **default)


@dataclasses.dataclass(frozen=True)
class Option:
    """What a field of settings says of itself; the metadata of its `option` or `argument`, or a trainer's own."""

    field: str
    name: str  # as it is typed, --slots-per-device
    text: str
    panel: str
    hint: Any  # its type
    default: Any
    choices: tuple[str, ...]
    least: float | None
    above: float | None
    argument: bool

    @property
    def is_flag(self) -> bool:
        """Whether it needs no value."""
        return self.hint is bool

    @property
    def kind(self) -> str:
        """The type in a word, for people."""
        return " or ".join(
            _KINDS[kind].short if kind in _KINDS else "text" for kind in _plain_kinds(self.hint)
        )

    @property
    def shown_default(self) -> str:
        """The default as it would be typed; empty when there is none, or «(default …)» says it."""
        default = self.default
        if default is None or default is False or default is dataclasses.MISSING or default in ("", ()):
            return ""
        if "(default " in self.text:
            return ""
        if default is True:
            return "true"
        if isinstance(default, tuple):
            return ",".join(map(str, default))
        if isinstance(default, float):
            return f"{default:g}"
        return default.as_posix() if isinstance(default, Path) else str(default)

    @property
    def says(self) -> str:
        """The text, and the choices that it does not name itself."""
        if all(choice in self.text for choice in self.choices):
            return self.text
        return f"{', '.join(self.choices[:-1])} or {self.choices[-1]}: {self.text[:1].lower()}{self.text[1:]}"

    @property
    def help(self) -> str:
        """The text, the choices and the default."""
        return self.says + (f" [default: {self.shown_default}]" if self.shown_default else "")

    def parse(self, word: str) -> Any:
        """A word of a command line as the type that the field declares.

        Raises:
            InputError: It is none.
        """
        if typing.get_origin(self.hint) is tuple:
            return tuple(part.strip() for part in word.split(",") if part.strip())
        expected = []
        for kind in _plain_kinds(self.hint):
            if kind not in _KINDS:
                return word  # a text, or what the settings judge themselves
            try:
                return _KINDS[kind].parse(word)
            except (ValueError, KeyError):
                expected.append(_KINDS[kind].words)
        raise InputError(f"{self.name}: expected {' or '.join(expected)}, got «{word}»")

    def check(self, value: Any) -> None:
        """Refuse a value that is none of the choices, or out of bounds.

        Raises:
            InputError: It is.
        """
        if value is None:
            return
        if self.choices and value not in self.choices:
            hint = did_you_mean(str(value), self.choices)
            raise InputError(f"{self.name}: expected one of {', '.join(self.choices)}, got «{value}»{hint}")
        if self.least is not None and not self.least <= value < math.inf:
            raise InputError(f"{self.name}: expected {self.least} or more, got {value}")
        if self.above is not None and not self.above < value < math.inf:
            raise InputError(f"{self.name}: expected more than {self.above}, got {value}")


def option_name(field: str) -> str:
    """The option that a field is: `slots_per_device` is --slots-per-device."""
    return f"--{field.replace('_', '-')}"


def options_of(settings: Any, *, hidden: bool = False) -> list[Option]:
    """The options of a settings dataclass, or of an instance, in the order of its fields.

    Args:
        settings: The class or the instance.
        hidden: Whether fields count too whose metadata says `hidden`: the program sets them, not the user.
    """
    hints = typing.get_type_hints(settings if isinstance(settings, type) else type(settings))
    return [
        Option(
            field=field.name,
            name=field.metadata.get("named") or option_name(field.name),
            text=str(field.metadata.get("help", "")),
            panel=field.metadata.get("panel", ""),
            hint=hints[field.name],
            default=field.default,
            choices=tuple(field.metadata.get("choices") or _literals(hints[field.name])),
            least=field.metadata.get("least"),
            above=field.metadata.get("above"),
            argument=field.metadata.get("argument", False),
        )
        for field in dataclasses.fields(settings)
        if field.init and (hidden or not field.metadata.get("hidden"))
    ]


def typed(values: Any, settings: type[Any], *, but: Sequence[str] = ()) -> list[str]:
    """The words of a command line that say the same as these settings: what differs from the defaults.

    Args:
        values: An instance; the trainer's own options are in `options`.
        settings: The class whose options are typed.
        but: Fields that are left out.
    """
    words: list[str] = []
    for one in options_of(settings):
        value = getattr(values, one.field)
        if one.field in but or value == one.default:
            continue
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        words += [one.name] if one.is_flag else [one.name, str(value)]
    for name, value in values.options.items():
        words += [option_name(name), str(value)]
    return words


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checked:
    """Settings whose options hold what their fields say: choices and bounds.

    Raises:
        InputError: One does not.
    """

    def __post_init__(self) -> None:
        for one in options_of(self):
            one.check(getattr(self, one.field))


@dataclasses.dataclass(frozen=True)
class _Kind:
    parse: Callable[[str], Any]
    words: str  # in errors
    short: str  # in help


def _plain_kinds(hint: Any) -> list[Any]:
    """The types that a hint allows, without None."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return [kind for kind in typing.get_args(hint) if kind is not type(None)] if union else [hint]


def _literals(hint: Any) -> tuple[str, ...]:
    return tuple(map(str, typing.get_args(hint))) if typing.get_origin(hint) is typing.Literal else ()


_BOOLEANS = dict.fromkeys(("true", "yes", "1", "on"), True) | dict.fromkeys(
    ("false", "no", "0", "off"), False
)
_KINDS: Mapping[Any, _Kind] = {
    bool: _Kind(lambda word: _BOOLEANS[word.lower()], "true or false", "true/false"),
    int: _Kind(int, "a whole number", "integer"),
    float: _Kind(float, "a number", "number"),
    Path: _Kind(Path, "a path", "path"),
}


def check_name(name: str, value: str | None) -> None:
    """See that a name can be that of a folder and of a study.

    Raises:
        InputError: It cannot; `name` is the option.
    """
    if value is not None and not re.fullmatch(r"[\w][\w. +-]*", value):
        raise InputError(
            f"{name}: expected letters, digits, «.», «_», «+», «-» and blanks, "
            f"with a letter, a digit or «_» first, got «{value}»"
        )
