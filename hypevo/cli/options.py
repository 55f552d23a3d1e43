"""A settings dataclass as a command: its fields are the options, and what is typed becomes its values.

An option that the command does not have is the trainer's own where there is a trainer: it is passed on as it is, and
the trainer's `Settings` judge it in a process of their own.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape
from typer.core import TyperCommand

from hypevo.cli.completion import TRAINER, completer, options_to_pass_on
from hypevo.cli.foreign import answer, answer_word
from hypevo.interrupts import Interrupted
from hypevo.messages import refuse
from hypevo.problem.options import PANELS, Option, options_of
from hypevo.protocol import InputError, full_name

HELP = ("--help", "-h")
PASSED = "hypevo.passed"  # key of a context's `meta`
Settings = TypeVar("Settings")


def add_command(
    app: typer.Typer, settings: type[Settings], run: Callable[[Settings], None], name: str
) -> None:
    """Add a command whose options are the fields of `settings`; its help is the docstring of `run`."""

    def command(context: typer.Context, **given: Any) -> None:
        try:
            run(settings_of(settings, given, context.meta[PASSED]))
        except KeyboardInterrupt as pressed:  # Typer would end without a word
            raise Interrupted from pressed

    described = _described(command, in_order(settings))
    app.command(name, cls=command_class(settings), help=inspect.getdoc(run))(described)


def _described(function: Any, options: list[Option]) -> Any:
    """A function as Typer reads it: with the options in its signature."""
    parameters = [
        inspect.Parameter(
            one.field,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if _is_required(one) else (False if one.is_flag else None),
            annotation=_annotation(one),
        )
        for one in options
    ]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    function.__signature__ = inspect.Signature([context, *parameters])
    function.__annotations__ = {one.name: one.annotation for one in (context, *parameters)}
    return function


def _passed_on(trainer: str | None) -> list[Any]:
    """The options of a trainer as parameters, for the shell to complete."""

    def nothing(**_: Any) -> None: ...

    app = typer.Typer(add_completion=False)
    app.command()(_described(nothing, options_to_pass_on(trainer)))
    return [one for one in typer.main.get_command(app).params if one.name != "help"]


def in_order(settings: type[Any]) -> list[Option]:
    """The options of a settings dataclass as people read them: arguments first, then heading by heading."""
    return sorted(
        options_of(settings), key=lambda one: PANELS.index(one.panel) if one.panel in PANELS else -1
    )


def settings_of(settings: type[Settings], given: Mapping[str, Any], passed: Mapping[str, str]) -> Settings:
    """The settings that a command line stands for; an empty value stands for the default.

    Args:
        settings: The dataclass.
        given: What was typed for its fields: texts, and booleans for flags.
        passed: What was typed for options that it does not have, by name: the trainer's own.

    Raises:
        InputError: An option has a wrong value, or is nobody's.
    """
    options = options_of(settings)
    values: dict[str, Any] = {
        one.field: one.parse(word) if isinstance(word, str) else word
        for one in options
        if (word := given.get(one.field)) not in (None, "", False)
    }
    takes_more = _takes_more(settings)
    trainer = _trainer(options, values) if takes_more else ""
    names = [one.name for one in options if not one.argument]
    says = {name: answer(name, value, names, trainer) for name, value in passed.items()}
    if not takes_more:
        alone = {f"--{one.field}" for one in options if one.argument}
        says = {
            name: f"no option {name}; type {passed[name] or name[2:].upper()} alone, without {name}"
            if name in alone
            else said or f"no option {name}; there are {', '.join(names)}"
            for name, said in says.items()
        }
    refuse([said for said in says.values() if said is not None])
    if takes_more:
        values["options"] = {
            name.removeprefix("--").replace("-", "_"): value for name, value in passed.items() if value != ""
        }
    return settings(**values)


def command_class(settings: type[Any]) -> type[TyperCommand]:
    """The class of a command that tells its own options from those it passes on, and lists both in its help."""
    options = options_of(settings)
    takes_more = _takes_more(settings)

    class Command(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            trainer = _typed(options, "trainer", args)
            a_study_says = any(word.partition("=")[0] == "--from-trial" for word in args) or trainer is None
            named = full_name(trainer or "") if not a_study_says else None if takes_more else ""
            try:
                ours, passed = split(options, args, named)
            except InputError:
                if not ctx.resilient_parsing:  # as the shell completes a word
                    raise
                ours, passed = [], {}
            ctx.meta[PASSED], ctx.meta[TRAINER] = passed, trainer
            return super().parse_args(ctx, ours)

        def get_params(self, ctx: Any) -> list[Any]:
            params: list[Any] = super().get_params(ctx)
            if not (ctx.resilient_parsing and takes_more):
                return params
            return [*params, *_passed_on(ctx.meta.get(TRAINER))]

        def format_help(self, ctx: Any, formatter: Any) -> None:
            super().format_help(ctx, formatter)
            if (trainer := ctx.meta.get(TRAINER)) is not None:
                from hypevo.cli.trainer import list_options

                list_options(trainer)

    return Command


def split(options: list[Option], words: list[str], trainer: str | None) -> tuple[list[str], dict[str, str]]:
    """Divide a command line into the words that the command understands and the options that it passes on.

    A flag may have a value as in `--recommended=true`, for programs that write one always, and an option that is
    passed on may have none: it is a flag of the trainer's.

    Args:
        options: Those of the command.
        words: What was typed.
        trainer: Its full name; empty for a command without one, None when a study will say it.

    Raises:
        InputError: A word is neither.
    """
    known = {one.name: one for one in options if not one.argument}
    room = sum(one.argument for one in options)
    ours: list[str] = []
    passed: dict[str, str] = {}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if (plain := name.replace("_", "-")) in known and name not in known:
            name, word = plain, plain + equals + value  # programs write --gpu_hours too
        if word in HELP:
            return [word], {}
        if name in known and known[name].is_flag:
            if not equals or (value and known[name].parse(value)):
                ours.append(name)
        elif name in known:
            ours += [word] if equals else [word, *waiting[:1]]
            waiting = waiting if equals else waiting[1:]
        elif word.startswith("--") and word != "--":
            if not equals:
                has_value = waiting and not _is_option(waiting[0])
                value = waiting.pop(0) if has_value else "true"
            passed[name] = value
        elif room and not word.startswith("-"):
            room -= 1
            ours.append(word)
        else:
            raise InputError(answer_word(word, list(known), trainer))
    return ours, passed


def _is_option(word: str) -> bool:
    """Whether a word is the name of an option; with a blank in it, it is a value: `--extra "--workers 1"`."""
    return word in HELP or (word.startswith("--") and not any(map(str.isspace, word)))


def _takes_more(settings: type[Any]) -> bool:
    """Whether there is a trainer that options can be passed on to."""
    return any(one.name == "options" for one in dataclasses.fields(settings))


def _trainer(options: list[Option], values: Mapping[str, Any]) -> str | None:
    """The full name of the trainer; None where it is not known yet, because a study says it."""
    for one in options:
        if one.field == "trainer" and values.get("from_trial") is None:
            return full_name(values.get("trainer", one.default))
    return None


def _typed(options: list[Option], field: str, words: list[str]) -> str | None:
    """What a command line says for a field, before it is parsed: help is shown however wrong the rest is."""
    for one in options:
        if one.field == field and not one.argument:
            for word, following in zip(words, (*words, "")[1:], strict=True):
                if word.startswith(f"{one.name}=") or word == one.name:
                    return (word.partition("=")[2] if "=" in word else following) or str(one.default)
            return str(one.default)
    return None


def _is_required(one: Option) -> bool:
    return one.default is dataclasses.MISSING


def _annotation(one: Option) -> Any:
    text = escape(one.help)
    if one.argument:
        return Annotated[
            str if _is_required(one) else str | None,
            typer.Argument(help=text, show_default=False, autocompletion=completer(one)),
        ]
    if one.is_flag:
        return Annotated[
            bool, typer.Option(one.name, help=text, rich_help_panel=one.panel or None, show_default=False)
        ]
    return Annotated[
        str | None,
        typer.Option(
            one.name,
            metavar=one.kind,
            help=text,
            rich_help_panel=one.panel or None,
            show_default=False,
            autocompletion=completer(one),
        ),
    ]
