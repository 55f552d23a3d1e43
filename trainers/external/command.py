r"""Any training program as a trainer: a command line that is filled in, and a results file that is read as it grows.

    hypevo evolve --trainer trainers.external.command:train \
        --command "python train.py --hyp {hyp} --out {out} --seed {seed} --device {device}" --results "**/results.csv"

The program finds its hyperparameters in the yaml file at {hyp}. It appends a line to a csv file after each epoch;
columns are matched by name, with the names of YOLOv5 and Ultralytics understood.
"""

from __future__ import annotations

import csv
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ..printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .. import Report

METRICS = ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95")
ALIASES = {"mAP50": "mAP_0.5", "mAP50-95": "mAP_0.5:0.95"}
PLACES = ("{hyp}", "{out}", "{seed}", "{device}")
POLL = 0.5  # seconds between looks at the results


@dataclass(frozen=True)
class Settings:
    """How to start the program.

    Raises:
        ValueError: The command is empty, has no place for the hyperparameters, or names a program that is not there.
    """

    command: str = field(default="", metadata={"help": f"Command line with the places {' '.join(PLACES)}."})
    results: str = field(
        default="**/results.csv", metadata={"help": "The csv file, as a pattern under {out}."}
    )
    epochs: int = field(default=0, metadata={"help": "Epochs of a training, if the progress should know."})

    def __post_init__(self) -> None:
        if not self.command:
            raise ValueError(
                f"command: expected a command line with the places {' '.join(PLACES)}; got nothing"
            )
        if "{hyp}" not in self.command:
            raise ValueError(
                f"command: expected a place for the hyperparameters, {{hyp}}; got {self.command}"
            )
        program = shlex.split(self.command)[0]
        if shutil.which(program) is None:
            raise ValueError(f"command: no program {program!r}; give its full path, or install it")


def train(
    hyp: Mapping[str, float], *, out: Path, seed: int, device: str, report: Report, settings: Settings
) -> dict[str, float]:
    """Run the program to its end and return the metrics of its last epoch.

    Raises:
        RuntimeError: The program failed, or ended without results.
    """
    places: dict[str, Any] = {
        "hyp": write_hyp(hyp, out),
        "out": out,
        "seed": seed,
        "device": device_index(device),
    }
    command = [word.format_map(places) for word in shlex.split(settings.command)]
    return follow(command, out=out, pattern=settings.results, report=report)


def write_hyp(hyp: Mapping[str, float], out: Path) -> Path:
    """Write the hyperparameters where the program finds them, and return the file."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "hyp.yaml"
    path.write_text(yaml.safe_dump({gene: float(value) for gene, value in hyp.items()}, sort_keys=False))
    return path


def device_index(device: str) -> str:
    """The device as a program's option: 0 on CUDA, because the process sees one GPU only."""
    return "0" if device.startswith("cuda") else device


def follow(command: Sequence[str], *, out: Path, pattern: str, report: Report) -> dict[str, float]:
    """Run a command, report each new line of its results file, and return the metrics of the last one.

    Raises:
        RuntimeError: The command failed, or ended without results.
    """
    reported = 0
    last: dict[str, float] = {}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            running = True
            while running:
                time.sleep(POLL)
                running = process.poll() is None
                rows = read_results(out, pattern)
                for step, row in enumerate(rows[reported:], reported):
                    report(row, step=step)
                    last = row
                reported = max(reported, len(rows))
        except BaseException:  # also what a report raises to stop the training
            process.kill()
            raise
    if process.returncode != 0:
        raise RuntimeError(
            f"{command[0]} ended with exit code {process.returncode}; its output is in the log"
        )
    if not last:
        raise RuntimeError(f"{command[0]} ended without a line in {pattern} under {out}")
    return last


def read_results(out: Path, pattern: str) -> list[dict[str, float]]:
    """The whole lines of the newest results file, by plain metric names; none while there is no file."""
    files = sorted(out.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not files:
        return []
    text = files[-1].read_text(encoding="utf-8", errors="replace")
    lines = text[: text.rfind("\n") + 1].splitlines()
    rows = []
    for cells in csv.DictReader(lines, skipinitialspace=True):
        try:
            rows.append({plain_name(name): float(cell) for name, cell in cells.items() if plain_name(name)})
        except (TypeError, ValueError):
            continue  # a line that was cut off
    return rows


def plain_name(column: str | None) -> str:
    """The metric a column holds: `metrics/mAP50(B)` is `mAP_0.5`; training losses keep their prefix."""
    name = (column or "").strip()
    if name.startswith("train/"):
        return printable(name)
    name = name.rpartition("/")[2].removesuffix("(B)")
    return "" if name in ("epoch", "time") else ALIASES.get(name, printable(name))
