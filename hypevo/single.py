"""One training with given hyperparameters: the same process, records and tracking as a trial, without a search."""

from __future__ import annotations

import queue
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hypevo import trial
from hypevo.backends.local import LocalBackend
from hypevo.preflight import preflight, refuse
from hypevo.progress import TerminalWatcher
from hypevo.protocol import Failure, Job, Outcome
from hypevo.record import Record
from hypevo.settings import EvolveSettings
from hypevo.tracking import Store, Tracker


def train_once(settings: EvolveSettings, console: Console) -> tuple[Outcome, Path]:
    """Train, and return how it ended and the folder that holds everything.

    Raises:
        InputError: before anything is trained.
    """
    backend = LocalBackend(settings.trainer)
    try:
        look = preflight(settings, backend)
        TerminalWatcher(console).found(look.findings)
        refuse(look.errors)
        options = look.plan.settings
        if look.inspection.has_prepare:
            options = backend.call(trial.prepare, look.plan.trainer, dict(options), settings.cache.resolve())
        record = Record(_new_folder(settings.out, settings.name, given=settings.study is not None), 0)
        tracker = Tracker(record.folder.name, Store.default(), weights=True)
        tracker.open_single(settings.experiment, look.plan.settings.get("data"))
        device = look.devices[0]
        record.start(
            look.plan.hyp, {"seed": settings.seed, "device": device, "tags": {"hypevo.device": device}}
        )
        tracker.update(record)
        reports: queue.SimpleQueue[tuple[int, dict[str, float]] | None] = queue.SimpleQueue()
        job = Job(look.plan.trainer, look.plan.hyp, record.folder.resolve(), settings.seed, device, options)
        future = backend.submit(job, lambda step, metrics: reports.put((step, metrics)))
        future.add_done_callback(lambda _: reports.put(None))
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
        )
        epochs = look.plan.settings.get("epochs")
        try:
            with Progress(
                *columns, console=console, transient=True, disable=not console.is_terminal
            ) as progress:
                bar = progress.add_task(record.folder.name, total=epochs, text="starting")
                while (report := reports.get()) is not None:
                    step, metrics = report
                    record.add_epoch(step, {**metrics, "fitness": look.fitness(metrics)})
                    tracker.update(record)
                    progress.update(bar, completed=step + 1, text=_line(step, epochs, metrics))
                    console.print(_line(step, epochs, metrics), markup=False, highlight=False)
            outcome = future.result()
        except KeyboardInterrupt:
            backend.close()
            outcome = Outcome(failure=Failure.INTERRUPTED, reason="by the user")
        record.finish(outcome, None if outcome.failure else look.fitness(outcome.metrics))
        tracker.update(record)
        tracker.drain()
        return outcome, record.folder
    finally:
        backend.close()


def _line(step: int, epochs: int | None, metrics: dict[str, float]) -> str:
    of = f"/{epochs}" if epochs else ""
    losses = [
        f"{name.removeprefix('train/')} {value:.4f}"
        for name, value in metrics.items()
        if name.startswith("train/")
    ]
    scores = [
        f"{name} {value:.4f}"
        for name, value in metrics.items()
        if "/" not in name and "loss" not in name and name != "lr"
    ]
    return f"epoch {step + 1}{of} · " + " · ".join([*losses, *scores])


def _new_folder(out: Path, name: str, *, given: bool) -> Path:
    """A folder that is not there yet: the name as given, or the first free number behind it."""
    candidates = (
        out / (name if number == 1 and given else f"{name}-{number}") for number in range(1, 1_000_000)
    )
    return next(folder for folder in candidates if not folder.exists())
