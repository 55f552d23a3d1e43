"""A program's epochs: reported as its results grow, and the one that counts in the end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .program import run
from .results import merged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from .. import Report
    from .results import Row

    Fitness = Callable[[Mapping[str, float]], float]


def follow(
    command: Sequence[str],
    *,
    rows: Callable[[bool], Sequence[Row]],
    report: Report,
    heard: Callable[[str], None] | None = None,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> list[dict[str, float]]:
    """Run a program to its end, and report each epoch as soon as all of it is there.

    Args:
        command: The program and its arguments.
        rows: The rows of its results so far; told whether the program has ended.
        report: Told each epoch, counted from 0.
        heard: Called with each line that it prints.
        cwd: Folder to run it in.
        variables: Environment variables to set for it.

    Returns:
        The metrics of each epoch.

    Raises:
        ProgramError: It did not end well.
    """
    reported = 0

    def tell(ended: bool) -> list[Row]:
        nonlocal reported
        epochs = merged(rows(ended))
        for step, epoch in enumerate(epochs[reported:], reported):
            if not ended and not _is_whole(epochs, step):
                break
            report(epoch.metrics, step=step)
            reported = step + 1
        return epochs

    run(command, cwd=cwd, variables=variables, heard=heard, look=lambda: tell(False))
    return [epoch.metrics for epoch in tell(True)]


def chosen(epochs: Sequence[dict[str, float]], take: str, fitness: Fitness | None) -> dict[str, float]:
    """The epoch that counts: the last one, or with `take` «best» the fittest, the earliest of equally fit ones.

    Args:
        epochs: At least one.
        take: «last» or «best».
        fitness: What is maximised; the last epoch counts where it can judge none.
    """
    if take == "last" or fitness is None:
        return epochs[-1]
    scores = [fitness(metrics) for metrics in epochs]
    known = [step for step, score in enumerate(scores) if math.isfinite(score)]
    return epochs[max(known, key=scores.__getitem__)] if known else epochs[-1]


def _is_whole(epochs: Sequence[Row], step: int) -> bool:
    """Whether an epoch will get no more: another follows, or it has all that the one before had."""
    if step < len(epochs) - 1 or epochs[step].whole:
        return True
    return step > 0 and epochs[step - 1].metrics.keys() <= epochs[step].metrics.keys()
