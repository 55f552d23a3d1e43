"""One training with given hyperparameters: the same process, records and tracking as a trial, without a search."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hypevo.cli.progress import TerminalWatcher
from hypevo.messages import refuse
from hypevo.preflight import preflight
from hypevo.problem.fitness import Fitness
from hypevo.problem.settings import EvolveSettings
from hypevo.problem.space import Space
from hypevo.protocol import Failure, InputError, Job, Outcome, WorkError
from hypevo.results.plots import plot_pr_curve
from hypevo.study.exports import metrics_of
from hypevo.study.storage import finished, load_plan, load_study
from hypevo.tracking.provenance import provenance
from hypevo.tracking.store import Store
from hypevo.tracking.tracker import Tracker
from hypevo.trainings import child
from hypevo.trainings.local import LocalBackend
from hypevo.trainings.record import Record

PR_CURVE = "pr_curve.csv"  # where a trainer leaves precision over recall, if it does
Individual = tuple[Space, dict[str, float]]


@dataclass(frozen=True)
class Repeat:
    """A finished trial of a study, to be trained again as it was."""

    settings: EvolveSettings
    individual: Individual
    metrics: Mapping[str, float]  # what the trial had returned


def train_once(
    settings: EvolveSettings, console: Console, individual: Individual | None = None
) -> tuple[Outcome, Path]:
    """Train, and return how it ended and the folder that holds everything.

    Args:
        settings: The trainer, its options, the seed, the places.
        console: Where progress is shown.
        individual: Space and hyperparameters; those of `settings.space` and `settings.hyp` unless given.

    Raises:
        InputError: before anything is trained.
    """
    backend = LocalBackend(settings.trainer)
    try:
        look = preflight(settings, backend, individual)
        TerminalWatcher(console).found(look.findings)
        refuse(look.errors)
        store = Store.default()
        store.check()
        plan, device = look.plan, look.devices[0]
        prepared: child.Prepared = backend.call(
            child.prepare, plan.trainer, dict(plan.settings), settings.cache.resolve()
        )
        record = Record(_new_folder(settings.out, settings.name, given=settings.study is not None), 0)
        tracker = Tracker(record.folder.name, store, weights=True)
        tracker.open_single(
            settings.experiment, plan.settings.get("data"), prepared.fingerprint, otherwise="hypevo-train"
        )
        origin = provenance(prepared.fingerprint)
        details = {
            "seed": settings.seed,
            "device": device,
            "params": {f"trainer.{name}": value for name, value in plan.settings.items()},
            "tags": {"hypevo.seed": str(settings.seed), "hypevo.device": device, **origin},
        }
        record.start(plan.hyp, details)
        job = Job(plan.trainer, plan.hyp, record.folder.resolve(), settings.seed, device, prepared.settings)
        outcome = _follow(job, backend, record, look.fitness, lambda: tracker.update(record), console)
        if (record.folder / PR_CURVE).exists():
            plot_pr_curve(record.folder / PR_CURVE, (record.folder / PR_CURVE).with_suffix(".png"))
        outcome, fitness = _scored(outcome, look.fitness)
        record.finish(outcome, fitness)
        tracker.update(record)
        tracker.drain()
        return outcome, record.folder
    finally:
        backend.close()


def repeat_of(number: int, study: str | None, settings: EvolveSettings) -> Repeat:
    """What it takes to train trial `number` of a study again: its trainer, options, hyperparameters and seed.

    Raises:
        InputError: there is no such study, or the trial has not finished.
    """
    found = load_study(settings.storage, study)
    plan = load_plan(found)
    trials = {trial.number: trial for trial in finished(found)}
    if number not in trials:
        known = f"0 to {max(trials)}" if trials else "none"
        raise InputError(f"study «{found.study_name}» has no finished trial {number}; finished are {known}")
    again = replace(
        settings,
        trainer=plan.trainer,
        options={**plan.settings, **settings.options},
        fitness=plan.fitness,
        seed=plan.seed + (number if plan.trial_seed == "per-trial" else 0),
        study=settings.study or f"{found.study_name}-trial-{number}",
    )
    trial = trials[number]
    return Repeat(again, (plan.space, {**plan.hyp, **trial.params}), metrics_of(trial))


def _follow(
    job: Job,
    backend: LocalBackend,
    record: Record,
    fitness: Fitness,
    updated: Callable[[], None],
    console: Console,
) -> Outcome:
    """Run a job, and show and write down its epochs."""
    reports: queue.SimpleQueue[tuple[int, dict[str, float]] | None] = queue.SimpleQueue()
    future = backend.submit(job, lambda step, metrics: reports.put((step, metrics)))
    future.add_done_callback(lambda _: reports.put(None))
    updated()
    epochs = job.settings.get("epochs")
    columns = TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.fields[text]}")
    try:
        with Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        ) as progress:
            bar = progress.add_task(record.folder.name, total=epochs, text="starting")
            while (report := reports.get()) is not None:
                step, metrics = report
                record.add_epoch(step, {**metrics, "fitness": fitness.of_epoch(metrics)})
                updated()
                line = _line(step, epochs, metrics)
                progress.update(bar, completed=step + 1, text=line)
                console.print(line, markup=False, highlight=False)
        return future.result()
    except KeyboardInterrupt:
        backend.close()
        return Outcome(failure=Failure.INTERRUPTED, reason="by the user")


def _scored(outcome: Outcome, fitness: Fitness) -> tuple[Outcome, float | None]:
    """The outcome and its fitness; a user's function that fails is the outcome's failure, and the metrics stay."""
    if outcome.failure is not None:
        return outcome, None
    try:
        return outcome, fitness(outcome.metrics)
    except WorkError as error:
        return replace(outcome, failure=Failure.CRASHED, reason=f"trained, but {error}"), None


def _line(step: int, epochs: int | None, metrics: Mapping[str, float]) -> str:
    of = f"/{epochs}" if epochs else ""
    losses = [f"{n.removeprefix('train/')} {v:.4f}" for n, v in metrics.items() if n.startswith("train/")]
    scores = [
        f"{n} {v:.4f}"
        for n, v in metrics.items()
        if not n.startswith("train/") and "loss" not in n and n != "lr"
    ]
    return f"epoch {step + 1}{of} · " + " · ".join([*losses, *scores])


def _new_folder(out: Path, name: str, *, given: bool) -> Path:
    """A folder that is not there yet: the name as given, or the first free number behind it."""
    candidates = (
        out / (name if number == 1 and given else f"{name}-{number}") for number in range(1, 1_000_000)
    )
    return next(folder for folder in candidates if not folder.exists())
