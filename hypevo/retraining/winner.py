"""The winner of a confirmation as a hyp file, which goes when its verdict no longer holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import cast

from hypevo.problem.yamlfile import read_mapping
from hypevo.protocol import Hyp, InputError
from hypevo.results.evolve_csv import Row
from hypevo.results.hyp_file import confirmed_candidate, write_hyp_confirmed
from hypevo.retraining.candidates import Candidate
from hypevo.retraining.confirmation import Confirmation
from hypevo.trainings.work import Training, Watcher


def earlier_winner(path: Path, confirmation: Confirmation, candidates: Sequence[Candidate]) -> str | None:
    """Whom the hyp file of an earlier winner is of, empty where it does not say; None where no such file stays.

    It stays where this confirmation has no winner of its own and did not judge that one.
    """
    if confirmation.confirmed is not None or not path.exists():
        return None
    judged = {one.candidate for one in confirmation.verdicts if one.judged}
    if _key(path) in {one.key for one in candidates if one.name in judged}:
        return None
    return confirmed_candidate(path) or ""


def write_winner(
    path: Path,
    confirmation: Confirmation,
    candidates: Sequence[Candidate],
    trainings: Mapping[tuple[str, int], Training],
    watcher: Watcher,
) -> None:
    """Write the hyp file of a winner to train with; without one, withdraw an earlier one of a candidate judged now."""
    winner = confirmation.confirmed
    if winner is None:
        if earlier_winner(path, confirmation, candidates) is not None:
            watcher.message(f"stays: {path}; its candidate was not judged now")
        elif path.exists():
            path.unlink()
            watcher.message(f"withdrawn: {path}; the verdict that it stood for no longer holds")
        return
    hyp = next(candidate.hyp for candidate in candidates if candidate.name == winner.candidate)
    key = Candidate(winner.candidate, hyp).key
    results = [training.record.result for (of, _), training in trainings.items() if of == key]
    metrics = [result.metrics for result in results if result is not None and result.failure is None]
    means = {name: fmean(values[name] for values in metrics if name in values) for name in metrics[0]}
    where = "; the search selected on the same validation data" if confirmation.selected_here else ""
    write_hyp_confirmed(
        path,
        Row(0, means, hyp, winner.fitness),
        verdict=str(winner),
        conditions=confirmation.conditions + where,
    )


def _key(path: Path) -> str | None:
    """Of the candidate in a hyp file; None when it cannot be read."""
    try:
        return Candidate("", cast("Hyp", read_mapping(path))).key
    except (InputError, TypeError):  # a value that JSON does not know
        return None
