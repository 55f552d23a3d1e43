"""What `hypevo confirm` prints: the verdicts and what to do next, or one JSON object."""

from __future__ import annotations

import json

import typer
from rich.console import Console

from hypevo.cli.progress import TerminalWatcher
from hypevo.cli.questions import Confirm
from hypevo.cli.summary import on_mlflow
from hypevo.messages import printable
from hypevo.retraining.confirm import confirm


def show(asked: Confirm, console: Console) -> tuple[bool, bool]:
    """Confirm, and print what came out of it; returns whether it was interrupted, and whether all is judged and stored.

    Results go to standard output, everything else to the console.
    """
    with TerminalWatcher(console, what="training") as watcher:
        confirmation = confirm(asked, watcher)
    if confirmation.interrupted:
        console.print("interrupted; the same command continues", style="yellow")
    elif asked.json:
        typer.echo(json.dumps(confirmation.to_dict()))
    else:
        for sentence in confirmation.sentences:
            typer.echo(printable(sentence))
    console.print(on_mlflow(*confirmation.page), markup=False, highlight=False)
    if confirmation.undelivered:
        console.print(
            f"MLflow did not answer: {confirmation.undelivered} records (trainings, the verdict) will be delivered by "
            f"the same command",
            style="yellow",
        )
    judged = bool(confirmation.verdicts) and all(verdict.judged for verdict in confirmation.verdicts)
    return confirmation.interrupted, judged and not confirmation.undelivered
