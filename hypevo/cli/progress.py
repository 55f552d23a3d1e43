"""What is shown of trainings: a bar with the best fitness and the time left, and a line for each.

Where nothing can be drawn over (a file, a pipe, TERM=dumb) there is no bar: each line has the time of day and says
what the bar would.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from hypevo.messages import printable_lines
from hypevo.protocol import Finding, Outcome

_COLOURS = {"error": "bold red", "warning": "yellow", "absent": "yellow", "note": "dim"}
_RECENT = 20  # trainings whose mean duration the time left is computed from


class TerminalWatcher:
    """Shows trainings on a console."""

    def __init__(self, console: Console, *, what: str = "generation", every_epoch: bool = False) -> None:
        """Show on a console.

        Args:
            console: Where.
            what: What is counted: generations, trainings.
            every_epoch: Whether each epoch has a line that stays.
        """
        self._console = console
        self._what = what
        self._every_epoch = every_epoch
        self._epochs: int | None = None
        self._slots = 1
        self._total: int | None = None
        self._done = 0
        self._best: float | None = None
        self._best_number: int | None = None
        self._beside = ""  # what is said of the best
        self._durations: deque[float] = deque(maxlen=_RECENT)
        self._lines: dict[int, TaskID] = {}
        self._bar: TaskID | None = None
        self._busy = ""
        self._is_log = not console.is_terminal or console.is_dumb_terminal
        self._progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(bar_width=30),
            TextColumn("{task.fields[text]}", markup=False),
            console=console, transient=True, disable=self._is_log,
        )  # fmt: skip

    def __enter__(self) -> TerminalWatcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def found(self, findings: Sequence[Finding]) -> None:
        """Print the preflight's findings; errors are raised by the command, all together."""
        for finding in findings:
            if finding.level != "error":
                self._print(f"{finding.level}: {finding.message}", _COLOURS[finding.level])

    def opened(
        self,
        title: str,
        *,
        total: int | None,
        done: int,
        best: float | None,
        seconds: float,
        slots: int,
        epochs: int | None,
    ) -> None:
        """Begin the bar."""
        self._total, self._slots, self._epochs = total, slots, epochs
        self._done, self._best = done, best
        if not math.isnan(seconds):
            self._durations.append(seconds)
        state = "new" if done == 0 else f"resumed after {done}"
        of = "until stopped" if total is None else f"{total} {self._what}{'' if total == 1 else 's'}"
        self._log(f"{title} · {state} · {of}", "bold")
        self._progress.start()
        self._bar = self._progress.add_task(title, total=total, completed=done, text=self._text())

    def started(self, number: int, *, name: str, where: str, attempt: int) -> None:
        """Add a line for a training."""
        again = f" (attempt {attempt})" if attempt > 1 else ""
        self._lines[number] = self._progress.add_task(
            f"  {name} on {where}{again}", total=self._epochs, text="starting"
        )

    def reported(self, number: int, *, step: int, metrics: Mapping[str, float], fitness: float) -> None:
        """Advance a training's line."""
        of = f"/{self._epochs}" if self._epochs else ""
        if number in self._lines:
            text = f"epoch {step + 1}{of} · fitness {fitness:.4f}"
            self._progress.update(self._lines[number], completed=step + 1, text=text)
        if self._every_epoch:
            self._print(" · ".join([f"epoch {step + 1}{of}", *_values(metrics)]))

    def advanced(
        self,
        *,
        done: int,
        best: float | None,
        best_number: int | None,
        beside: str = "",
        total: int | None = None,
    ) -> None:
        """Take the new state of the whole."""
        self._total = self._total if total is None else total
        self._done, self._best, self._best_number, self._beside = done, best, best_number, beside

    def ended(self, number: int, *, name: str, fitness: float | None, outcome: Outcome, again: bool) -> None:
        """Turn a training's line into one that stays."""
        if number in self._lines:
            self._progress.remove_task(self._lines.pop(number))
        if fitness is not None:
            self._durations.append(outcome.seconds)
            line = Text(f"{self._now()}{name} · fitness {fitness:.5f} · {clock(outcome.seconds)}")
            if number == self._best_number:
                line.append(" ★ best", "bold green")
            self._console.print(line.append(self._state()))
        else:
            what = f"{outcome.failure}: {outcome.reason}" if outcome.reason else str(outcome.failure)
            then = "; it will run again" if again else ""
            style = "dim" if outcome.failure == "pruned" else "yellow"
            self._log(f"{name} · {what}{then}{self._state()}", style)
        self._refresh()

    def message(self, text: str) -> None:
        """Print a message."""
        self._log(text, "yellow")

    def busy(self, what: str) -> None:
        """Say it in a line until there is a bar, then in the bar."""
        self._busy = what
        if self._bar is not None:
            self._refresh()
        elif what:
            self._log(f"{what} …", "dim")

    def _log(self, text: str, style: str = "") -> None:
        self._print(f"{self._now()}{text}", style)

    def _now(self) -> str:
        return f"{datetime.now():%H:%M:%S} " if self._is_log else ""

    def _state(self) -> str:
        """What the bar says, where there is none."""
        return f" · {self._text()}" if self._is_log and self._bar is not None else ""

    def _refresh(self) -> None:
        if self._bar is not None:
            self._progress.update(self._bar, completed=self._done, total=self._total, text=self._text())

    def _print(self, text: str, style: str = "") -> None:
        text = printable_lines(text)
        self._console.print(text, style=style, markup=False, highlight=False, emoji=False)

    def _text(self) -> str:
        of = "" if self._total is None else f"/{self._total}"
        parts = [f"{self._what} {self._done}{of}"]
        if self._best is not None:
            parts.append(f"best {self._best:.4f}{', ' if self._beside else ''}{self._beside}")
        if self._durations and self._total is not None and self._done < self._total:
            mean = sum(self._durations) / len(self._durations)
            parts.append(f"{clock(mean * math.ceil((self._total - self._done) / self._slots))} left")
        return " · ".join([*parts, self._busy] if self._busy else parts)


def _values(metrics: Mapping[str, float]) -> list[str]:
    """The losses of the training first, then the scores; validation losses and rates are left to the files."""
    losses = [f"{n.removeprefix('train/')} {v:.4f}" for n, v in metrics.items() if n.startswith("train/")]
    scores = [
        f"{n} {v:.4f}"
        for n, v in metrics.items()
        if not n.startswith("train/") and "loss" not in n and n != "lr"
    ]
    return losses + scores


def clock(seconds: float) -> str:
    """A duration as people say it: 12.3 s, 4 min, 2 h 05 min, 3.1 days."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"
