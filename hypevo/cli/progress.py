"""What a terminal shows of an evolution: a bar with the best fitness and the time left, and a line per trial."""

from __future__ import annotations

import math
from collections import deque

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from hypevo.protocol import Finding, Outcome

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "dim"}
_RECENT = 20  # trials whose mean duration the time left is computed from


class TerminalWatcher:
    """Shows an evolution on a console; without a terminal it prints the lines and leaves the bar out."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._epochs: int | None = None
        self._slots = 1
        self._total: int | None = None
        self._durations: deque[float] = deque(maxlen=_RECENT)
        self._trials: dict[int, TaskID] = {}
        self._bar: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.fields[text]}"),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip

    def __enter__(self) -> TerminalWatcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def found(self, findings: tuple[Finding, ...]) -> None:
        """Print the preflight's findings; errors are raised by the driver, all together."""
        for finding in findings:
            if finding.level != "error":
                self._console.print(
                    f"{finding.level}: {finding.message}", style=_COLOURS[finding.level], markup=False
                )

    def opened(
        self,
        study: str,
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
        if not math.isnan(seconds):
            self._durations.append(seconds)
        state = "new" if done == 0 else f"resumed after {done}"
        of = "until stopped" if total is None else f"{total} generations"
        self._console.print(f"study [bold]{study}[/] · {state} · {of}")
        self._progress.start()
        self._bar = self._progress.add_task(
            f"[bold]{study}", total=total, completed=done, text=self._text(done, best)
        )

    def started(self, number: int, *, device: str, attempt: int) -> None:
        """Add a line for a trial."""
        again = f" (attempt {attempt})" if attempt > 1 else ""
        self._trials[number] = self._progress.add_task(
            f"  trial {number} on {device}{again}", total=self._epochs, text="starting"
        )

    def reported(self, number: int, *, step: int, fitness: float) -> None:
        """Advance a trial's line."""
        of = f"/{self._epochs}" if self._epochs else ""
        self._progress.update(
            self._trials[number], completed=step + 1, text=f"epoch {step + 1}{of} · fitness {fitness:.4f}"
        )

    def ended(
        self,
        number: int,
        *,
        fitness: float | None,
        outcome: Outcome,
        again: bool,
        done: int,
        best: float | None,
    ) -> None:
        """Turn a trial's line into one that stays."""
        if number in self._trials:
            self._progress.remove_task(self._trials.pop(number))
        seconds = outcome.seconds
        if fitness is not None:
            self._durations.append(seconds)
            star = " [bold green]★ best[/]" if best is not None and fitness >= best else ""
            self._console.print(
                f"trial {number:4d} · fitness {fitness:.5f} · {_clock(seconds)}{star}", highlight=False
            )
        else:
            what = f"{outcome.failure}: {outcome.reason}" if outcome.reason else str(outcome.failure)
            then = "; it will run again" if again else ""
            style = "dim" if outcome.failure == "pruned" else "yellow"
            self._console.print(
                f"trial {number:4d} · {what}{then}", style=style, markup=False, highlight=False
            )
        if self._bar is not None:
            self._progress.update(self._bar, completed=done, text=self._text(done, best))

    def said(self, message: str) -> None:
        """Print a message."""
        self._console.print(message, style="yellow", markup=False)

    def _text(self, done: int, best: float | None) -> str:
        of = "" if self._total is None else f"/{self._total}"
        parts = [f"generation {done}{of}", "best –" if best is None else f"best {best:.4f}"]
        if self._durations and self._total is not None:
            mean = sum(self._durations) / len(self._durations)
            parts.append(f"{_clock(mean * math.ceil(max(0, self._total - done) / self._slots))} left")
        return " · ".join(parts)


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"
