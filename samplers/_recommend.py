"""recommend: the individual that a study's trials speak for, which is seldom the luckiest one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ._adaptive import N_BEFORE_MODEL, fit_kernel, last_kernel, posterior, rank_weights
from ._cube import Cube
from ._evidence import Evidence
from ._genes import Genes
from ._genetics import mean_parent
from ._history import History

if TYPE_CHECKING:
    from optuna.study import Study


_FIT_STEPS = 30  # a study asks once, and may have no fit to start from


def recommend(study: Study, *, n_best: int = 9) -> dict[str, Any]:
    """Return the parameters to train with after a study: the mean of its elite.

    The best trial of a noisy study owes part of its value to luck. The elite are the ``n_best`` trials with the
    greatest posterior mean under the adaptive mode's model (with few trials: the greatest values), whoever proposed
    them. The result is their mean in the unit cube with weights ``log(n + 1/2) − log(rank)``; categorical parameters
    are voted on. It is a new individual: measure it before you trust it.

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
    if len(study.directions) > 1:
        raise ValueError(f"expected a study with one objective, got {len(study.directions)}.")
    history = History(study, include_pruned=False)
    history.update(study.get_trials(deepcopy=False))
    leaders = [candidate.trial for candidate in history.best(n_best)]
    if not leaders:
        raise ValueError(
            f"study {study.study_name!r} has no finished trial with parameters to recommend from."
        )
    usual, _ = Counter(frozenset(trial.params) for trial in leaders).most_common(1)[0]
    model = next(trial for trial in leaders if trial.params.keys() == usual)
    genes = Genes.of({name: history.ranges.get(name, d) for name, d in model.distributions.items()})
    cube = Cube.of(genes)
    evidence = Evidence.of(history, cube, asking=-1)
    merit = evidence.fitness
    if len(merit) >= N_BEFORE_MODEL:
        kernel = fit_kernel(last_kernel(history, cube), evidence, cube, steps=_FIT_STEPS)
        merit = posterior(evidence, cube, kernel).fitted[: len(merit)]
    elite = evidence.eligible[np.argsort(-merit[evidence.eligible], kind="stable")][:n_best]
    weights = rank_weights(len(elite))
    mean = cube.unscale(
        mean_parent(evidence.points[elite], weights, genes.categorical), np.full(len(genes.low), 0.5)
    )
    agreed = np.ptp(evidence.vectors[elite], axis=0) == 0
    return genes.decode(genes.snap(np.where(agreed, evidence.vectors[elite[0]], mean)))
