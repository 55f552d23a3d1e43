"""Which hyperparameters of a study to train with: everything that names a file to train with asks here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypevo.results.hyp_file import confirmed_candidate
from hypevo.study.account import changes
from hypevo.study.attributes import BETTER, DEFAULT, HARMFUL, ORIGIN, UNDECIDED
from hypevo.study.exports import CONFIRMED, HYP
from hypevo.study.opening import TRIALS, study_folder
from hypevo.study.standing import standing
from hypevo.study.storage import finished, load_plan, trained_by
from hypevo.trainings import record

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Chosen:
    """What to train with.

    Attributes:
        file: The hyp file; None where it is better not to train.
        said: Whose hyperparameters they are, and what a confirmation has said of them.
        settings: The trainer's settings to train with: those of the confirmation where it was one.
        asks: Whether the best trial still needs a confirmation.
        is_best: Whether they are those of the best trial.
    """

    file: Path | None
    said: str
    settings: Mapping[str, Any]
    asks: bool
    is_best: bool


def chosen(study: optuna.Study) -> Chosen | None:
    """What to train with now; None before there is a result.

    A confirmed winner goes before all others, also before a newer best that is not confirmed. A best that the last
    confirmation did not find better gives way to the default.

    Raises:
        InputError: The study's folder is another study's now.
    """
    stands, plan = standing(study), load_plan(study)
    if stands.best is None:
        return None
    folder, best = study_folder(study, Path("runs/evolve")), f"trial {stands.best.number}"
    verdict = stands.verdict or {}
    verdicts = {str(one.get("candidate")): one for one in verdict.get("verdicts") or ()}
    own = verdicts.get(best, {})
    judged = own.get("verdict", UNDECIDED) != UNDECIDED
    moved = bool(changes(plan, stands.best))
    asks = moved and not judged
    below = ", below the untouched weights" if stands.below_untouched else ""
    settings = trained_by(study)
    confirmed = verdict.get("settings") or settings  # an older version did not keep them
    if (winner := confirmed_candidate(folder / CONFIRMED)) is not None:
        last = verdicts.get(winner, {}).get("verdict") == BETTER
        said = f"{winner}, confirmed" if winner else "confirmed"
        return Chosen(folder / CONFIRMED, said, confirmed if last else settings, asks, winner == best)
    if not moved:
        return Chosen(
            folder / HYP, f"the default, which no trial beat{below}", settings, asks=False, is_best=True
        )
    if not judged:
        return Chosen(folder / HYP, f"{best}, not confirmed yet{below}", settings, asks=True, is_best=True)
    if own.get("over_untouched") == HARMFUL:
        said = f"none: {best} is {HARMFUL}"
        return Chosen(None, said, settings, asks=False, is_best=False)
    if own["verdict"] == BETTER:  # hyp_confirmed.yaml was moved: these are the same hyperparameters
        return Chosen(folder / HYP, f"{best}, confirmed", confirmed, asks=False, is_best=True)
    said = f"the default; a confirmation says of {best}: {own['verdict']}"
    return Chosen(_default(study, folder), said, settings, asks=False, is_best=False)


def _default(study: optuna.Study, folder: Path) -> Path | None:
    """The default's hyp file; None where the study has not trained it."""
    numbers = [trial.number for trial in finished(study) if trial.user_attrs.get(ORIGIN) == DEFAULT]
    paths = [folder / TRIALS / f"{number:04d}" / record.HYP for number in numbers]
    return next((path for path in paths if path.is_file()), None)
