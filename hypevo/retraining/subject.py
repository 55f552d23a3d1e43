"""What a confirmation is of: a study as it stands now, and the points that are held against its default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import optuna

from hypevo.problem.hyp import read_individual
from hypevo.problem.plan import Plan
from hypevo.problem.settings import ConfirmSettings
from hypevo.protocol import InputError
from hypevo.retraining.candidates import Candidate
from hypevo.study.estimates import recommend
from hypevo.study.exports import trained_with
from hypevo.study.identity import DATASET
from hypevo.study.opening import study_folder
from hypevo.study.standing import standing
from hypevo.study.storage import load_plan, ranked, trained_by

RECOMMENDED = "recommended"


@dataclass(frozen=True)
class Subject:
    """What is confirmed: a study, as it stands now.

    Attributes:
        study: Its name.
        plan: Its plan, with all of the trainer's options that its trainings had.
        candidates: The points, at least one.
        folder: The study's.
        noise: Standard deviation of the default's fitness over seeds; None when it is not known.
        dataset: Fingerprint of the data that it searched on; empty when it is not known.
    """

    study: str
    plan: Plan
    candidates: Sequence[Candidate]
    folder: Path
    noise: float | None
    dataset: str


def subject_of(settings: ConfirmSettings, study: optuna.Study) -> Subject:
    """The candidates that are asked for: the best trials, the recommended point, the user's own files.

    Raises:
        InputError: Nothing has finished in the study, or a file cannot be trained with.
    """
    plan = replace(load_plan(study), settings=trained_by(study))
    best = ranked(study)
    if not best and (settings.top or settings.recommended):
        raise InputError(f"study «{study.study_name}» has no finished trial yet")
    candidates = [
        Candidate(
            f"trial {trial.number}",
            trained_with(trial, plan),
            math.nan if trial.value is None else trial.value,
        )
        for trial in best[: settings.top]
    ]
    if settings.recommended:
        candidates.append(Candidate(RECOMMENDED, {**plan.hyp, **recommend(study)}))
    for source in dict.fromkeys(settings.hyp):
        hyp = read_individual(source, plan.space, trainer=plan.trainer, searched=())
        candidates.append(Candidate(source, hyp))
    return Subject(
        study.study_name,
        plan,
        candidates,
        study_folder(study, settings.out),
        standing(study).noise,
        str(study.user_attrs.get(DATASET) or ""),
    )
