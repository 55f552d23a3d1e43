"""What `hypevo fidelity` prints: a line for each epoch, and what follows from them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from hypevo.cli.terminal import results
from hypevo.messages import printable
from hypevo.study.fidelity import Epoch, fidelity
from hypevo.study.storage import load_study

if TYPE_CHECKING:
    from hypevo.cli.questions import Fidelity

_LINES = 20  # of the table


def tell(asked: Fidelity) -> None:
    """Print how early the trials of a study show how they will end.

    Raises:
        InputError: there is no such study.
    """
    found = fidelity(load_study(asked.storage, asked.study))
    if asked.json:
        typer.echo(json.dumps(found.to_dict()))
        return
    output = results()
    output.print(printable(f"{found.study}: {found.trials} trials that ran in full and reported epochs"))
    if found.epochs:
        step = -(-len(found.epochs) // _LINES)
        shown = found.epochs[::-step][::-1]  # the last one always
        table = Table(box=None)
        for title in ("epoch", "trials", "Spearman", "95 %", "best survives", "best third survives"):
            table.add_column(title, justify="right")
        for epoch in shown:
            table.add_row(*_cells(epoch))
        output.print(table)
        output.print(
            "Spearman: of the fitness after that epoch and at the end. Survives: a cut to the better half there; by "
            "chance 50 %."
        )
        if step > 1:
            output.print(f"{len(shown)} of {len(found.epochs)} epochs are shown; --json has all")
    for sentence in found.conclusion:
        output.print(printable(sentence))


def _cells(epoch: Epoch) -> tuple[str, ...]:
    known = epoch.correlation is not None
    return (
        str(epoch.epoch),
        str(epoch.trials),
        f"{epoch.correlation:.2f}" if known else "–",
        f"{epoch.low:.2f} to {epoch.high:.2f}" if known else "all equal",
        f"{epoch.best_survives:.0%}",
        f"{epoch.third_survives:.0%}",
    )
