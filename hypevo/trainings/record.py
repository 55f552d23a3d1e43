"""A trial's folder: what it was given, what it reported, how it ended, on disk before anything is sent anywhere.

Optuna's study and MLflow are brought up to date from here, so a driver that dies, or a tracking server that is away,
loses nothing. Only the driver writes these files; the training writes its own beside them.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from hypevo.files import write_atomically
from hypevo.protocol import Failure, Hyp, Metrics, Outcome

HYP, START, EPOCHS, RESULT, LOG = "hyp.yaml", "trial.json", "epochs.jsonl", "result.json", "log.txt"
_OLD_LOG = re.compile(r"log\.\d+\.txt")


@dataclass(frozen=True)
class Epoch:
    """One report of a training."""

    step: int
    metrics: dict[str, float]
    time_ms: int  # since the epoch of the clock, as MLflow wants it


@dataclass(frozen=True)
class Result:
    """How a trial ended; `fitness` is None for a trial without a result."""

    fitness: float | None
    metrics: dict[str, float]
    failure: Failure | None
    reason: str
    seconds: float
    time_ms: int

    @property
    def unscored(self) -> bool:
        """Whether it is a training's end alone, whose metrics nobody has made a fitness of."""
        return self.failure is None and self.fitness is None


class Record:
    """The folder of one trial of a study."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.number = number

    def start(self, hyp: Hyp, details: Mapping[str, Any]) -> None:
        """Begin an attempt: whatever earlier attempts left is removed but for their logs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for entry in sorted(self.folder.iterdir(), key=lambda entry: entry.name != RESULT):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name == LOG:
                entry.replace(self.folder / f"log.{int(details.get('attempt', 1)) - 1}.txt")
            elif not _OLD_LOG.fullmatch(entry.name):
                entry.unlink()
        write_atomically(self.folder / HYP, yaml.safe_dump(dict(hyp), sort_keys=False))
        start = {"number": self.number, "hyp": dict(hyp), "time_ms": _now(), **details}
        write_atomically(self.folder / START, json.dumps(start, indent=1))

    @property
    def details(self) -> dict[str, Any]:
        """What `start` was given; empty before it."""
        return _read(self.folder / START)

    def add_epoch(self, step: int, metrics: Metrics) -> None:
        """Append one report."""
        with (self.folder / EPOCHS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(Epoch(step, dict(metrics), _now()))) + "\n")

    @property
    def epochs(self) -> list[Epoch]:
        """All reports so far; lines that a crash or a power cut spoilt are left out."""
        path = self.folder / EPOCHS
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        reports = []
        for line in lines[:-1]:  # a whole line ends in a newline
            with suppress(ValueError, TypeError):
                reports.append(Epoch(**json.loads(line)))
        return reports

    def finish(self, outcome: Outcome, fitness: float | None) -> None:
        """Write down how the trial ended; metrics without a fitness are `unscored` until it is called again."""
        result = Result(
            fitness, dict(outcome.metrics), outcome.failure, outcome.reason, round(outcome.seconds, 3), _now()
        )
        write_atomically(self.folder / RESULT, json.dumps(asdict(result), indent=1))

    @property
    def result(self) -> Result | None:
        """How the trial ended; None while it runs, and while it is unscored."""
        result = self._written
        return None if result is None or result.unscored else result

    @property
    def unscored(self) -> Outcome | None:
        """What a finished training returned, as long as it has no fitness yet."""
        result = self._written
        return (
            Outcome(result.metrics, seconds=result.seconds)
            if result is not None and result.unscored
            else None
        )

    @property
    def _written(self) -> Result | None:
        content = _read(self.folder / RESULT)
        if not content:
            return None
        failure = content.pop("failure")
        return Result(**content, failure=None if failure is None else Failure(failure))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def _now() -> int:
    return round(time.time() * 1000)
