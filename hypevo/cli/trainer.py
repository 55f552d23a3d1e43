"""What a trainer offers, for people: its options with their help, its metrics.

The trainer's module is imported here, in the command's own process. That is against the rule of every other command,
and right here: the process ends after the listing, so that nothing can stay loaded or be forked, and importing a
trainer is cheap by contract (ours load no torch). A child would import the same, only later.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hypevo.messages import first_line
from hypevo.protocol import InputError, full_name
from hypevo.trainings.resolve import resolve

if TYPE_CHECKING:
    from hypevo.problem.options import Option
    from hypevo.trainings.resolve import Resolved

_OFFERS = {
    "check": "looks at the data beforehand",
    "prepare": "prepares what all trainings share",
    "fingerprint": "tells when the data have changed",
    "validate": "measures a checkpoint (`hypevo val`)",
}


def list_options(name: str) -> None:
    """Print the options of a trainer below a command's help; a trainer that cannot be imported is said."""
    try:
        found = _found(name)
    except InputError as error:
        print_panel(f"Options of the trainer {name}", Text(f"They cannot be listed: {error}"))
        return
    print_panel(f"Options of the trainer {found.name}", _table(found.options))


def describe(name: str) -> None:
    """Print what a trainer is and offers.

    Raises:
        InputError: It cannot be imported.
    """
    found = _found(name)
    console = _console()
    console.print(found.name, style="bold")
    console.print((inspect.getdoc(found.function) or "It says nothing of itself.").partition("\n\n")[0])
    metrics = ", ".join(getattr(found.module, "METRICS", ())) or "it does not say which"
    console.print(f"metrics: {metrics}")
    for offer, does in _OFFERS.items():
        if hasattr(found.module, offer):
            console.print(f"{offer}: {does}")
    print_panel("Options", _table(found.options))


def print_panel(title: str, content: Table | Text) -> None:
    """Print a box in the look of a command's help."""
    _console().print(Panel(content, title=Text(title), title_align="left", border_style="dim"))


def _found(name: str) -> Resolved:
    try:
        return resolve(name)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"trainer {full_name(name)}: importing it failed: {first_line(error)}") from error


def _table(options: list[Option]) -> Table | Text:
    if not options:
        return Text("It has none.")
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for one in options:
        table.add_row(Text(one.name, "bold cyan"), Text(one.kind, "bold yellow"), Text(one.help))
    return table


def _console() -> Console:
    return Console(markup=False, emoji=False, highlight=False)
