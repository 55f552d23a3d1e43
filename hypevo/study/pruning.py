"""When a pruner ends a trial early: the driver's rule, and what it would have done to trials that ran in full."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, Trial, TrialState

from hypevo.study.attributes import ORIGIN, SECONDS
from hypevo.study.search import make_pruner

LOTS = {
    "median": 1,
    "halving": 1,
    "hyperband": 20,
}  # a study's name and a trial's number draw hyperband's brackets
_FEW = 5  # best trials that are looked after

Floats = NDArray[np.float64]


def enter(study: optuna.Study, trial: Trial, fitness: float, step: int) -> bool:
    """Enter the fitness of an epoch; True to stop the trial there.

    Never the default or an earlier study's start, nor a trial at its last epoch: what is paid in full is kept.
    """
    trial.report(fitness, step)
    stop = trial.should_prune()  # asked in any case: it enters the trial into the pruner's comparison
    return stop and ORIGIN not in trial.user_attrs and not _is_last(study, step)


def _is_last(study: optuna.Study, step: int) -> bool:
    """Whether complete trials ended at this epoch."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return step >= max((one.last_step for one in complete if one.last_step is not None), default=step + 1)


@dataclass(frozen=True)
class Replay:
    """What a pruner would have done to trials that ran in full; means where it draws lots.

    Attributes:
        pruner: As in `--pruner`.
        lots: How often it was replayed, each time with other brackets.
        stopped: Trials that it would have ended early.
        few: How many of the best trials are looked after.
        of_few: Those of them that it would have ended.
        best: Share of the lots in which it would have ended the best.
        loss: Fitness of the best less that of the best trial that it lets run in full.
        saved: Share of the time that would not have been trained.
        timed: Whether that is of the trainings' time, each epoch of one counted alike; else of all epochs.
    """

    pruner: str
    lots: int
    stopped: float
    few: int
    of_few: float
    best: float
    loss: float
    saved: float
    timed: bool


def replay(trials: Sequence[FrozenTrial], pruner: str) -> Replay:
    """What a pruner would have done, had it seen these complete trials in their order, one at a time."""
    ends = np.array([trial.value for trial in trials], dtype=np.float64)
    best = np.argsort(-ends, kind="stable")[: min(_FEW, -(-len(ends) // 3))]
    stops = np.array([_stops(trials, pruner, lot) for lot in range(LOTS[pruner])])
    lost = np.isfinite(stops)
    epochs = np.array([max(trial.intermediate_values) + 1.0 for trial in trials])
    seconds = np.array([float(trial.user_attrs.get(SECONDS, 0.0)) for trial in trials])
    timed = bool((seconds > 0).all())
    cost = seconds if timed else epochs
    rest = np.where(lost, 1 - (stops + 1) / epochs, 0.0)
    return Replay(
        pruner,
        len(stops),
        float(lost.sum(1).mean()),
        len(best),
        float(lost[:, best].sum(1).mean()),
        float(lost[:, best[0]].mean()),
        float(ends.max() - np.where(lost, -math.inf, ends).max(1).mean()),
        float((rest @ cost).mean() / cost.sum()),
        timed,
    )


def _stops(trials: Sequence[FrozenTrial], pruner: str, lot: int) -> list[float]:
    """The step at which each trial is stopped, (N,), NaN where it is not: Optuna's own pruner on a study in memory."""
    sampler = optuna.samplers.RandomSampler(0)  # nothing is sampled
    study = optuna.create_study(
        study_name=str(lot), direction="maximize", sampler=sampler, pruner=make_pruner(pruner)
    )
    stops = []
    for recorded in trials:
        trial = study.ask()
        if ORIGIN in recorded.user_attrs:
            trial.set_user_attr(ORIGIN, recorded.user_attrs[ORIGIN])
        curve = sorted(recorded.intermediate_values.items())
        stop = next((step for step, fitness in curve if enter(study, trial, fitness, step)), None)
        if stop is None:
            study.tell(trial, recorded.value)
        else:
            study.tell(trial, state=TrialState.PRUNED)
        stops.append(math.nan if stop is None else float(stop))
    return stops
