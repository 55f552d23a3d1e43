"""Find a trainer by its name, `module:function`, and bind its settings.

Trainings and checks use it in child processes only. Two exceptions: a command that only lists a trainer's options
imports it in its own process, because it ends right after; and our own trainers, which import nothing heavy, are asked
for their defaults.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypevo.messages import did_you_mean, first_line, nearest_name
from hypevo.problem.options import Option, option_name, options_of
from hypevo.protocol import InputError, full_name

_LIKE = 0.7  # likeness from which an option counts as mistyped: --bucket is no --batch


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
                    f"trainer {self.name} has no options, got {', '.join(f'--{k}' for k in raw)}; "
                    "--help shows those of the command itself"
                )
            return None
        options = {one.field: one for one in options_of(kind, hidden=True)}
        for key in raw:
            if key not in options:
                names = sorted(one.name for one in self.options)
                near = nearest_name(option_name(key)[2:], [one[2:] for one in names], at_least=_LIKE)
                hint = f"; did you mean «--{near}»?" if near else f"; it has {', '.join(names)}"
                raise InputError(
                    f"trainer {self.name} has no option {option_name(key)}{hint}{_meant_as_value(raw, key)}"
                )
        values = {
            key: options[key].parse(value) if isinstance(value, str) else value for key, value in raw.items()
        }
        for key, value in values.items():
            options[key].check(value)
        try:
            return kind(**values)
        except (ValueError, FileNotFoundError) as error:
            raise InputError(str(error)) from error

    @property
    def options(self) -> list[Option]:
        """The fields of its `Settings`; none from a trainer that has none."""
        kind = getattr(self.module, "Settings", None)
        return [] if kind is None else options_of(kind)

    def bound(self, settings: Any | None) -> Any:
        """The training function with its settings bound."""
        return self.function if settings is None else functools.partial(self.function, settings=settings)


def resolve(name: str) -> Resolved:
    """Import `module:function`; the working directory counts as a place for a user's own trainer.

    Raises:
        InputError: no such module or function, or a folder that hides ours.
    """
    module_name, _, function_name = full_name(name).partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), function_name)):
        raise InputError(f"trainer {name}: expected module:function, as in my_package.my_module:train")
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
    except Exception as error:
        raise InputError(f"trainer {name}: importing {module_name} failed: {first_line(error)}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        offers = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        hint = did_you_mean(function_name, offers)
        raise InputError(f"trainer {name}: module {module_name} has no function {function_name}{hint}")
    return Resolved(f"{module_name}:{function_name}", module, function)


def _meant_as_value(raw: Mapping[str, Any], key: str) -> str:
    """Say how a value is written that begins with dashes, where an option before it got none."""
    before = list(raw)[: list(raw).index(key)][-1:]
    if not before or raw[before[0]] != "true":
        return ""
    return f"; as the value of {option_name(before[0])} it is written {option_name(before[0])}={option_name(key)}"


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
