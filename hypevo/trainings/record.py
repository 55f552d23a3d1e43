"""A training's folder: what it was given, what it reported, how it ended, on disk before anything is sent anywhere.

Optuna's study and MLflow are brought up to date from here, so a driver that dies, or a tracking server that is away,
loses nothing. The training writes its own files into the same folder, and may delete it: what only the driver writes is
then written again.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from hypevo.files import write_atomically
from hypevo.protocol import Failure, Hyp, Metrics, Outcome

HYP, START, EPOCHS, RESULT, LOG = "hyp.yaml", "trial.json", "epochs.jsonl", "result.json", "log.txt"
WEIGHTS = "weights"  # the folder that the policy of keeping weights is about
_OLD_LOG = re.compile(r"log\.\d+\.txt")


@dataclass(frozen=True)
class Epoch:
    """One report of a training."""

    step: int
    metrics: dict[str, float]
    time_ms: int  # since the epoch of the clock, as MLflow wants it


@dataclass(frozen=True)
class Result:
    """How a training ended; `fitness` is None for one that failed."""

    fitness: float | None
    metrics: dict[str, float]
    failure: Failure | None
    reason: str
    seconds: float
    time_ms: int

    @property
    def unscored(self) -> bool:
        """Whether the training succeeded and its fitness has not been computed yet."""
        return self.failure is None and self.fitness is None


class Record:
    """The folder of one training."""

    def __init__(self, folder: Path, number: int, still_ours: Callable[[], None] = lambda: None) -> None:
        """Stand for a folder, which need not be there.

        Args:
            folder: The folder.
            number: The training's number.
            still_ours: Called before anything is written; raises when the folder is another driver's now.
        """
        self.folder = folder
        self.number = number
        self._still_ours = still_ours
        self._written: dict[str, str] = {}  # this attempt's files as the driver wrote them

    def start(self, hyp: Hyp, details: Mapping[str, Any]) -> None:
        """Begin an attempt: whatever earlier attempts left is removed but for their logs.

        A link in the place of the folder is removed, and what it leads to stays as it is.
        """
        self._still_ours()
        if self.folder.is_symlink():
            self.folder.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        for entry in sorted(self.folder.iterdir(), key=lambda entry: entry.name != RESULT):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name == LOG:
                entry.replace(self.folder / f"log.{int(details.get('attempt', 1)) - 1}.txt")
            elif not _OLD_LOG.fullmatch(entry.name):
                entry.unlink()
        start = {"number": self.number, "hyp": dict(hyp), "time_ms": _now(), **details}
        self._written = {
            HYP: yaml.safe_dump(dict(hyp), sort_keys=False),
            START: json.dumps(start, indent=1),
            EPOCHS: "",
        }
        self._restore()

    def tag(self, tags: Mapping[str, str]) -> None:
        """Add to the tags that `start` was given what is known only now."""
        details = json.loads(self._written[START])
        details["tags"] = {**details.get("tags", {}), **tags}
        self._written[START] = json.dumps(details, indent=1)
        self._restore()
        write_atomically(self.folder / START, self._written[START])

    @property
    def details(self) -> dict[str, Any]:
        """What `start` was given; empty before it."""
        return _read(self.folder / START)

    def add_epoch(self, step: int, metrics: Metrics) -> None:
        """Append one report."""
        line = json.dumps(asdict(Epoch(step, dict(metrics), _now()))) + "\n"
        self._restore()
        with (self.folder / EPOCHS).open("a", encoding="utf-8") as file:
            file.write(line)
        self._written[EPOCHS] = self._written.get(EPOCHS, "") + line

    @property
    def epochs(self) -> list[Epoch]:
        """All reports so far; lines that a crash or a power cut spoilt are left out."""
        try:
            text = (self.folder / EPOCHS).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        reports = []
        for line in text.split("\n")[:-1]:  # a whole line ends in a newline
            with suppress(ValueError, TypeError):
                reports.append(Epoch(**json.loads(line)))
        return reports

    def gather(self, patterns: Iterable[str]) -> None:
        """Move the files that hold weights, wherever the training has put them, into the folder `weights`."""
        self._still_ours()
        place = self.folder / WEIGHTS
        for path in sorted({path for pattern in patterns for path in self.folder.glob(pattern)}):
            if path.is_relative_to(place) or path.is_symlink() or not path.is_file():
                continue
            place.mkdir(exist_ok=True)
            inside = path.relative_to(self.folder)
            taken = (place / path.name).exists()
            path.replace(place / ("-".join(inside.parts) if taken else path.name))

    def end(self, outcome: Outcome, fitness: float | None) -> None:
        """Write down how the training ended; metrics without a fitness are `unscored` until it is called again."""
        result = Result(
            fitness, dict(outcome.metrics), outcome.failure, outcome.reason, round(outcome.seconds, 3), _now()
        )
        self._restore()
        _make_room(self.folder / RESULT)
        write_atomically(self.folder / RESULT, json.dumps(asdict(result), indent=1))

    @property
    def result(self) -> Result | None:
        """How the training ended; None while it runs, while it is unscored, and when the file is spoilt."""
        result = self._ended
        return None if result is None or result.unscored else result

    @property
    def unscored(self) -> Outcome | None:
        """What a finished training returned, as long as it has no fitness yet."""
        result = self._ended
        if result is None or not result.unscored:
            return None
        return Outcome(result.metrics, seconds=result.seconds)

    @property
    def _ended(self) -> Result | None:
        content = _read(self.folder / RESULT)
        try:
            failure = content.pop("failure")
            result = Result(**content, failure=None if failure is None else Failure(failure))
            metrics = {str(name): float(value) for name, value in result.metrics.items()}
            whole = isinstance(result.reason, str) and float(result.seconds) >= 0 and int(result.time_ms) >= 0
            scored = result.fitness is None or float(result.fitness) == result.fitness
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        return result if whole and scored and metrics == result.metrics else None

    def _restore(self) -> None:
        """Write again what the training has removed of the driver's files; the first step of all writing."""
        self._still_ours()
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, content in self._written.items():
            path = self.folder / name
            if content and not path.is_file():
                _make_room(path)
                write_atomically(path, content)


def _make_room(path: Path) -> None:
    """Move a folder out of the way that a training has made where one of the driver's files belongs."""
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"{path.name}.of-the-training"))


def _read(path: Path) -> dict[str, Any]:
    """The object in a json file; empty when there is none, whatever is there instead."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _now() -> int:
    return round(time.time() * 1000)
