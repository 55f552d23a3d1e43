"""What `hypevo export` writes: our own files, or the winner in the file of another program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hypevo.messages import printable
from hypevo.problem.settings import ConfirmSettings
from hypevo.study.exports import export_study
from hypevo.study.interchange import export_ultralytics, export_yolov5
from hypevo.study.minimal import export_minimal
from hypevo.trainings import make_backend

if TYPE_CHECKING:
    from rich.console import Console

    from hypevo.cli.questions import Export


def write(asked: Export, console: Console) -> list[Path]:
    """Write what is asked for; the paths are returned, and what else a user should know is printed.

    Raises:
        InputError: there is no such study or file, or it cannot be written in this form.
    """
    tell = lambda text: console.print(printable(text), style="yellow")  # noqa: E731
    if asked.format == "ultralytics":
        return [export_ultralytics(asked.storage, asked.study, asked.out, asked.fitness, tell)]
    if asked.format == "hypevo":
        if asked.confirm:
            return [_confirmed(asked, console)]
        if asked.minimal:
            return [export_minimal(asked.storage, asked.study, asked.out, asked.fitness, tell)]
        return export_study(asked.storage, asked.study, asked.out, asked.fitness, tell)
    backend = make_backend("trainers.yolov5:train", device="cpu")
    try:
        path, said = export_yolov5(
            asked.storage,
            asked.study,
            asked.out,
            backend.call,
            repo=asked.repo,
            python=asked.python,
            weights=asked.weights,
            fitness=asked.fitness,
            tell=tell,
        )
    finally:
        backend.close()
    console.print(printable(said))
    return [path]


def _confirmed(asked: Export, console: Console) -> Path:
    from hypevo.cli.progress import TerminalWatcher
    from hypevo.retraining.minimal import confirm_minimal

    settings = ConfirmSettings(
        storage=asked.storage,
        study=asked.study,
        seeds=asked.seeds or ConfirmSettings.seeds,
        device=asked.device or ConfirmSettings.device,
        slots_per_device=asked.slots_per_device or ConfirmSettings.slots_per_device,
    )
    with TerminalWatcher(console, what="training") as watcher:
        path, said = confirm_minimal(settings, asked.out, watcher)
    for sentence in said:
        console.print(printable(sentence))
    return path
