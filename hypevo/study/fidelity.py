"""How early a training shows how it will end: the fitness of each epoch against that of the end, over a study's trials.

The fitness of an epoch is what the driver reported to Optuna: the study's fitness, of the metrics that the trainer
returned after that epoch (an epoch without a validation has none). The end is the fitness that the trial counts with.
Both are of one training with one seed, so its luck is in both: another training of the same length agrees less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import rankdata

from hypevo.problem.settings import BUILT_IN
from hypevo.study.pruning import LOTS, Replay, replay
from hypevo.study.storage import finished, load_plan

FEW = 12  # trials below which an interval of a rank correlation is too wide to conclude from
ALIKE = 0.6  # lower end of the interval from which an epoch ranks trials as the end does
_RESAMPLES, _HALVES, _ERROR = 1000, 200, 0.05
_LIMITS = (
    "The pruners saw these trials one at a time, in the order in which they ended. A search with the pruner would "
    "have proposed other trials than these, and more of them in the time saved. A stopped training counts as the share "
    "of its time that its epochs are, so its start and end seem to cost less than they do."
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Epoch:
    """What the fitness after so many epochs tells of the end.

    Attributes:
        epoch: Counted from 1.
        trials: Those that have a fitness there and ran in full.
        correlation: Spearman's, of the fitness there and at the end; None where all are equal.
        low: Lower end of its 95 % interval, by bootstrap.
        high: Upper end.
        best_survives: Chance that the best at the end, of a random half of the trials, is in their better half here.
        third_survives: Share of the best third at the end that is in the better half here; by chance it would be 0.5.
    """

    epoch: int
    trials: int
    correlation: float | None
    low: float | None
    high: float | None
    best_survives: float
    third_survives: float


@dataclass(frozen=True)
class Fidelity:
    """How true short trials of a study would be.

    Attributes:
        study: Its name.
        trials: That ran in full and reported at least one epoch with a fitness.
        pruned: That were stopped early: they have no end, and are left out.
        silent: That have a fitness and no epochs (imported ones): left out too.
        failed: That ended without a fitness: left out too.
        epochs: In order.
        pruners: What each pruner would have done; empty while there are too few trials or epochs.
        conclusion: In sentences.
    """

    study: str
    trials: int
    pruned: int
    silent: int
    failed: int
    epochs: tuple[Epoch, ...]
    pruners: tuple[Replay, ...]
    conclusion: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return asdict(self)


def fidelity(study: optuna.Study) -> Fidelity:
    """Read from a study's trials how early they show how they will end."""
    plan = load_plan(study)
    everything = finished(study)
    trials = [trial for trial in everything if trial.intermediate_values]
    silent = len(everything) - len(trials)
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    pruned, failed = states.count(TrialState.PRUNED), states.count(TrialState.FAIL)
    values, ends = table(trials)
    rng = np.random.default_rng(0)
    epochs = tuple(
        epoch_of(number + 1, column[known], ends[known], rng)
        for number, column in enumerate(values.T)
        if np.count_nonzero(known := np.isfinite(column)) > 1
    )
    said, pruners = _left_out(pruned, silent, failed), tuple[Replay, ...]()
    if len(trials) < FEW:
        said.append(
            f"Nothing can be concluded: expected {FEW} trials or more that ran in full and reported epochs, "
            f"got {len(trials)}."
        )
    elif len(epochs) < 2:
        said.append(
            "Nothing can be concluded: the trials have a fitness after one epoch only; validate after each."
        )
    else:
        pruners = tuple(replay(trials, pruner) for pruner in LOTS)
        schedule = plan.settings.get("schedule_epochs") or values.shape[1]
        said.append(_short(epochs, schedule if plan.trainer == BUILT_IN else None))
        said += [*(_pruner(found, len(trials)) for found in pruners), _LIMITS]
    return Fidelity(study.study_name, len(trials), pruned, silent, failed, epochs, pruners, tuple(said))


def table(trials: Sequence[FrozenTrial]) -> tuple[Floats, Floats]:
    """Fitness by trial and epoch, (N, E), NaN where there is none; and at the end, (N,)."""
    longest = max((max(trial.intermediate_values) + 1 for trial in trials), default=0)
    values = np.full((len(trials), longest), math.nan)
    for row, trial in enumerate(trials):
        for step, value in trial.intermediate_values.items():
            values[row, step] = value
    return values, np.array([trial.value for trial in trials], dtype=np.float64)


def epoch_of(number: int, values: Floats, ends: Floats, rng: np.random.Generator) -> Epoch:
    """Compare the fitness after an epoch, (N,), with that of the end, (N,)."""
    count = len(values)
    drawn = rng.integers(count, size=(_RESAMPLES, count))
    spread = spearman(values[drawn], ends[drawn])
    spread = spread[np.isfinite(spread)]  # a resample of equal ones has no correlation
    correlation = float(spearman(values, ends))
    known = math.isfinite(correlation)
    low, high = np.quantile(spread, (_ERROR / 2, 1 - _ERROR / 2)).tolist() if known else (None, None)
    halves = rng.permuted(np.tile(np.arange(count), (_HALVES, 1)), axis=1)[:, : -(-count // 2)]
    best = [survival(values[half], ends[half], 1) for half in halves]
    return Epoch(
        number,
        count,
        correlation if known else None,
        low,
        high,
        float(np.mean(best)),
        survival(values, ends, -(-count // 3)),
    )


def spearman(one: Floats, other: Floats) -> Floats:
    """Rank correlation along the last axis; NaN where either has equal values only."""
    first, second = (rankdata(values, axis=-1) for values in (one, other))
    first, second = (ranks - ranks.mean(-1, keepdims=True) for ranks in (first, second))
    scale = np.sqrt((first**2).sum(-1) * (second**2).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((first * second).sum(-1) / scale)


def survival(values: Floats, ends: Floats, best: int) -> float:
    """Share of so many best at the end that a cut to the better half leaves; equal ones are cut by lot."""
    kept = -(-len(values) // 2)
    chosen = values[np.argsort(-ends, kind="stable")[:best]]
    ahead = (values > chosen[:, None]).sum(1)
    equal = (values == chosen[:, None]).sum(1)
    return float(np.clip((kept - ahead) / equal, 0, 1).mean())


def _left_out(pruned: int, silent: int, failed: int) -> list[str]:
    said = []
    if pruned:
        said.append(
            f"Pruned trials: {pruned}. They have no end and are left out: all this is of those that ran in full, a "
            f"selection of the better ones. A study without --pruner tells more."
        )
    if silent:
        said.append(f"Trials without a fitness of any epoch, imported ones for example: {silent}. Left out.")
    if failed:
        said.append(f"Failed trials: {failed}. Left out, though a pruner would have seen their epochs.")
    return said


def _short(epochs: Sequence[Epoch], schedule: int | None) -> str:
    last = epochs[-1].epoch
    judged = [epoch for epoch in epochs[:-1] if epoch.trials >= FEW]
    good = None
    for epoch in reversed(judged):
        if epoch.low is None or epoch.low < ALIKE:
            break
        good = epoch
    if good is None:
        return (
            f"No trial should be shorter: after fewer than {last} epochs the ranks may not be those of the end. "
            f"(Asked for: a 95 % interval of Spearman's correlation above {ALIKE} from that epoch on.)"
        )
    how = f" (--epochs {good.epoch} --schedule-epochs {schedule})" if schedule else ""
    return (
        f"A trial may end after {good.epoch} of {last} epochs of the same schedule{how}: from there on it ranks as at "
        f"the end, Spearman {good.correlation:.2f}, at least {good.low:.2f}. Of trainings longer than {last} epochs "
        f"this says nothing."
    )


def _pruner(found: Replay, trials: int) -> str:
    word = "is not safe here" if found.best else "costs good trials here" if found.of_few else "is safe here"
    word = word if found.stopped else "does nothing here"
    best = ""
    if found.best:
        often = f" in {found.best:.0%} of {found.lots} draws of its brackets" if found.lots > 1 else ""
        best = f", the best of all{often} ({found.loss:.3g} of fitness lost)"
    return (
        f"--pruner {found.pruner} {word}: it would have stopped {found.stopped:.3g} of {trials} trials, "
        f"{found.of_few:.2g} of the best {found.few}{best}, and saved {found.saved:.0%} of the "
        f"{'device time' if found.timed else 'epochs'}."
    )
