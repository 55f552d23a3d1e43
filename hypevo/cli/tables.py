"""Results as tables on standard output: where a study stands, what a training measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from hypevo.cli.terminal import results
from hypevo.messages import printable


def print_status(found: Mapping[str, Any]) -> None:
    """Print where a study stands."""
    table = Table(show_header=False, box=None)
    for key, value in found.items():
        table.add_row(key.replace("_", " "), _cell(value))
    output = results()
    output.print(table)
    if found["interrupted"]:
        output.print("no driver is running; the command that began the study continues it", style="yellow")


def print_studies(found: Sequence[Mapping[str, Any]]) -> None:
    """Print several studies, a line for each."""
    table = Table(box=None)
    for key in found[0]:
        table.add_column(key.replace("_", " "))
    for study in found:
        table.add_row(*(_cell(value) for value in study.values()))
    results().print(table)


def print_metrics(metrics: Mapping[str, float]) -> None:
    """Print metrics by name."""
    table = Table(box=None)
    for name in metrics:
        table.add_column(printable(name), justify="right")
    table.add_row(*(f"{value:.5g}" for value in metrics.values()))
    results().print(table)


def _cell(value: object) -> str:
    """A value of the status as people read it."""
    if isinstance(value, dict):
        return _cell([f"{name} {_cell(one)}" for name, one in value.items()])
    if isinstance(value, list):
        return ", ".join(f"trial {one}" if isinstance(one, int) else one for one in value) or "–"
    if isinstance(value, float):
        return f"{value:.5f}"
    return "–" if value is None else printable(str(value))
