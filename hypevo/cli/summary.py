"""The last words of an evolution: what came out, where it is, what to type next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hypevo.cli.tables import kept_lines, standing_lines
from hypevo.messages import hidden
from hypevo.paste import pasted
from hypevo.problem.settings import Stored
from hypevo.study.status import study_status
from hypevo.tracking.charts import view_path

if TYPE_CHECKING:
    from rich.console import Console

    from hypevo.evolution.driver import Summary


def show(summary: Summary, storage: str, console: Console) -> None:
    """Print the summary, and what the study says of itself."""

    def line(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False, highlight=False)

    if summary.stopped:
        line(f"stopped: {summary.stopped}", "yellow")
    if summary.interrupted:
        line("interrupted; the same command continues", "yellow")
    if summary.best is None:
        line("no trial has finished yet", "yellow")
        return
    of = "" if summary.total is None else f" of {summary.total}"
    line(
        f"{summary.done}{of} generations · best fitness {summary.best.value:.5f} in trial {summary.best.number}",
        "bold",
    )
    if not summary.interrupted and summary.total is not None and summary.done >= summary.total:
        line("to go on, ask for more: --generations", "dim")
    found = study_status(storage, summary.study)
    if found["failures"]:
        line("failed  " + ", ".join(f"{kind} {count}" for kind, count in found["failures"].items()))
    for text in standing_lines(found):
        line(text)
    folder = summary.folder.resolve()  # `mlflow run` may have started this somewhere else
    if found["train_with"] is not None:
        file, whose = found["train_with"]["file"], found["train_with"]["whose"]
        line(f"hyperparameters  {whose if file is None else f'{Path(file).resolve()} ({whose})'}")
    line(f"all generations  {folder / 'evolve.csv'}, {folder / 'evolve.png'}")
    if summary.undelivered:
        line(
            f"MLflow did not answer: {summary.undelivered} trials will be delivered at the next start",
            "yellow",
        )
    line(on_mlflow(summary.tracking_uri, view_path(summary.experiment_id, summary.parent_run)))
    for text, style in kept_lines(summary.kept):
        line(text, style)
    where = [] if storage == Stored().storage else ["--storage", storage]
    line(f"both views       {pasted(['hypevo', 'ui', *where])}")


def on_mlflow(uri: str, path: str) -> str:
    """Where a page of MLflow is: its address, or the command that serves it first.

    Args:
        uri: Of the store.
        path: Of the page.
    """
    if uri.startswith("http"):
        return f"MLflow           {hidden(uri).rstrip('/')}{path}"
    command = pasted(["mlflow", "ui", "--backend-store-uri", hidden(uri)])
    return f"MLflow           {command}\n                 then http://127.0.0.1:5000{path}"
