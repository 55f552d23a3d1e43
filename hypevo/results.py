"""Finished individuals as files: evolve.csv and hyp_evolved.yaml, to the byte as YOLOv5 release 7.0 has them.

Both are views of a study, rewritten as a whole. Tools made for YOLOv5 read them, and `read_evolve_csv` reads
YOLOv5's.
"""

import functools
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypevo.atomic import write_atomically
from hypevo.bounded import read_bounded
from hypevo.fitness import DEFAULT_FITNESS, parse_fitness
from hypevo.protocol import InputError

STANDARD_COLUMNS: Mapping[str, str] = {
    "precision": "metrics/precision",
    "recall": "metrics/recall",
    "mAP_0.5": "metrics/mAP_0.5",
    "mAP_0.5:0.95": "metrics/mAP_0.5:0.95",
    "box_loss": "val/box_loss",
    "obj_loss": "val/obj_loss",
    "cls_loss": "val/cls_loss",
}

MAX_BYTES = 100_000_000  # some 100,000 individuals
_WIDTH = 20
_METRIC_PREFIXES = ("metrics/", "val/", "train/")

_UNSAFE = re.compile(r"[^\w .:/-]")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """One finished individual.

    Attributes:
        number: Its trial in the study, or its position in a file that was read.
        metrics: Final metrics by plain name.
        hyp: Value by gene; the order is the order of the columns.
        fitness: What the study maximises; NaN never wins.
    """

    number: int
    metrics: Mapping[str, float]
    hyp: Mapping[str, float]
    fitness: float


def column(metric: str) -> str:
    """Name the column of a metric: `val/` for validation losses, `metrics/` for the rest; prefixes stay.

    Characters that a csv or MLflow would stumble over become "_".
    """
    metric = _UNSAFE.sub("_", metric)
    if metric.startswith(_METRIC_PREFIXES):
        return metric
    return STANDARD_COLUMNS.get(metric, f"metrics/{metric}")


def best_of(rows: Iterable[Row]) -> Row | None:
    """Return the fittest row, the earliest of equally fit ones; None when no fitness is finite."""
    fit = [row for row in rows if math.isfinite(row.fitness)]
    return max(fit, key=lambda row: row.fitness, default=None)


def write_evolve_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write a header and a line per row: cells right-aligned in 20 characters, five significant digits.

    Columns are metrics, then genes in the order of the first row. The metrics are YOLOv5's seven when the
    rows have all of them, else what the trainer returned, in order of appearance. What a row lacks is `nan`.

    Raises:
        ValueError: There is no row, or rows differ in their genes.
        OSError: The file cannot be written; an older one is as it was.
    """
    if not rows:
        raise ValueError("evolve.csv: expected at least one finished individual; came none")
    genes = tuple(rows[0].hyp)
    metrics = _shown_metrics(rows)
    lines = [",".join(f"{name:>{_WIDTH}}" for name in (*map(column, metrics), *genes))]
    for row in rows:
        if row.hyp.keys() != rows[0].hyp.keys():
            odd = ", ".join(sorted(row.hyp.keys() ^ rows[0].hyp.keys()))
            raise ValueError(
                f"evolve.csv: expected the same genes in every row; row {row.number} differs in {odd}"
            )
        cells = [row.metrics.get(name, math.nan) for name in metrics] + [row.hyp[name] for name in genes]
        lines.append(_line(tuple(cells)))
    write_atomically(path, "\n".join(lines) + "\n")


def write_hyp_evolved(path: Path, rows: Sequence[Row], best: Row | None = None) -> None:
    """Write the best individual as a hyp file, its generation and metrics in comments above.

    Generations are positions in `rows`, counted from 0, as in evolve.csv. Values keep their full precision.

    Args:
        path: The file.
        rows: All finished individuals.
        best: The row to write, one of `rows`; the fittest unless given.

    Raises:
        ValueError: No row has a finite fitness, or `best` is not one of the rows.
        OSError: The file cannot be written; an older one is as it was.
    """
    best = best or best_of(rows)
    if best is None:
        raise ValueError(
            f"hyp_evolved.yaml: expected a row with a finite fitness; {len(rows)} rows have none"
        )
    numbers = [row.number for row in rows]
    if best.number not in numbers:
        raise ValueError(f"hyp_evolved.yaml: expected one of the rows; came row {best.number}")
    metrics = _shown_metrics(rows)
    lines = [
        "# hypevo: evolved hyperparameters",
        f"# Best generation: {numbers.index(best.number)}",
        f"# Last generation: {len(rows) - 1}",
        "# " + ", ".join(f"{column(name):>{_WIDTH}}" for name in metrics),
        "# " + ", ".join(_cell(best.metrics.get(name, math.nan)) for name in metrics),
        "",
        *(f"{name}: {plain_float(value)}" for name, value in best.hyp.items()),
    ]
    write_atomically(path, "\n".join(lines) + "\n")


def plain_float(value: float) -> str:
    """Write a float so that every yaml reader takes it for a float, all digits kept.

    PyYAML reads `1e-05` as text: its exponents need a dot before them (`1.0e-05`).
    """
    text = repr(float(value))
    return text.replace("e", ".0e", 1) if "." not in text else text


def read_evolve_csv(path: Path, fitness: Callable[[Mapping[str, float]], float] | None = None) -> list[Row]:
    """Read the finished individuals of any evolve.csv, YOLOv5's own included.

    Columns are matched by name. Lines that are not whole (torn by a crash or by two writers, or without a
    value for some gene) are left out with a warning; a repeated header may even change the columns.

    Args:
        path: The file, at most `MAX_BYTES` long.
        fitness: What makes the fitness of a row's metrics; the default fitness unless given.

    Returns:
        Rows in the file's order, numbered from 0. Metrics may be NaN, genes are finite.

    Raises:
        InputError: The file cannot be read, or has no header with genes in it.
    """
    lines, torn = _lines(path)
    fitness = fitness or parse_fitness(DEFAULT_FITNESS, tuple(STANDARD_COLUMNS))
    header: tuple[str, ...] | None = None
    rows: list[Row] = []
    skipped: list[int] = []
    for number, line in lines:
        cells = tuple(cell.strip() for cell in line.split(","))
        if header is None:
            header = _first_header(cells, f"{path}, line {number}")
        elif _is_header(cells, header):
            header = cells
        elif number == torn or (values := _values(header, cells)) is None:
            skipped.append(number)
        else:
            metrics, hyp = values
            rows.append(Row(len(rows), metrics, hyp, fitness(metrics)))
    if header is None:
        raise InputError(f"{path}: expected an evolve.csv; the file is empty")
    if skipped:
        shown = ", ".join(map(str, skipped[:10])) + (", …" if len(skipped) > 10 else "")
        _log.warning("%s: %d incomplete lines left out: %s", path, len(skipped), shown)
    return rows


def _shown_metrics(rows: Iterable[Row]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name for row in rows for name in row.metrics))
    return tuple(STANDARD_COLUMNS) if set(STANDARD_COLUMNS) <= set(names) else names


@functools.lru_cache(maxsize=20_000)
def _line(cells: tuple[float, ...]) -> str:
    """Kept, because a study's csv is written again after every trial, one line longer each time."""
    return ",".join(map(_cell, cells))


def _cell(value: float) -> str:
    return f"{value:{_WIDTH}.5g}"


def _lines(path: Path) -> tuple[list[tuple[int, str]], int | None]:
    """Return the numbered lines that hold something, and the number of a last line that was cut off."""
    data = read_bounded(path, MAX_BYTES, "an evolve.csv")
    text = data.decode("utf-8-sig", errors="replace")
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines or text.endswith(("\n", "\r")):
        return lines, None
    # Without its newline, a last cell that is narrower than the others may have lost digits.
    *others, last = lines[-1][1].split(",")
    cut = bool(others) and all(len(cell) >= _WIDTH for cell in others) and len(last) < _WIDTH
    return lines, lines[-1][0] if cut else None


def _first_header(cells: tuple[str, ...], source: str) -> tuple[str, ...]:
    if not any(cell.startswith(_METRIC_PREFIXES) for cell in cells):
        raise InputError(f"{source}: expected a header that names metrics and genes first")
    if all(cell.startswith(_METRIC_PREFIXES) for cell in cells):
        raise InputError(f"{source}: expected columns of genes too; came {len(cells)} metrics only")
    if len(set(cells)) < len(cells) or "" in cells:
        twice = sorted({cell for cell in cells if cells.count(cell) > 1})
        came = f"{', '.join(twice)} more than once" if twice else "an empty one"
        raise InputError(f"{source}: expected columns with distinct names; came {came}")
    return cells


def _is_header(cells: tuple[str, ...], header: tuple[str, ...]) -> bool:
    """Tell a whole header, the one before or another, from one that was torn or is glued to other cells."""
    if set(cells) == set(header):
        return len(cells) == len(header)
    torn = set(cells[:-1]) < set(header) and any(name.startswith(cells[-1]) for name in header)
    metrics = sum(cell.startswith(_METRIC_PREFIXES) for cell in cells)
    named = len(set(cells)) == len(cells) and not any(_is_number(cell) for cell in cells)
    return 0 < metrics < len(cells) and named and not torn


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell
    return True


def _values(header: Sequence[str], cells: Sequence[str]) -> tuple[dict[str, float], dict[str, float]] | None:
    """Split a line into metrics and genes; None when it is not whole."""
    if len(cells) != len(header):
        return None
    try:
        by_column = dict(zip(header, map(float, cells), strict=True))
    except ValueError:
        return None
    plain = {standard: name for name, standard in STANDARD_COLUMNS.items()}
    metrics: dict[str, float] = {}
    hyp: dict[str, float] = {}
    for name, value in by_column.items():
        if name.startswith(_METRIC_PREFIXES):
            metrics[plain.get(name, name.removeprefix("metrics/"))] = value
        else:
            hyp[name] = value
    return (metrics, hyp) if all(map(math.isfinite, hyp.values())) else None
