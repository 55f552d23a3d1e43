"""Finished individuals from the file that a search left, whoever wrote it, with the fitness of a study."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypevo.files import read_bounded
from hypevo.problem.fitness import parse_fitness
from hypevo.problem.metrics import STANDARD_COLUMNS, column
from hypevo.problem.yamlfile import plain
from hypevo.protocol import Hyp, InputError, Value
from hypevo.results.evolve_csv import FITNESS, MAX_BYTES, Row, read_evolve_csv
from hypevo.results.evolve_txt import is_evolve_txt, read_evolve_txt

_THEIRS = {  # metrics of Ultralytics, of boxes, masks and poses, as its trainer here names them
    f"metrics/{theirs}({kind})": ours + suffix
    for kind, suffix in (("B", ""), ("M", "_mask"), ("P", "_pose"))
    for theirs, ours in (
        ("precision", "precision"),
        ("recall", "recall"),
        ("mAP50", "mAP_0.5"),
        ("mAP50-95", "mAP_0.5:0.95"),
    )
} | {f"val/{name}": name for name in ("box_loss", "cls_loss", "dfl_loss")}

_log = logging.getLogger(__name__)


def read_individuals(path: Path, fitness: str, begun_with: Hyp | None = None) -> list[Row]:
    """Read the individuals of an evolve.csv or evolve.txt, or of a tune_results.csv or .ndjson of Ultralytics' tuner.

    Args:
        path: The file.
        fitness: The expression, or `module:function`. A tuner's file that has a fitness in place of the metrics keeps
            its own, with a warning.
        begun_with: The hyp file that the search began with, in its order; an evolve.txt is read by it.

    Returns:
        Rows in the file's order; one that lacks a metric the fitness reads has the fitness NaN.

    Raises:
        InputError: It is none of these files, or has no column for a metric that the fitness reads.
    """
    unscored = lambda _: math.nan  # noqa: E731
    if path.suffix == ".ndjson":
        rows = _read_ndjson(path)
    elif is_evolve_txt(path):
        rows = read_evolve_txt(path, begun_with)
    else:
        rows = read_evolve_csv(path, unscored)
    there = dict.fromkeys(name for row in rows for name in row.metrics)
    scored = parse_fitness(fitness, tuple(dict.fromkeys([*STANDARD_COLUMNS, *there])))
    missing = [name for name in scored.names if name not in there]
    if not missing or not rows:
        return [replace(row, fitness=scored(row.metrics)) for row in rows]
    if tuple(there) == (FITNESS,):
        _log.warning(
            "%s: has no metrics, only a fitness; it is taken as it stands and must mean the same as «%s»",
            path,
            fitness,
        )
        return [replace(row, fitness=row.metrics[FITNESS]) for row in rows]
    raise InputError(
        f"{path}: no column for {', '.join(map(column, missing))}, which the fitness «{fitness}» reads; "
        f"there are {', '.join(map(column, there))}; choose another with --fitness"
    )


def _read_ndjson(path: Path) -> list[Row]:
    """Read a line of JSON per training: fitness, hyperparameters, and the metrics of one dataset if they are there."""
    rows: list[Row] = []
    for number, line in _lines(path):
        try:
            entry = json.loads(line)
            hyp = {str(name): _number(value) for name, value in entry["hyperparameters"].items()}
            metrics = {FITNESS: float(entry[FITNESS]), **_metrics(entry)}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("%s, line %d: left out, no result of a tuner: %s", path, number, error)
            continue
        rows.append(Row(len(rows), metrics, hyp, math.nan))
    if not rows:
        raise InputError(
            f"{path}: expected a tune_results.ndjson of Ultralytics, lines with «fitness» and «hyperparameters»"
        )
    lacking = [row for row in rows if set(row.metrics) == {FITNESS}]
    if lacking and len(lacking) < len(rows):  # of two versions: what all of them have is the fitness
        return [replace(row, metrics={FITNESS: row.metrics[FITNESS]}) for row in rows]
    return rows


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    text = read_bounded(path, MAX_BYTES, "a tune_results.ndjson").decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line


def _number(value: object) -> Value:
    read = plain(value)
    return float(read) if isinstance(read, int) and not isinstance(read, bool) else read


def _metrics(entry: dict[str, Any]) -> dict[str, float]:
    """The metrics of a line that tells those of one dataset."""
    datasets = entry.get("datasets")
    found = entry.get("metrics", {})
    if isinstance(datasets, dict) and len(datasets) == 1:
        (found,) = datasets.values()
    return {ours: float(found[theirs]) for theirs, ours in _THEIRS.items() if theirs in found}
