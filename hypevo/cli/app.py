"""The `hypevo` command: what a user types, and how each answer and each error reaches the terminal.

Nothing heavy is imported here: `hypevo --help` loads neither torch, mlflow nor optuna.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hypevo.cli import options as opt
from hypevo.messages import hidden
from hypevo.problem.settings import EvolveSettings
from hypevo.protocol import InputError, WorkError

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="hypevo",
    help="Evolve the hyperparameters of a detector training, and know that the winner wins.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console(stderr=True, soft_wrap=True)  # progress and messages; standard output is for results


@app.command(context_settings=opt.PASS_ON)
def evolve(
    context: typer.Context,
    data: opt.Data = None,
    weights: opt.Weights = None,
    model: opt.Model = None,
    img: opt.Img = None,
    epochs: opt.Epochs = None,
    batch: opt.Batch = None,
    optimizer: opt.Optimizer = None,
    trainer: opt.Trainer = "yolov5",
    hyp: opt.Hyp = None,
    space: opt.Space = None,
    freeze: opt.Freeze = None,
    only: opt.Only = None,
    fitness: opt.Fitness = EvolveSettings.fitness,
    generations: opt.Generations = None,
    hours: opt.Hours = None,
    gpu_hours: opt.GpuHours = None,
    patience: opt.Patience = None,
    min_gain: opt.MinGain = EvolveSettings.min_gain,
    sampler: opt.Sampler = EvolveSettings.sampler,
    pruner: opt.Pruner = "none",
    device: opt.Device = "auto",
    slots_per_device: opt.SlotsPerDevice = 1,
    stagger: opt.Stagger = 30.0,
    seed: opt.Seed = 0,
    trial_seed: opt.TrialSeed = "fixed",
    retries: opt.Retries = 2,
    trial_timeout: opt.TrialTimeout = None,
    max_failures: opt.MaxFailures = 5,
    keep_weights: opt.KeepWeights = "best",
    study: opt.Study = None,
    storage: opt.Storage = EvolveSettings.storage,
    out: opt.Out = EvolveSettings.out,
    cache: opt.Cache = EvolveSettings.cache,
    experiment: opt.Experiment = EvolveSettings.experiment,
) -> None:  # fmt: skip
    """Evolve a study; the same command resumes it.

    Options that are not listed here go to the trainer (--warmup-floor 0, --cos-lr, …).

    Example: hypevo evolve --data coco128.yaml --weights yolov5s.pt --epochs 10 --generations 300
    """
    from hypevo.cli.progress import TerminalWatcher
    from hypevo.evolution.evolve import evolve as run

    settings = opt.settings(context)
    with TerminalWatcher(console) as watcher:
        summary = run(settings, watcher)
    from hypevo.cli.summary import show

    show(summary, console)
    if summary.interrupted:
        raise typer.Exit(INTERRUPTED)
    if summary.best is None or summary.failed:
        raise typer.Exit(FAILED)


@app.command(context_settings=opt.PASS_ON)
def check(
    context: typer.Context,
    data: opt.Data = None,
    weights: opt.Weights = None,
    model: opt.Model = None,
    img: opt.Img = None,
    epochs: opt.Epochs = None,
    batch: opt.Batch = None,
    optimizer: opt.Optimizer = None,
    trainer: opt.Trainer = "yolov5",
    hyp: opt.Hyp = None,
    space: opt.Space = None,
    freeze: opt.Freeze = None,
    only: opt.Only = None,
    fitness: opt.Fitness = EvolveSettings.fitness,
    device: opt.Device = "auto",
) -> None:
    """Look for everything that can be wrong, and train nothing.

    Example: hypevo check --data my/data.yaml --weights yolov5s.pt --hyp my/hyp.yaml
    """
    from hypevo.cli.progress import TerminalWatcher
    from hypevo.messages import refuse
    from hypevo.preflight import preflight
    from hypevo.trainings.local import LocalBackend

    settings = opt.settings(context)
    look = preflight(settings, LocalBackend(settings.trainer))
    TerminalWatcher(console).found(look.findings)
    refuse(look.errors)
    genes = ", ".join(gene.name for gene in look.plan.space.movable)
    console.print(
        f"ready: {len(look.plan.space.movable)} genes move ({genes}); device {', '.join(look.devices)}",
        markup=False,
    )


@app.command(context_settings=opt.PASS_ON)
def train(
    context: typer.Context,
    data: opt.Data = None,
    weights: opt.Weights = None,
    model: opt.Model = None,
    img: opt.Img = None,
    epochs: opt.Epochs = None,
    batch: opt.Batch = None,
    optimizer: opt.Optimizer = None,
    trainer: opt.Trainer = "yolov5",
    hyp: opt.Hyp = None,
    space: opt.Space = None,
    fitness: opt.Fitness = EvolveSettings.fitness,
    device: opt.Device = "auto",
    seed: opt.Seed = 0,
    from_trial: opt.FromTrial = None,
    from_study: opt.FromStudy = None,
    storage: opt.Storage = EvolveSettings.storage,
    study: opt.Name = None,
    out: opt.Out = Path("runs/train"),
    cache: opt.Cache = EvolveSettings.cache,
    experiment: opt.Experiment = None,
) -> None:  # fmt: skip
    """Train once with a hyp file, in an MLflow run of its own.

    Example: hypevo train --hyp runs/evolve/coco128/hyp_evolved.yaml --data coco128.yaml --weights yolov5s.pt
    """
    from hypevo.retraining.train import repeat_of, train_once

    settings = opt.settings(context)
    repeat = None if from_trial is None else repeat_of(from_trial, from_study, settings)
    if repeat is None:
        outcome, folder = train_once(settings, console)
    else:
        outcome, folder = train_once(repeat.settings, console, repeat.individual)
    if outcome.failure is not None:
        console.print(
            f"{outcome.failure}: {outcome.reason}; see {folder / 'log.txt'}", style="bold red", markup=False
        )
        raise typer.Exit(INTERRUPTED if outcome.failure == "interrupted" else FAILED)
    _print_metrics(outcome.metrics)
    for name, before in repeat.metrics.items() if repeat else ():
        difference = outcome.metrics[name] - before
        same = "the same to the last digit" if difference == 0 else f"differs by {difference:+.3g}"
        console.print(f"{name}: {same}", markup=False, highlight=False)
    console.print(f"everything is in {folder}", markup=False)


@app.command(context_settings=opt.PASS_ON)
def val(
    context: typer.Context,
    weights: opt.Weights = None,
    data: opt.Data = None,
    img: opt.Img = None,
    batch: opt.Batch = None,
    trainer: opt.Trainer = "yolov5",
    device: opt.Device = "auto",
    as_json: opt.Json = False,
) -> None:
    """Measure a checkpoint on a dataset.

    Example: hypevo val --weights yolov5n.pt --data coco128.yaml --img 640
    """
    from hypevo.protocol import full_name
    from hypevo.trainings import child as trial
    from hypevo.trainings.devices import parse_devices
    from hypevo.trainings.local import LocalBackend

    chosen = parse_devices(device)[0]
    options = opt.trainer_options(context)
    metrics = LocalBackend(full_name(trainer)).call(trial.validate, trainer, options, chosen, device=chosen)
    if as_json:
        typer.echo(json.dumps({"metrics": metrics}))
    else:
        _print_metrics(metrics)


@app.command()
def status(
    study: opt.Study = None,
    storage: opt.Storage = EvolveSettings.storage,
    as_json: opt.Json = False,
) -> None:
    """Say where a study stands: generations, best, failures by kind.

    Example: hypevo status --study coco128
    """
    from hypevo.study.status import study_status

    found = study_status(storage, study)
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table(show_header=False, box=None)
    for key, value in found.items():
        table.add_row(key.replace("_", " "), Text(_cell(value)))
    console = Console(soft_wrap=True)
    console.print(table)
    if found["interrupted"]:
        console.print("no driver is running; the command that began the study continues it", style="yellow")


def _cell(value: object) -> str:
    """A value of the status as people read it."""
    if isinstance(value, dict):
        return _cell([f"{name} {_cell(one)}" for name, one in value.items()])
    if isinstance(value, list):
        return ", ".join(f"trial {one}" if isinstance(one, int) else one for one in value) or "–"
    if isinstance(value, float):
        return f"{value:.5f}"
    return "–" if value is None else str(value)


@app.command(context_settings=opt.PASS_ON)
def confirm(
    context: typer.Context,
    study: opt.Study = None,
    top: Annotated[int, typer.Option(help="Candidates: so many of the best trials.")] = 1,
    recommended: Annotated[bool, typer.Option(help="One more candidate: the mean of the elite.")] = False,
    seeds: Annotated[
        int, typer.Option(help="Fresh seeds; each trains the baseline and every candidate.")
    ] = 5,
    epochs: opt.Epochs = None,
    device: opt.Device = "auto",
    storage: opt.Storage = EvolveSettings.storage,
    out: opt.Out = EvolveSettings.out,
    cache: opt.Cache = EvolveSettings.cache,
    as_json: opt.Json = False,
) -> None:
    """Train the winner and the default again with fresh seeds, and say if it really wins.

    Options that are not listed here go to the trainer, over those of the study.

    Example: hypevo confirm --study coco128 --seeds 5 --epochs 100
    """
    from hypevo.retraining.confirm import ConfirmSettings
    from hypevo.retraining.confirm import confirm as run

    chosen = ConfirmSettings(
        study=study,
        storage=storage,
        top=top,
        recommended=recommended,
        seeds=seeds,
        options=opt.trainer_options(context),
        device=device,
        out=Path(out),
        cache=Path(cache),
    )
    verdicts = run(chosen, console)
    if as_json:
        typer.echo(json.dumps([verdict.to_dict() for verdict in verdicts]))
    else:
        for verdict in verdicts:
            typer.echo(str(verdict))
    if not all(verdict.judged for verdict in verdicts):
        raise typer.Exit(FAILED)


@app.command("import", context_settings=opt.PASS_ON)
def import_(
    context: typer.Context,
    csv: Annotated[Path, typer.Argument(help="An evolve.csv, YOLOv5's own too.")],
    data: opt.Data = None,
    weights: opt.Weights = None,
    model: opt.Model = None,
    img: opt.Img = None,
    epochs: opt.Epochs = None,
    batch: opt.Batch = None,
    optimizer: opt.Optimizer = None,
    trainer: opt.Trainer = "yolov5",
    hyp: opt.Hyp = None,
    space: opt.Space = None,
    freeze: opt.Freeze = None,
    only: opt.Only = None,
    fitness: opt.Fitness = EvolveSettings.fitness,
    seed: opt.Seed = 0,
    study: opt.Study = None,
    storage: opt.Storage = EvolveSettings.storage,
    out: opt.Out = EvolveSettings.out,
    as_json: opt.Json = False,
) -> None:
    """Bring an evolve.csv into a study; `hypevo evolve` with the same options goes on from there.

    Example: hypevo import old/evolve.csv --data coco128.yaml --weights yolov5s.pt
    """
    from hypevo.messages import refuse
    from hypevo.preflight import preflight
    from hypevo.study.import_csv import import_csv
    from hypevo.trainings.local import LocalBackend

    settings = opt.settings(context)
    look = preflight(settings, LocalBackend(settings.trainer))
    refuse(look.errors)
    found = import_csv(csv, settings, look.plan)
    for sentence in found.skipped:
        console.print(f"left out: {sentence}", style="yellow", markup=False)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        console.print(f"{found.trials} trials are now in study «{found.study}»", markup=False)


@app.command()
def export(
    study: opt.Study = None,
    storage: opt.Storage = EvolveSettings.storage,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write into; runs/evolve/STUDY by default.")
    ] = None,
) -> None:
    """Write evolve.csv, hyp_evolved.yaml and evolve.png of a study again, and hyp_recommended.yaml.

    Example: hypevo export --study coco128 --out results
    """
    from hypevo.study.exports import export_study

    for path in export_study(storage, study, out):
        typer.echo(path)


@app.command()
def plot(
    csv: Annotated[Path, typer.Argument(help="Any evolve.csv, YOLOv5's own too.")],
    out: Annotated[
        Path | None, typer.Option(help="The picture; evolve.png beside the csv by default.")
    ] = None,
    space: opt.Space = None,
    fitness: opt.Fitness = EvolveSettings.fitness,
) -> None:
    """Draw evolve.png from an evolve.csv.

    Example: hypevo plot runs/evolve/coco128/evolve.csv
    """
    from hypevo.study.exports import plot_csv

    typer.echo(plot_csv(csv, out, Path(space) if space else None, fitness))


@app.command()
def ui(
    storage: opt.Storage = EvolveSettings.storage,
    mlflow_port: Annotated[int, typer.Option(help="Port of MLflow's page.")] = 5000,
    dashboard_port: Annotated[int, typer.Option(help="Port of optuna-dashboard.")] = 8080,
) -> None:
    """Open both views of the studies in this folder: MLflow and optuna-dashboard.

    Example: hypevo ui
    """
    from hypevo.cli.ui import serve

    serve(storage, mlflow_port, dashboard_port, console)


def main() -> NoReturn:
    """The console script: exit codes 0 done, 1 the work failed, 2 the input is wrong, 130 interrupted."""
    try:
        app()
    except InputError as error:
        console.print(hidden(f"error: {error}"), style="bold red", markup=False, highlight=False)
        sys.exit(WRONG_INPUT)
    except WorkError as error:
        console.print(hidden(f"failed: {error}"), style="bold red", markup=False, highlight=False)
        sys.exit(FAILED)
    sys.exit(DONE)


def _print_metrics(metrics: Any) -> None:
    table = Table(box=None)
    for name in metrics:
        table.add_column(name, justify="right")
    table.add_row(*(f"{value:.5g}" for value in metrics.values()))
    Console(soft_wrap=True).print(table)
