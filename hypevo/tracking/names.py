"""Names and texts as MLflow takes them on every system and in every database.

MLflow on Windows refuses «:» in names, PostgreSQL refuses NUL and names longer than 250 characters, and nobody takes
half a character (what Python makes of bytes that are not UTF-8). There is one rule, the same on all systems: a name
that all of them take stays as it is; in any other one each character that some of them refuse becomes «_», and a mark
made from the whole name is added, so that two names stay two. One name has a form of its own, because everybody has
it: `mAP_0.5:0.95` is `mAP_0.5-0.95` in MLflow, and only there.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

from hypevo.messages import hidden
from hypevo.problem.metrics import column

LONGEST_NAME, LONGEST_VALUE = 250, 5000  # characters that MLflow takes for sure
_UNPREFIXED = ("fitness", "lr")
_RENAMED = {"metrics/mAP_0.5:0.95": "metrics/mAP_0.5-0.95"}
_UNSAFE = re.compile(r"[^/\w.\- ]")
_UNSAFE_IN_FILES = re.compile(r"[^\w.,+=@()\- ]")


def metric_name(metric: str) -> str:
    """A metric's name in MLflow: metrics and losses under the prefixes of evolve.csv, «fitness» and «lr» without.

    Args:
        metric: The name that the trainer gave; one that has its prefix already keeps it.
    """
    return metric if metric in _UNPREFIXED else _taken_everywhere(column(metric), of=metric)


def plain_name(name: str) -> str:
    """A parameter's or a metric's name as MLflow takes it, without any prefix."""
    return _taken_everywhere(name, of=name)


def older_names(metrics: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names that version 0.1 gave metrics in MLflow, each with today's."""
    return ((name, plain_name(name)) for name in metrics if ":" in name)


def file_path(path: PurePath) -> PurePath:
    """A file's path below a run's artifacts, each part such as every artifact store takes."""
    return PurePath(*(_file_name(part) for part in path.parts))


def text(value: Any) -> str:
    """A parameter's or a tag's value: floats to the last digit, half characters and NUL as escapes, cut at the end.

    Text has no secrets of addresses in it.
    """
    written = (
        hidden(value) if isinstance(value, str) else repr(value) if isinstance(value, float) else str(value)
    )
    written = written[: 2 * LONGEST_VALUE].encode("utf-8", "backslashreplace").decode("utf-8")
    return written.replace("\0", "\\x00")[:LONGEST_VALUE]


def _taken_everywhere(name: str, *, of: str) -> str:
    """`name` as MLflow takes it; `of` is what it was made from, which may have lost characters on the way."""
    whole = name.endswith(of)
    if whole and name in _RENAMED:
        return _RENAMED[name]
    path = posixpath.normpath(_UNSAFE.sub("_", name)).lstrip("./") or "_"  # MLflow takes names for paths
    if whole and path == name and len(path) <= LONGEST_NAME and name not in _RENAMED.values():
        return name
    mark = _mark(of)
    return path[: LONGEST_NAME - len(mark)] + mark


def _file_name(name: str) -> str:
    fitted = _UNSAFE_IN_FILES.sub("_", name)
    if fitted == name:
        return name
    stem, dot, suffix = fitted.rpartition(".")
    if not dot or len(suffix) > 10:
        stem, dot, suffix = fitted, "", ""
    return f"{stem[:40]}{_mark(name)}{dot}{suffix}"


def _mark(name: str) -> str:
    return "-" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
