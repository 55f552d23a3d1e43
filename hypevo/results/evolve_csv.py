"""Finished individuals as files: evolve.csv and hyp_evolved.yaml, to the byte as YOLOv5 release 7.0 has them.

Both are views of a study, written as a whole. Tools made for YOLOv5 read them, and `read_evolve_csv` reads
YOLOv5's.
"""

import io
import logging
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypevo.files import read_bounded, write_atomically
from hypevo.problem.fitness import DEFAULT_FITNESS, fittest, parse_fitness
from hypevo.problem.metrics import METRIC_PREFIXES, STANDARD_COLUMNS, column
from hypevo.protocol import Hyp, InputError, Value

FITNESS = "fitness"  # the one metric in the tables of Ultralytics' tuner
MAX_BYTES = 100_000_000  # some 100,000 individuals
MAX_CELLS = 5_000_000  # the same in numbers, which take more room in memory than in a file
_ROW_CELLS = 10  # what a row takes besides its own
MAX_LINE = 100_000  # characters, some 5,000 columns
WIDTH = 20

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
    hyp: Hyp
    fitness: float


def best_of(rows: Iterable[Row]) -> Row | None:
    """Return the fittest row, the earliest of equally fit ones; None when no fitness is finite."""
    return fittest(rows, lambda row: (row.fitness, row.number))


class EvolveCsv:
    """evolve.csv as text that grows: a row is formatted once, however often the file is written.

    A header and a line per row, cells right-aligned in 20 characters, five significant digits. Columns are metrics,
    then genes; where YOLOv5's seven metrics are all there, they come first and any others last, so that tools made
    for YOLOv5 find the genes where they expect them. What a row lacks is `nan`. Whole numbers of an int gene, words and
    booleans stand as they are.
    """

    def __init__(self, metrics: Sequence[str], genes: Sequence[str]) -> None:
        """Begin with the header.

        Args:
            metrics: Those that are known beforehand; others get a column when a row has them.
            genes: Those that every row has.
        """
        self._metrics, self._genes = dict.fromkeys(map(column, metrics)), tuple(genes)
        self._rows: list[Row] = []
        self._begin()

    def add(self, row: Row) -> None:
        """Add a line.

        Raises:
            ValueError: The row has other genes.
        """
        if row.hyp.keys() != set(self._genes):
            odd = ", ".join(sorted(row.hyp.keys() ^ set(self._genes)))
            raise ValueError(
                f"evolve.csv: expected the same genes in every row; row {row.number} differs in {odd}"
            )
        self._rows.append(row)
        new = [name for name in map(column, row.metrics) if name not in self._metrics]
        if not new:
            self._add_cells(row)
            return
        self._metrics |= dict.fromkeys(new)
        self._begin()
        for one in self._rows:
            self._add_cells(one)

    def write(self, path: Path) -> None:
        """Replace the file as a whole.

        Raises:
            OSError: It cannot be written; an older one is as it was.
        """
        write_atomically(path, self._text)

    def _begin(self) -> None:
        self._text = bytearray()
        before, behind = _sides(self._metrics)
        self._add_line(f"{name:>{WIDTH}}" for name in (*before, *self._genes, *behind))

    def _add_cells(self, row: Row) -> None:
        metrics = {column(name): float(value) for name, value in row.metrics.items()}
        before, behind = ([metrics.get(name, math.nan) for name in side] for side in _sides(self._metrics))
        self._add_line(map(cell, [*before, *(row.hyp[name] for name in self._genes), *behind]))

    def _add_line(self, cells: Iterable[str]) -> None:
        self._text += (",".join(cells) + "\n").encode()


def read_evolve_csv(path: Path, fitness: Callable[[Mapping[str, float]], float] | None = None) -> list[Row]:
    """Read the finished individuals of any evolve.csv, YOLOv5's own and the tune_results.csv of Ultralytics included.

    Columns are matched by name. A gene in whose column nothing is a number is one of words or booleans. Lines that
    are not whole (torn by a crash or by two writers, or without a value for some gene) are left out with a warning;
    a repeated header may even change the columns.

    Args:
        path: The file, within `MAX_BYTES`, `MAX_CELLS` and `MAX_LINE`.
        fitness: What makes the fitness of a row's metrics; the default fitness unless given.

    Returns:
        Rows in the file's order, numbered from 0. Metrics may be NaN, numbers of genes are finite.

    Raises:
        InputError: The file cannot be read, or has no header with genes in it.
    """
    fitness = fitness or parse_fitness(DEFAULT_FITNESS, tuple(STANDARD_COLUMNS))
    header: tuple[str, ...] | None = None
    whole: list[tuple[int, tuple[str, ...], tuple[str, ...]]] = []  # line, header, cells
    skipped: list[int] = []
    count = 0
    for number, line in _lines(path):
        cells = tuple(cell.strip() for cell in line.split(","))
        count += len(cells) + _ROW_CELLS
        if count > MAX_CELLS:
            raise InputError(f"{path}: expected at most 100,000 individuals; got more than {number:,} lines")
        if header is None:
            header = _first_header(cells, f"{path}, line {number}")
        elif _is_header(cells, header):
            header = cells
        elif _is_cut(line) or len(cells) != len(header):
            skipped.append(number)
        else:
            whole.append((number, header, cells))
    if header is None:
        raise InputError(f"{path}: expected an evolve.csv; the file is empty")
    numeric = {
        name
        for _, names, cells in whole
        for name, cell in zip(names, cells, strict=True)
        if cell and _is_number(cell)
    }
    rows: list[Row] = []
    for number, names, cells in whole:
        values = _values(names, cells, numeric)
        if values is None:
            skipped.append(number)
        else:
            metrics, hyp = values
            rows.append(Row(len(rows), metrics, hyp, fitness(metrics)))
    if skipped:
        skipped.sort()
        shown = ", ".join(map(str, skipped[:10])) + (", …" if len(skipped) > 10 else "")
        _log.warning("%s: %d incomplete lines left out: %s", path, len(skipped), shown)
    return rows


def shown_metrics(metrics: Iterable[str]) -> tuple[str, ...]:
    """The metrics as a file lists them: YOLOv5's seven first and in its order when all are there."""
    names = {column(name): name for name in metrics}
    before, behind = _sides(names)
    return tuple(names[name] for name in before + behind)


def _sides(columns: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of metrics before the genes and those behind them."""
    names, standard = tuple(columns), tuple(STANDARD_COLUMNS.values())
    if not set(standard) <= set(names):
        return names, ()
    return standard, tuple(name for name in names if name not in standard)


def cell(value: Value) -> str:
    """A value as a cell of evolve.csv, right-aligned; a float with five significant digits."""
    if isinstance(value, bool):
        return f"{str(value).lower():>{WIDTH}}"
    return f"{value:{WIDTH}.5g}" if isinstance(value, float) else f"{value:>{WIDTH}}"


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines that hold something, each with its newline."""
    data = io.BytesIO(read_bounded(path, MAX_BYTES, "an evolve.csv"))
    text = io.TextIOWrapper(data, encoding="utf-8-sig", errors="replace", newline=None)
    for number, line in enumerate(iter(lambda: text.readline(MAX_LINE + 1), ""), 1):
        if len(line) > MAX_LINE:
            raise InputError(f"{path}, line {number}: expected at most {MAX_LINE:,} characters")
        if line.strip():
            yield number, line


def _is_cut(line: str) -> bool:
    """Whether the last line of a file may have lost digits: no newline, and a last cell narrower than the others."""
    *others, last = line.split(",")
    whole = line.endswith("\n") or not others
    return not whole and all(len(cell) >= WIDTH for cell in others) and len(last) < WIDTH


def _first_header(cells: tuple[str, ...], source: str) -> tuple[str, ...]:
    if cells[0] == "epoch":
        raise InputError(
            f"{source}: this is the results.csv of one training: it has epochs, and no hyperparameters; "
            "expected an evolve.csv"
        )
    if len(cells) == 1 and len(numbers := cells[0].split()) > 7 and all(map(_is_number, numbers)):
        raise InputError(
            f"{source}: this is an evolve.txt, as YOLOv5 wrote it before release 6: {len(numbers)} columns without "
            "names, in an order that depended on the release and the hyp file. Put a line with their names first and "
            "commas between the numbers, as in an evolve.csv: metrics/precision, metrics/recall, metrics/mAP_0.5, "
            "metrics/mAP_0.5:0.95, val/box_loss, val/obj_loss, val/cls_loss, then the genes in the hyp file's order"
        )
    if not any(map(_is_metric, cells)):
        raise InputError(f"{source}: expected a header that names metrics and genes first")
    if all(map(_is_metric, cells)):
        raise InputError(f"{source}: expected columns of genes too; got {len(cells)} metrics only")
    if len(set(cells)) < len(cells) or "" in cells:
        twice = sorted({cell for cell in cells if cells.count(cell) > 1})
        got = f"{', '.join(twice)} more than once" if twice else "an empty one"
        raise InputError(f"{source}: expected columns with distinct names; got {got}")
    if not all(map(str.isprintable, cells)):
        raise InputError(f"{source}: expected names without control characters")
    return cells


def _is_header(cells: tuple[str, ...], header: tuple[str, ...]) -> bool:
    """Tell a whole header, the one before or another, from one that was torn or is glued to other cells."""
    if set(cells) == set(header):
        return len(cells) == len(header)
    torn = set(cells[:-1]) < set(header) and any(name.startswith(cells[-1]) for name in header)
    metrics = sum(map(_is_metric, cells))
    named = len(set(cells)) == len(cells) and not any(_is_number(cell) for cell in cells)
    return 0 < metrics < len(cells) and named and not torn


def _is_metric(column: str) -> bool:
    return column.startswith(METRIC_PREFIXES) or column == FITNESS


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell
    return True


def _values(
    header: Sequence[str], cells: Sequence[str], numeric: Collection[str]
) -> tuple[dict[str, float], dict[str, Value]] | None:
    """Split a line into metrics and genes; None when a value is spoilt."""
    plain = {standard: name for name, standard in STANDARD_COLUMNS.items()}
    metrics: dict[str, float] = {}
    hyp: dict[str, Value] = {}
    for name, cell in zip(header, cells, strict=True):
        if name not in numeric and not _is_metric(name) and cell:
            hyp[name] = {"true": True, "false": False}.get(cell.lower(), cell)
        elif not _is_number(cell) or not cell:
            return None
        elif _is_metric(name):
            metrics[plain.get(name, name.removeprefix("metrics/"))] = float(cell)
        else:
            hyp[name] = float(cell)
    return (metrics, hyp) if all(math.isfinite(v) for v in hyp.values() if isinstance(v, float)) else None
