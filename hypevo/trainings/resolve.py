"""Find a trainer by its name, `module:function`, and bind its settings. Used in child processes only."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
import sys
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hypevo.messages import did_you_mean
from hypevo.protocol import InputError, full_name


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A trainer found: its module and its function."""

    name: str
    module: types.ModuleType
    function: Any

    def settings(self, raw: Mapping[str, Any]) -> Any | None:
        """The trainer's `Settings` from plain values, texts converted to each field's type.

        Raises:
            InputError: an option the trainer does not have, or a value its `Settings` refuses.
        """
        kind = getattr(self.module, "Settings", None)
        if kind is None:
            if raw:
                raise InputError(
                    f"trainer {self.name} has no options, got {', '.join(f'--{k}' for k in raw)}"
                )
            return None
        fields = {f.name for f in dataclasses.fields(kind) if f.init}
        for key in raw:
            if key not in fields:
                options = [_option(name) for name in sorted(fields)]
                hint = did_you_mean(_option(key), options, otherwise=f"it has {', '.join(options)}")
                raise InputError(f"trainer {self.name} has no option {_option(key)}{hint}")
        hints = typing.get_type_hints(kind)
        try:
            return kind(**{key: _convert(key, value, hints[key]) for key, value in raw.items()})
        except (ValueError, FileNotFoundError) as error:
            raise InputError(str(error)) from error

    def bound(self, settings: Any | None) -> Any:
        """The training function with its settings bound."""
        return self.function if settings is None else functools.partial(self.function, settings=settings)


def resolve(name: str) -> Resolved:
    """Import `module:function`; the working directory counts as a place for a user's own trainer.

    Raises:
        InputError: no such module or function, or a folder that hides ours.
    """
    module_name, _, function_name = full_name(name).partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # appended: a user's folder must not hide an installed package
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != module_name and not module_name.startswith(f"{missing}."):
            raise InputError(
                f"trainer {name}: importing {module_name} failed: {error}. Install what it needs."
            ) from error
        raise InputError(_not_found(name, module_name, missing)) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        offers = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        hint = did_you_mean(function_name, offers)
        raise InputError(f"trainer {name}: module {module_name} has no function {function_name}{hint}")
    return Resolved(f"{module_name}:{function_name}", module, function)


def _not_found(name: str, module_name: str, missing: str) -> str:
    top = module_name.partition(".")[0]
    if top == "trainers" and missing != "trainers":
        ours = Path(__file__).resolve().parents[2] / "trainers"
        spec = importlib.util.find_spec("trainers")
        found = [Path(place).resolve() for place in (spec.submodule_search_locations or [])] if spec else []
        if ours not in found:
            return (
                f"trainer {name}: the folder {found[0] if found else '?'} hides hypevo's own «trainers» package; "
                f"rename it, or start with the `hypevo` command instead of `python -m hypevo`"
            )
        names = sorted(
            p.stem for p in ours.iterdir() if (p / "__init__.py").exists() and not p.name.startswith("_")
        )
        return f"trainer {name}: not among {', '.join(names)}; give your own as module:function"
    places = f"the environment or {Path.cwd()}"
    return f"trainer {name}: no module «{missing}»; expected module:function, importable from {places}"


def _convert(key: str, value: Any, hint: Any) -> Any:
    """A command line's text as the type that the field declares; anything that is no text passes unchanged."""
    if not isinstance(value, str):
        return value
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)] if _is_union(hint) else [hint]
    expected = []
    for kind in kinds:
        if kind not in _KINDS:
            return value  # a text, or what the trainer's `Settings` judges itself
        parse, name = _KINDS[kind]
        try:
            return parse(value)
        except (ValueError, KeyError):
            expected.append(name)
    raise InputError(f"{_option(key)}: expected {' or '.join(expected)}, got «{value}»")


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


_BOOLEANS = dict.fromkeys(("true", "yes", "1", "on"), True) | dict.fromkeys(
    ("false", "no", "0", "off"), False
)
_KINDS: Mapping[Any, tuple[Callable[[str], Any], str]] = {
    bool: (lambda text: _BOOLEANS[text.lower()], "true or false"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    Path: (Path, "a path"),
}
