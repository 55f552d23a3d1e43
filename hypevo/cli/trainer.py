"""What a trainer offers, for people: its options with their help, its genes, its metrics, its fitness.

The trainer's module is imported here, in the command's own process. That is against the rule of every other command,
and right here: the process ends after the listing, so that nothing can stay loaded or be forked, and importing a
trainer is cheap by contract (ours load no torch). A child would import the same, only later.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hypevo.problem.fitness import usual_fitness
from hypevo.protocol import InputError
from hypevo.trainings.offer import fitness_of, metrics_of, space_of, weights_of
from hypevo.trainings.resolve import resolve

if TYPE_CHECKING:
    from hypevo.problem.options import Option
    from hypevo.problem.space import Gene, Space
    from hypevo.trainings.resolve import Resolved

_OFFERS = {
    "check": "looks at the data beforehand",
    "probe": "tries the device out beforehand",
    "estimate": "tells how long a training takes",
    "fetch": "brings what is not here (`hypevo fetch`)",
    "prepare": "prepares what all trainings share",
    "fingerprint": "tells when the data have changed",
    "versions": "tells MLflow the versions of what it runs",
    "validate": "measures a checkpoint (`hypevo val`)",
}


def list_options(name: str) -> None:
    """Print the options of a trainer below a command's help; a trainer that cannot be imported is said."""
    try:
        found = resolve(name)
    except InputError as error:
        print_panel(f"Options of the trainer {name}", Text(f"They cannot be listed: {error}"))
        return
    print_panel(f"Options of the trainer {found.name}", _table(found.options))


def describe(name: str, given: Mapping[str, Any]) -> None:
    """Print what a trainer is and offers.

    Args:
        name: The trainer.
        given: Options of its own: what it offers may depend on them.

    Raises:
        InputError: It cannot be imported, or has no such options.
    """
    found = resolve(name)
    console = _console()
    console.print(found.name, style="bold")
    console.print((inspect.getdoc(found.function) or "It says nothing of itself.").partition("\n\n")[0])
    try:
        settings = found.settings(given)
    except InputError as error:
        if given:
            raise
        settings, lacking = None, str(error)
    else:
        lacking = ""

    def says(ask: Callable[[Resolved, Any], Any], nothing: str) -> Any:
        """What it answers, or in words why it cannot."""
        try:
            return ask(found, settings) or nothing
        except InputError as error:
            return f"that depends on its options: {lacking}" if lacking else str(error)

    metrics = says(metrics_of, "it does not say which")
    console.print(f"metrics: {metrics if isinstance(metrics, str) else ', '.join(metrics)}")
    usual = usual_fitness(metrics) if isinstance(metrics, tuple) else ""
    console.print(f"fitness: {says(fitness_of, usual or 'give one with --fitness')}")
    weights = says(weights_of, "weights/*")
    console.print(f"weights: {weights if isinstance(weights, str) else ', '.join(weights)}")
    for offer, does in _OFFERS.items():
        if hasattr(found.module, offer):
            console.print(f"{offer}: {does}")
    nothing = "It brings none: give them in a --space file."
    if usual:
        nothing += " A search without one takes YOLOv5's, as it returns the metrics of detectors."
    genes = says(space_of, nothing)
    print_panel("Genes", Text(genes) if isinstance(genes, str) else _genes(genes))
    print_panel("Options", _table(found.options))


def print_panel(title: str, content: Table | Text) -> None:
    """Print a box in the look of a command's help."""
    _console().print(Panel(content, title=Text(title), title_align="left", border_style="dim"))


def _table(options: list[Option]) -> Table | Text:
    if not options:
        return Text("It has none.")
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for one in options:
        table.add_row(Text(one.name, "bold cyan"), Text(one.kind, "bold yellow"), Text(one.help))
    return table


def _genes(space: Space) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("name", "values", "default", "gain"):
        table.add_column(title, header_style="dim")
    for gene in space.values():
        default = "" if gene.default is None else _shown(gene.default)
        gain = f"{gene.gain:g}" if gene.movable else "frozen"
        table.add_row(Text(gene.name, "bold cyan"), Text(_values(gene)), Text(default), Text(gain))
    return table


def _values(gene: Gene) -> str:
    if gene.choices is not None:
        return ", ".join(map(_shown, gene.choices))
    kind = ", whole" if gene.type == "int" else ""
    step = f", in steps of {gene.step:g}" if gene.step is not None else ""
    return f"{gene.low:g} to {gene.high:g}{kind}{step}{', on a logarithmic scale' if gene.log else ''}"


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _console() -> Console:
    return Console(markup=False, emoji=False, highlight=False)
