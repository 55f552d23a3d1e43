"""MLproject and docs/options.md, made of the fields of the settings: `python -m hypevo.cli.document` writes both."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from hypevo.cli.app import COMMANDS
from hypevo.cli.options import in_order
from hypevo.problem.options import Option
from hypevo.trainings.resolve import resolve

ROOT = Path(__file__).parents[2]
REGENERATE = "python -m hypevo.cli.document"
TRAINERS = (
    "trainers.yolov5",
    "trainers.external.ultralytics",
    "trainers.external.yolov5_repo",
    "trainers.external.command",
)
ENTRY_POINTS = {"main": "evolve", "train": "train", "val": "val", "confirm": "confirm", "export": "export"}
_MLPROJECT = f"""\
# Written by `{REGENERATE}`; a test compares it with the settings it is made of.
#
#   mlflow run . --env-manager local            evolve the embedded default
#   mlflow run . -P data=my/data.yaml -P weights=yolov5s.pt -P epochs=10 -P img=640 -P generations=300
#
# An empty value stands for the default. A trainer of your own gets its options in the same way: -P its_option=3.
name: hypevo

python_env: python_env.yaml

entry_points:
"""
_OPTIONS = f"""\
# All options

Written by `{REGENERATE}` from the fields that the commands are made of; `hypevo COMMAND --help` says the same.
An option with an empty value counts as not given; one that is true or false is true without a value.

The commands {{with_trainer}} also take the options of the trainer, at the end of this page; `hypevo trainer NAME`
lists those of yours.
"""


def mlproject() -> str:
    """The text of MLproject."""
    return _MLPROJECT + "\n".join(_entry_point(name, command) for name, command in ENTRY_POINTS.items())


def options() -> str:
    """The text of docs/options.md."""
    with_trainer = [f"`{name}`" for name, (settings, _) in COMMANDS.items() if hasattr(settings, "trainer")]
    parts = [_OPTIONS.format(with_trainer=", ".join(name for name in with_trainer if name != "`trainer`"))]
    seen: dict[type[Any], str] = {}
    for name, (settings, run) in COMMANDS.items():
        says = (inspect.getdoc(run) or "").replace("\n    ", "\n")
        *text, example = says.split("\n\n")
        part = [f"## hypevo {name}", *text, f"```bash\n{example.removeprefix('Example: ')}\n```"]
        if settings in seen:
            part.append(f"Its options are those of `hypevo {seen[settings]}`.")
        else:
            part.append(_table(in_order(settings)))
        seen.setdefault(settings, name)
        parts.append("\n\n".join(part) + "\n")
    for trainer in TRAINERS:
        found = resolve(trainer)
        says = (inspect.getdoc(found.function) or "").partition("\n")[0]
        parts.append(f"## The trainer {found.name}\n\n{says}\n\n{_table(found.options)}\n")
    return "\n".join(parts)


def _entry_point(name: str, command: str) -> str:
    """The options of a command and those of the built-in trainer as parameters that are passed on one by one."""
    settings, _ = COMMANDS[command]
    ours = [one for one in in_order(settings) if one.name != "--json"]
    trainers = [one for one in resolve(TRAINERS[0]).options if "options" in settings.__dataclass_fields__]
    lines = [f"  {name}:", "    parameters:"]
    lines += [_parameter(one, one.default) for one in ours]
    lines += [_parameter(one, "") for one in trainers]  # empty, because another trainer has other defaults
    words = [f"{one.name}={{{_name(one)}}}" for one in (*ours, *trainers)]
    lines += ["    command: >-", f"      python -m hypevo {command}", *(f"      {word}" for word in words)]
    return "\n".join(lines) + "\n"


def _name(one: Option) -> str:
    return one.name.removeprefix("--").replace("-", "_")


def _parameter(one: Option, default: Any) -> str:
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    shown = "" if default in (None, (), False) and not is_number else default
    value = f"{shown:g}" if is_number else json.dumps(shown.as_posix() if isinstance(shown, Path) else shown)
    kind = "float" if is_number else "string"
    return f"      {_name(one)}: {{type: {kind}, default: {value}}}  # {one.says}"


def _table(options: list[Option]) -> str:
    rows = ["| option | value | default | |", "|---|---|---|---|"]
    for one in options:
        name = one.field.upper() if one.argument else f"`{one.name}`"
        default = f"`{one.shown_default}`" if one.shown_default else ""
        rows.append(f"| {name} | {one.kind} | {default} | {one.says.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


if __name__ == "__main__":
    if not (ROOT / "pyproject.toml").exists():
        raise SystemExit(f"{ROOT} is no checkout of hypevo; run this from one")
    for path, text in ((ROOT / "MLproject", mlproject()), (ROOT / "docs" / "options.md", options())):
        path.write_text(text, encoding="utf-8", newline="\n")
        print(path)
