"""What `hypevo train` prints: the metrics, how a repeated trial differs, where everything is."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from hypevo.cli.clone import lost_places
from hypevo.cli.progress import TerminalWatcher
from hypevo.cli.tables import kept_lines, print_metrics
from hypevo.messages import printable
from hypevo.problem.settings import TrainSettings
from hypevo.retraining.train import repeat_of, train_once


def run(settings: TrainSettings, console: Console) -> str | None:
    """Train, and print what came out of it; returns what failed in a word, None for nothing.

    Metrics go to standard output, everything else to the console.
    """
    repeat = None
    if settings.from_trial is not None:
        settings.refuse_what_the_trial_says()
        repeat = repeat_of(settings.from_trial, settings.from_study, settings)
    with TerminalWatcher(console, what="training", every_epoch=True) as watcher:
        watcher.found(lost_places({"out": settings.out}, Path.cwd()))
        if repeat is None:
            trained = train_once(settings, watcher)
        else:
            trained = train_once(repeat.settings, watcher, repeat.individual, repeat.study_run)
    outcome, folder = trained.outcome, trained.folder
    if outcome.failure is not None:
        console.print(
            printable(f"{outcome.failure}: {outcome.reason}; see {folder / 'log.txt'}"), style="bold red"
        )
        return outcome.failure
    print_metrics(outcome.metrics)
    for name, before in repeat.metrics.items() if repeat else ():
        difference = outcome.metrics[name] - before
        same = "the same to the last digit" if difference == 0 else f"differs by {difference:+.3g}"
        console.print(f"{name}: {same}")
    console.print(f"everything is in {folder.resolve()}")
    for line, style in kept_lines(trained.kept):
        console.print(printable(line), style=style, markup=False, highlight=False)
    if trained.undelivered:
        console.print("MLflow did not answer: this training is not in it", style="yellow")
        return "undelivered"
    return "unregistered" if settings.register and not trained.kept.registered else None
