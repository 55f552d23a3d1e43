"""What `hypevo status` does: say where studies stand, once, as JSON, or again and again."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from hypevo.cli.tables import print_status, print_studies
from hypevo.cli.terminal import results
from hypevo.messages import printable
from hypevo.study.status import all_studies, study_status

if TYPE_CHECKING:
    from rich.console import Console

    from hypevo.cli.questions import Status


def say(asked: Status, console: Console) -> None:
    """Answer the question; with `--watch` until nobody drives the study any more, or Ctrl-C.

    Raises:
        InputError: No such study.
    """
    notes: list[str] = []
    while True:
        several = all_studies(asked.storage) if asked.study is None and asked.fitness is None else []
        if len(several) > 1:
            found: Any = several
            driven = any(study["driver"] for study in several)
        else:
            found = study_status(asked.storage, asked.study, asked.fitness, notes.append)
            driven = found["driver"] is not None
        for note in dict.fromkeys(notes):
            console.print(printable(note), style="yellow")
        _print(found, asked)
        if asked.watch is None or not driven:
            return
        time.sleep(asked.watch)
        notes.clear()


def _print(found: Any, asked: Status) -> None:
    if asked.json:
        typer.echo(json.dumps(found))
        return
    output = results()
    if asked.watch is not None:
        if output.is_terminal and not output.is_dumb_terminal:
            output.clear()
        else:
            output.print(f"{datetime.now():%H:%M:%S}")
    if isinstance(found, list):
        print_studies(found)
    else:
        print_status(found)
