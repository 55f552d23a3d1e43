"""What a program has measured, from a csv file, a file of json lines, or lines `metric=value` of its output.

All three give rows: an epoch's number where there is one, and metrics by name. A row may hold a part of an epoch only:
some programs write losses and scores one after the other, with blanks in between. `merged` puts them together.
"""

from __future__ import annotations

import csv
import json
import math
import re
from typing import TYPE_CHECKING, NamedTuple

from ..printable import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

ALIASES = {"mAP50": "mAP_0.5", "mAP50-95": "mAP_0.5:0.95"}
_NUMBERS = (
    "epoch",
    "step",
    "iteration",
    "iter",
)  # which tell where a row belongs, the first one that is there
_NO_METRICS = (*_NUMBERS, "epochs", "time")
_OF_YOLO = re.compile(r"val/(box|obj|cls|dfl|seg|pose|kobj)_loss")
_PAIR = re.compile(
    r"(?:^|(?<=[\s,;|\[(]))([^\W\d][\w./:@%()-]*)\s*=\s*([-+]?[\w.]+(?:[-+]\d+)?)(?:/\d+)?(?=$|[\s,;|)\]%])"
)
_PROGRESS = re.compile(r"\d%\||it/s|s/it")  # of a bar that is drawn again and again


class Row(NamedTuple):
    """What one line of results says."""

    epoch: float | None
    metrics: dict[str, float]
    whole: bool = False  # whether nothing can follow for this epoch


def read_results(folder: Path, pattern: str, columns: Mapping[str, str], *, ended: bool) -> list[Row]:
    """The rows of the newest file that matches a pattern; none while there is no file.

    Args:
        folder: Where to look.
        pattern: Of the file, below the folder. A file whose first line opens with a brace holds json lines, any other
            one is a csv.
        columns: The name that a metric shall have, by its column.
        ended: Whether the program has ended; until then a last line without its newline may be a part of one.
    """
    files = sorted(
        (path for path in folder.glob(pattern) if path.is_file()), key=lambda path: path.stat().st_mtime
    )
    if not files:
        return []
    text = files[-1].read_text(encoding="utf-8-sig", errors="replace")
    lines = [line for line in (text if ended else text[: text.rfind("\n") + 1]).splitlines() if line.strip()]
    if not lines:
        return []
    if lines[0].lstrip().startswith("{"):
        return [row for line in lines if (row := _row(_object(line), columns)) is not None]  # parts, maybe
    delimiter = next((one for one in ",\t;" if one in lines[0]), ",")
    cells = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
    rows = []
    for line in cells:
        row = _row({name: cell for name, cell in line.items() if name}, columns)
        if row is not None:
            whole = all(_number(cell) is not None for cell in line.values())
            rows.append(row._replace(whole=whole))
    return rows


def read_line(line: str, columns: Mapping[str, str], apart_from: Collection[str] = ()) -> Row | None:
    """The row that a line of output is: `epoch=3 loss=0.21 accuracy=0.9`; None for any other line.

    Args:
        line: Without its end.
        columns: The name that a metric shall have, by the name in the line.
        apart_from: Names that are no metrics: programs print what they were given, too.
    """
    if _PROGRESS.search(line):
        return None
    pairs = {name: value for name, value in _PAIR.findall(line) if name not in apart_from}
    row = _row(pairs, columns)
    return row if row is not None and row.metrics else None


def merged(rows: Iterable[Row]) -> list[Row]:
    """One row for each epoch.

    Rows of one number belong together. A row without a number, or after one, goes on with the one before as long as it
    says nothing of what that one has said.
    """
    epochs: list[Row] = []
    for row in rows:
        last = epochs[-1] if epochs else None
        numbered = last is not None and None not in (last.epoch, row.epoch)
        if last is not None and (
            last.epoch == row.epoch if numbered else not last.metrics.keys() & row.metrics.keys()
        ):
            epoch = row.epoch if last.epoch is None else last.epoch
            epochs[-1] = Row(epoch, last.metrics | row.metrics, last.whole or row.whole)
        elif row.metrics:
            epochs.append(row)
    return epochs


def plain_name(column: str) -> str:
    """The metric a column holds: its name, but for those that YOLOv5 and Ultralytics write in their own way.

    `metrics/mAP50-95(B)` is `mAP_0.5:0.95`, `val/box_loss` is `box_loss`.
    """
    name = column.strip()
    if _OF_YOLO.fullmatch(name):
        return name.removeprefix("val/")
    name = name.removeprefix("metrics/").removesuffix("(B)")
    return ALIASES.get(name, printable(name))


def _row(cells: Mapping[str, object], columns: Mapping[str, str]) -> Row | None:
    """A line as a row; None for one without numbers."""
    numbers = {name.strip(): number for name, cell in cells.items() if (number := _number(cell)) is not None}
    known = {name.lower(): number for name, number in numbers.items()}
    metrics = {
        columns.get(name) or plain_name(name): number
        for name, number in numbers.items()
        if name in columns or name.lower() not in _NO_METRICS
    }
    if not numbers:
        return None
    return Row(next((known[name] for name in _NUMBERS if name in known), None), metrics)


def _number(cell: object) -> float | None:
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return None
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return math.inf if isinstance(cell, int) else None


def _object(line: str) -> dict[str, object]:
    """The entries of a json line, those of objects within it as `val/loss`; none of a line that is cut off."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return _flat(content, "") if isinstance(content, dict) else {}


def _flat(content: dict[str, object], prefix: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in content.items():
        found |= _flat(value, f"{prefix}{name}/") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
