"""What comes before any training: `hypevo check` looks, `hypevo fetch` brings what is not here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from hypevo.cli.forecast import forecast
from hypevo.cli.progress import TerminalWatcher
from hypevo.cli.tables import gene_lines
from hypevo.messages import printable, refuse
from hypevo.paste import pasted
from hypevo.preflight import preflight
from hypevo.study.adopt import adoptable
from hypevo.study.earlier import begin_from_earlier
from hypevo.study.sample import first_child
from hypevo.trainings import backend_of, make_backend
from hypevo.trainings.fetch import fetch

if TYPE_CHECKING:
    from rich.console import Console

    from hypevo.cli.questions import Check, Fetch

CACHE = "HYPEVO_CACHE"  # the variable that names the folder of fetched files


def look(settings: Check, console: Console) -> bool:
    """Say everything that can be found wrong, and whether an evolution is ready to begin.

    Raises:
        InputError: Something is wrong.
    """
    watcher = TerminalWatcher(console)
    backend = backend_of(settings, settings.trainer, watcher.message)
    try:
        checked = preflight(settings, backend)
        watcher.found(checked.findings)
        refuse(checked.errors)
        adoptable(settings, checked.plan)
        plan = begin_from_earlier(settings, checked.plan, watcher.message)
        slots = backend.slots()
        ready = all(finding.level != "absent" for finding in checked.findings)
        time = forecast(settings, checked, backend) if ready else ""
    finally:
        backend.close()
    if not ready:
        command = pasted(["hypevo", "fetch", *settings.trainer_words()])
        console.print(
            printable(f"not ready: what is not here could not be checked; this brings it here: {command}"),
            style="yellow",
        )
        return False
    console.print(
        f"the first child, as --sampler {settings.sampler} proposes it with --seed {settings.seed}, default → child, "
        "as a share of the range (nothing is trained):"
    )
    for line in gene_lines(first_child(plan, settings.sampler)):
        console.print(printable(line))
    console.print(printable(time))
    genes = ", ".join(gene.name for gene in checked.plan.space.movable)
    devices = ", ".join(dict.fromkeys(slot.place for slot in slots))
    console.print(
        printable(f"ready: {len(checked.plan.space.movable)} genes move ({genes}); device {devices}")
    )
    return True


def bring(asked: Fetch, console: Console) -> None:
    """Fetch what the trainer's options name and is not here, and say where it is.

    Raises:
        InputError: It cannot be fetched, or is not what was expected.
    """
    if asked.into is not None:
        os.environ[CACHE] = str(asked.into.resolve())  # where the trainer's process looks and writes
    found = make_backend(asked.trainer).call(fetch, asked.trainer, dict(asked.options))
    for name, value in found.items():
        typer.echo(f"{name}: {printable(value)}")
    console.print("everything that is named is here")
    if asked.into is not None:
        console.print(printable(f"other commands look there with {CACHE}={os.environ[CACHE]}"))
