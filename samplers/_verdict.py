"""What a study's trials say together: the individual they speak for, and how much they scatter."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._adaptive import fit_kernel, last_kernel, posterior
from ._cube import Cube
from ._evidence import Evidence
from ._genes import Genes
from ._genetics import divisor, mean_parent
from ._history import History
from ._mutation import rank_weights
from ._seeds import without_levels, without_offsets
from ._surrogate import GaussianProcess, Hyperparameters, fit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna.study import Study


_FIT_STEPS = 30  # a study asks seldom, and may have no fit to start from
_N_BEST = 9
_N_BEFORE_MODEL = 12  # trials that a verdict by the model needs
_FAR_BELOW = 4.0  # times the distance of the best from the upper quartile
_NORMAL_PER_MEDIAN = 1.4826  # standard deviation of a normal distribution per median distance from its mean


def recommend(study: Study, *, n_best: int = _N_BEST) -> dict[str, Any]:
    """Return the parameters to train with after a study: the mean of its elite.

    The best trial of a noisy study owes part of its value to luck. The elite are the ``n_best`` trials with the
    greatest posterior mean under the adaptive mode's model (with few trials: the greatest values), whoever proposed
    them, of those whose value is in the best third and no worse than that of the study's first trial. The result is
    their mean in the unit cube with weights ``log(n + 1/2) − log(rank)``; categorical parameters are voted on. It is a
    new individual: measure it before you trust it.

    Args:
        study: A study with one objective and at least one finished trial.
        n_best: Size of the elite.

    Returns:
        A value for every parameter; where trials differ in what parameters they have, for those that most of the
        best trials have.

    Raises:
        ValueError: If ``n_best`` is below 1, no trial has finished, or the study has several objectives.
    """
    if n_best < 1:
        raise ValueError(f"`n_best` must be at least 1, got {n_best}.")
    view = view_of(study, n_best)
    if view is None:
        raise ValueError(
            f"study {study.study_name!r} has no finished trial with parameters to recommend from."
        )
    cube, evidence = view.cube, view.evidence
    genes, merit = cube.genes, evidence.fitness
    if len(merit) >= _N_BEFORE_MODEL:
        kernel = fit_kernel(last_kernel(view.history, cube), evidence, cube, steps=_FIT_STEPS)
        merit = posterior(evidence, cube, kernel).fitted[: len(merit)]
    sound = _sound(view, n_best)
    elite = sound[np.argsort(-merit[sound], kind="stable")][:n_best]
    weights = rank_weights(len(elite))
    mean = cube.unscale(
        mean_parent(evidence.points[elite], weights, genes.categorical), np.full(len(genes.low), 0.5)
    )
    agreed = np.ptp(evidence.vectors[elite], axis=0) == 0
    return genes.decode(genes.settle(np.where(agreed, evidence.vectors[elite[0]], mean)))


def _sound(view: View, n_best: int) -> NDArray[np.int64]:
    """Return who may be in the elite: the better third by value, and of it those no worse than the first individual.

    Where almost every step is a disaster, a model takes the few good values for noise.
    """
    eligible, first = view.evidence.eligible, view.history.by_number[0]
    fitness = view.evidence.fitness[eligible]
    least = np.sort(fitness)[-max(n_best, len(fitness) // 3) :][0]
    if first.violation == 0:
        least = max(least, first.fitness)
    return np.asarray(eligible[fitness >= min(least, fitness.max())])


def noise(study: Study) -> float:
    """Return the scatter of the fitness near the best: the standard deviation that a smooth model leaves unexplained.

    That is how far values typically lie from a model like the adaptive mode's: the median distance, as a standard
    deviation, in the third of the trials with the greatest posterior mean, whoever proposed them. No trial needs to be
    repeated for it. Trials far below the best quarter are left out, since crashes say nothing of noise; what changes as
    abruptly as noise counts as noise.

    What the scatter is depends on what the trials differ in. Where every trial draws fresh randomness, it is the noise
    of a measurement. Where all train with one seed, it is the scatter under this seed only: what the seed does to all
    trials alike is not in it, and the standard deviation over fresh seeds is larger (.0106 to .0117 against .0050 in a
    small training on COCO128). Where a few seeds take turns and trials say so (``training_seed``), what a seed adds to
    all its trials is not in it either. Whether an improvement holds is decided by trainings with other seeds.

    Args:
        study: A study with one objective.

    Returns:
        The scatter, in units of the value; nan while fewer than 12 such trials are complete.

    Raises:
        ValueError: If the study has several objectives.
    """
    view = view_of(study, _N_BEST)
    model = None if view is None else model_of(view)
    if model is None:
        return math.nan
    if model.unit == 0:
        return 0.0
    fitted = model.process.fitted
    best = np.argsort(-fitted, kind="stable")[: max(_N_BEST, len(fitted) // 3)]
    return float(_NORMAL_PER_MEDIAN * np.median(np.abs(model.y - fitted)[best]) * model.unit)


def _not_far_below(fitness: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which fitness (n,) is finite and not much further below the upper quartile than that is below the best."""
    finite = np.isfinite(fitness)
    if not finite.any():
        return finite
    best, quartile = fitness[finite].max(), np.percentile(fitness[finite], 75)
    return np.asarray(finite & (fitness >= quartile - _FAR_BELOW * (best - quartile)))


class View(NamedTuple):
    """A study seen as a whole."""

    history: History
    cube: Cube
    evidence: Evidence


def view_of(study: Study, n_best: int = _N_BEST) -> View | None:
    """Look at the parameters that most of the ``n_best`` best trials have; None where no such trial has finished."""
    if len(study.directions) > 1:
        raise ValueError(f"expected a study with one objective, got {len(study.directions)}.")
    history = History(study, include_pruned=False)
    history.update(study.get_trials(deepcopy=False))
    leaders = [candidate.trial for candidate in history.best(n_best)]
    if not leaders:
        return None
    usual, _ = Counter(frozenset(trial.params) for trial in leaders).most_common(1)[0]
    model = next(trial for trial in leaders if trial.params.keys() == usual)
    cube = Cube.of(Genes.of({name: history.ranges.get(name, d) for name, d in model.distributions.items()}))
    return View(history, cube, Evidence.of(history, cube, asking=-1))


class Model(NamedTuple):
    """A smooth model of a study's values, and what is needed to read it in their unit."""

    process: GaussianProcess
    y: NDArray[np.float64]  # (n,) the values that it explains, standardised
    unit: float  # of a standardised value, in units of the study's; 0 where all values are equal


def model_of(view: View, down_to: float = np.inf) -> Model | None:
    """Fit a model to the trials that are no crashes; None while fewer than 12 such trials are complete.

    Args:
        view: The study.
        down_to: A fitness that counts as no crash, however far it lies below the best quarter.
    """
    evidence = view.evidence
    if view.history.best(1)[0].violation > 0:
        return None
    all_of_them = evidence.fitness[evidence.eligible]
    level = without_levels(all_of_them, evidence.groups[evidence.eligible])
    near = _not_far_below(level) | (np.isfinite(all_of_them) & (all_of_them >= down_to))
    sound = evidence.eligible[near]
    if len(sound) < _N_BEFORE_MODEL:
        return None
    unit = divisor(evidence.fitness[sound])  # of huge values, whose squares are infinite
    fitness = evidence.fitness[sound] / unit
    spread = 0.0 if np.ptp(fitness) == 0 else float(fitness.std())
    y = (fitness - fitness.mean()) / (spread or 1.0)
    features = view.cube.features(evidence.points[sound])
    start = Hyperparameters.prior(view.cube.n_features)
    groups = evidence.groups[sound]
    y = without_offsets(start, features, y, groups)
    kernel = fit(start, features, y, steps=_FIT_STEPS) if spread else start
    y = without_offsets(kernel, features, y, groups)
    return Model(GaussianProcess(kernel, features, y), y, spread * unit)
