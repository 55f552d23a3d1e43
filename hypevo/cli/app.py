"""The `hypevo` command: what each command does, and how each answer and each error reaches the terminal.

A command's options are the fields of its settings (`hypevo.cli.options`). Nothing heavy is imported here:
`hypevo --help` loads neither torch, mlflow nor optuna.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from hypevo.cli import questions as ask
from hypevo.cli.options import add_command
from hypevo.cli.tables import print_metrics
from hypevo.cli.terminal import keep_secrets, messages, open_streams
from hypevo.interrupts import Interrupted, terminated_gently
from hypevo.messages import printable, printable_lines
from hypevo.problem.settings import EvolveSettings, TrainSettings
from hypevo.protocol import InputError, WorkError

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="hypevo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = messages()  # standard output is for results


def evolve(settings: EvolveSettings) -> None:
    """Evolve a study; the same command resumes it.

    The trainer's own options are listed last; they are given in the same way.

    Example: hypevo evolve --data coco128.yaml --weights yolov5s.pt --epochs 10 --generations 300
    """
    from hypevo.cli.progress import TerminalWatcher

    with TerminalWatcher(console) as watcher:
        watcher.busy("loading Optuna and MLflow")  # seconds, on a busy machine a minute
        from hypevo.cli.clone import lost_places
        from hypevo.evolution.evolve import evolve as run

        watcher.found(lost_places({"out": settings.out, "storage": settings.storage}, Path.cwd()))

        summary = run(settings, watcher)
    from hypevo.cli.summary import show

    show(summary, settings.storage, console)
    if summary.interrupted:
        raise typer.Exit(INTERRUPTED)
    unregistered = settings.register and not summary.kept.registered
    if summary.best is None or summary.failed or summary.undelivered or unregistered:
        raise typer.Exit(FAILED)


def check(asked: ask.Check) -> None:
    """Look for everything that can be wrong, and train nothing. It takes every option of `hypevo evolve`.

    Example: hypevo check --data my/data.yaml --weights yolov5s.pt --hyp my/hyp.yaml
    """
    from hypevo.cli.beforehand import look

    if not look(asked, console):
        raise typer.Exit(FAILED)


def fetch(asked: ask.Fetch) -> None:
    """Download the dataset and the weights that --data and --weights name; each download is announced before it begins.

    The trainer's own options are listed last; they are given in the same way.

    Example: hypevo fetch --data coco128.yaml --weights yolov5n.pt
    """
    from hypevo.cli.beforehand import bring

    bring(asked, console)


def train(settings: TrainSettings) -> None:
    """Train once with a hyp file, in an MLflow run of its own.

    The trainer's own options are listed last; they are given in the same way.

    Example: hypevo train --hyp runs/evolve/coco128/hyp_confirmed.yaml --data coco128.yaml --weights yolov5s.pt
    """
    from hypevo.cli.train import run

    failed = run(settings, console)
    if failed is not None:
        raise typer.Exit(INTERRUPTED if failed == "interrupted" else FAILED)


def val(asked: ask.Val) -> None:
    """Measure a checkpoint on a dataset.

    The trainer's own options are listed last; they are given in the same way.

    Example: hypevo val --weights yolov5n.pt --data coco128.yaml --img 640
    """
    from hypevo.cli.progress import TerminalWatcher
    from hypevo.messages import refuse
    from hypevo.preflight import probe
    from hypevo.trainings import child, make_backend

    backend = make_backend(asked.trainer, device=asked.device)
    findings = probe(asked.trainer, asked.options, backend)
    TerminalWatcher(console).found([finding for finding in findings if finding.level != "note"])
    refuse([finding.message for finding in findings if finding.level == "error"])
    slot = backend.slots()[0]
    metrics = backend.call(child.validate, asked.trainer, dict(asked.options), slot.device, slot=slot)
    if asked.json:
        typer.echo(json.dumps({"metrics": metrics}))
    else:
        print_metrics(metrics)


def status(asked: ask.Status) -> None:
    """Say where a study stands: generations, best, failures by kind. With several studies and no --study: list them.

    Example: hypevo status --study coco128
    """
    from hypevo.cli.status import say

    say(asked, console)


def fidelity(asked: ask.Fidelity) -> None:
    """Say how early trials show how they will end: how short they may be, what each --pruner would have saved and lost.

    Example: hypevo fidelity --study coco128
    """
    from hypevo.cli.fidelity import tell

    tell(asked)


def confirm(asked: ask.Confirm) -> None:
    """Train the winner and the default again with fresh seeds, and say whether it really wins.

    Options that are not listed here go to the study's trainer, in place of the study's own: --epochs 100, for instance.
    `hypevo trainer NAME` lists them.

    Example: hypevo confirm --study coco128 --seeds 5 --epochs 100
    """
    from hypevo.cli.confirm import show

    interrupted, complete = show(asked, console)
    if not complete:
        raise typer.Exit(INTERRUPTED if interrupted else FAILED)


def import_(asked: ask.Import) -> None:
    """Bring an evolve.csv into a study; `hypevo evolve` with the same options goes on from there.

    The trainer's own options are listed last; they are given in the same way.

    Example: hypevo import old/evolve.csv --data coco128.yaml --weights yolov5s.pt
    """
    from hypevo.messages import refuse
    from hypevo.preflight import preflight
    from hypevo.study.import_csv import import_csv
    from hypevo.trainings import make_backend

    checked = preflight(asked, make_backend(asked.trainer))
    refuse(checked.errors)
    found = import_csv(
        asked.csv, asked, checked.plan, tell=lambda text: console.print(printable(text), style="yellow")
    )
    for sentence in found.skipped:
        console.print(printable(f"left out: {sentence}"), style="yellow")
    if asked.json:
        typer.echo(json.dumps(asdict(found)))
    else:
        console.print(f"{found.trials} trials are now in study «{found.study}»")


def export(asked: ask.Export) -> None:
    """Write evolve.csv, hyp_evolved.yaml and evolve.png of a study again, and hyp_recommended.yaml.

    With --format, write the winner for another program instead.

    Example: hypevo export --study coco128 --format yolov5 --repo ~/yolov5
    """
    from hypevo.cli.export import write

    for path in write(asked, console):
        typer.echo(printable(str(path)))


def plot(asked: ask.Plot) -> None:
    """Draw the pictures of a study, by its name, or of an evolve.csv.

    Example: hypevo plot runs/evolve/coco128/evolve.csv
    """
    from hypevo.study.plotting import plot as draw

    for path in draw(asked.source, asked.storage, asked.out, asked.space, asked.fitness):
        typer.echo(printable(str(path)))


def report(asked: ask.Report) -> None:
    """Write one HTML page of a study that can be sent to anybody: result, pictures, genes, all trials, settings.

    Example: hypevo report coco128
    """
    from hypevo.cli.report import write

    typer.echo(printable(str(write(asked, console))))


def trainer(asked: ask.Describe) -> None:
    """Show a trainer: its options with their help, its genes, its metrics, its fitness.

    What it offers may depend on its options: give them too, in the same way as to `hypevo evolve`.

    Example: hypevo trainer my_package.my_module:train
    """
    from hypevo.cli.trainer import describe

    describe(asked.trainer, asked.options)


def ui(asked: ask.Ui) -> None:
    """Open both views of the studies in this folder: MLflow and optuna-dashboard.

    Example: hypevo ui
    """
    from hypevo.cli.ui import serve

    serve(asked.storage, asked.mlflow_port, asked.dashboard_port, console)


COMMANDS: dict[str, tuple[type[Any], Any]] = {  # name -> its settings, what it does
    "evolve": (EvolveSettings, evolve),
    "check": (ask.Check, check),
    "fetch": (ask.Fetch, fetch),
    "train": (TrainSettings, train),
    "val": (ask.Val, val),
    "status": (ask.Status, status),
    "fidelity": (ask.Fidelity, fidelity),
    "confirm": (ask.Confirm, confirm),
    "import": (ask.Import, import_),
    "export": (ask.Export, export),
    "plot": (ask.Plot, plot),
    "report": (ask.Report, report),
    "trainer": (ask.Describe, trainer),
    "ui": (ask.Ui, ui),
}
for _name, (_settings, _run) in COMMANDS.items():
    add_command(app, _settings, _run, _name)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hypevo {version('hypevo')}")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Evolve the hyperparameters of a detector training, and know whether the winner wins."""


def main() -> NoReturn:
    """The console script: exit codes 0 done, 1 the work failed, 2 the input is wrong, 130 interrupted."""
    open_streams()
    keep_secrets()
    try:
        with terminated_gently():
            app(prog_name="hypevo")  # else it is guessed, and completion asked under another name
    except InputError as error:
        console.print(printable_lines(f"error: {error}"), style="bold red")
        sys.exit(WRONG_INPUT)
    except WorkError as error:
        console.print(printable_lines(f"failed: {error}"), style="bold red")
        sys.exit(FAILED)
    except (Interrupted, KeyboardInterrupt):
        console.print("interrupted")
        sys.exit(INTERRUPTED)
    sys.exit(DONE)
