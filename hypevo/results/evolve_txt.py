"""evolve.txt, as YOLOv5 wrote it before release 6: numbers without names, read where the hyp file tells their order.

A row has the seven metrics, then the genes in the order of the hyp file that the evolution began with; three
significant digits, the fittest first. Anchors that the hyp file did not name stood last, at 3 in the beginning.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path

from hypevo.files import read_bounded
from hypevo.problem.metrics import STANDARD_COLUMNS
from hypevo.protocol import Hyp, InputError
from hypevo.results.evolve_csv import MAX_BYTES, Row

_METRICS = tuple(STANDARD_COLUMNS)
_AS_WRITTEN = 0.006  # relative: what is lost to three digits

_log = logging.getLogger(__name__)


def is_evolve_txt(path: Path) -> bool:
    """Whether a file begins with a line of numbers and no commas."""
    lines = _lines(path)
    return bool(lines) and _numbers(lines[0]) is not None and len(lines[0].split()) > len(_METRICS)


def read_evolve_txt(path: Path, begun_with: Hyp | None) -> list[Row]:
    """Read the rows, if the order of the genes is beyond doubt.

    Args:
        path: The file.
        begun_with: The hyp file that the evolution began with, in its order.

    Returns:
        Rows in the file's order, without a fitness.

    Raises:
        InputError: There is no such file, it has another number of genes, or no row has its values: then the columns
            may be others.
    """
    wanted = (
        "An evolve.txt has no names, and their order depended on the hyp file: give --hyp FILE, the one that the "
        "evolution began with; or put a line with the names first and commas between the numbers, as in an evolve.csv"
    )
    found = [numbers for line in _lines(path) if (numbers := _numbers(line)) is not None]
    count = len(found[0]) - len(_METRICS)
    if begun_with is None:
        raise InputError(f"{path}: this is an evolve.txt of {count} genes. {wanted}")
    begun = dict(begun_with)
    if "anchors" not in begun and count == len(begun) + 1:
        begun["anchors"] = 3
    if count != len(begun):
        raise InputError(
            f"{path}: expected {len(begun)} genes, as in the hyp file; got {count} columns after the metrics. {wanted}"
        )
    whole = [numbers for numbers in found if len(numbers) == count + len(_METRICS)]
    if not any(_same(numbers[len(_METRICS) :], begun) for numbers in whole):
        raise InputError(
            f"{path}: no row has the values of the hyp file, so its columns may be others. {wanted}"
        )
    if lost := len(_lines(path)) - len(whole):
        _log.warning("%s: %d incomplete lines left out", path, lost)
    return [
        Row(
            number,
            dict(zip(_METRICS, numbers, strict=False)),
            dict(zip(begun, numbers[len(_METRICS) :], strict=True)),
            math.nan,
        )
        for number, numbers in enumerate(whole)
    ]


def _lines(path: Path) -> list[str]:
    text = read_bounded(path, MAX_BYTES, "an evolve.txt").decode("utf-8-sig", errors="replace")
    return [line for line in text.split("\n") if line.strip()]


def _numbers(line: str) -> list[float] | None:
    try:
        numbers = [float(word) for word in line.split()]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _same(numbers: list[float], hyp: Hyp) -> bool:
    return all(
        isinstance(value, int | float) and math.isclose(number, value, rel_tol=_AS_WRITTEN)
        for number, value in zip(numbers, hyp.values(), strict=True)
    )
