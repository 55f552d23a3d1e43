"""The winner as a hyp file, to the byte as YOLOv5 release 7.0 writes it, with every digit of its values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hypevo.files import write_atomically
from hypevo.problem.metrics import column
from hypevo.problem.yamlfile import is_word
from hypevo.protocol import Value
from hypevo.results.evolve_csv import WIDTH, Row, cell, shown_metrics

_BETTER = ": better than the default: "  # after the candidate, in a winner's verdict


def write_hyp_evolved(path: Path, best: Row, *, generation: int, last: int, ranked_by: str = "") -> None:
    """Write the best individual as a hyp file, its metrics in comments above. Values keep their full precision.

    Args:
        path: The file.
        best: The individual, with its trial's number.
        generation: Its line in evolve.csv, counted from 0.
        last: The last line there.
        ranked_by: A fitness that is not the study's own, to be named in the file.

    Raises:
        OSError: The file cannot be written; an older one is as it was.
    """
    which = f"trial {best.number}, generation {generation} of evolve.csv, counted from 0"
    title = [
        f"hypevo: evolved hyperparameters, of {which}",
        f"Best generation: {generation}",  # from here on to the byte as YOLOv5 has it
        f"Last generation: {last}",
    ]
    if ranked_by:
        title.append(f"Ranked by another fitness than the study's: {ranked_by}")
    _write(path, best, title)


def write_hyp_confirmed(path: Path, best: Row, *, verdict: str, conditions: str) -> None:
    """Write an individual that fresh seeds have confirmed; its mean metrics, the verdict and what it holds for above.

    Raises:
        OSError: The file cannot be written; an older one is as it was.
    """
    _write(path, best, ["hypevo: confirmed hyperparameters", verdict, conditions])


def confirmed_candidate(path: Path) -> str | None:
    """Whom the file of a confirmed winner is of: empty where it does not say, None where there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    candidate, found, _ = "".join(lines[1:2]).removeprefix("# ").partition(_BETTER)
    return candidate if found else ""


def _write(path: Path, best: Row, title: Sequence[str]) -> None:
    metrics = shown_metrics(best.metrics)
    lines = [
        *(f"# {line}" for line in title),
        "# " + ", ".join(f"{column(name):>{WIDTH}}" for name in metrics),
        "# " + ", ".join(cell(float(best.metrics[name])) for name in metrics),
        "",
        *(f"{name}: {yaml_value(value)}" for name, value in best.hyp.items()),
    ]
    write_atomically(path, "\n".join(lines) + "\n")


def yaml_value(value: Value) -> str:
    """Write a value so that every yaml reader takes it for what it is, all digits kept.

    PyYAML reads `1e-05` as text: its exponents need a dot before them (`1.0e-05`).
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if is_word(value) else json.dumps(value)  # yaml reads JSON's strings
    text = repr(value)
    if isinstance(value, int):
        return text
    return text.replace("e", ".0e", 1) if "." not in text else text
