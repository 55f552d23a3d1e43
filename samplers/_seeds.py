"""Seeds: what a training's seed adds to the fitness of all individuals alike, estimated and taken away."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ._surrogate import GaussianProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from optuna.trial import FrozenTrial

    from ._surrogate import Hyperparameters

_VARIANCE = (
    0.3  # of the offsets a priori, in units of the values': three times what a model takes for noise at first
)
TRAINING_SEED = "training_seed"  # user attribute of a trial whose value depends on a seed, an integer


def groups_of(trials: Sequence[FrozenTrial]) -> NDArray[np.int64]:
    """Return for each trial which of the seeds it has (n,), −1 where that says nothing.

    It says nothing where fewer than two seeds have two trials or more: one seed for all, or a fresh one for each.
    """
    seeds = [trial.user_attrs.get(TRAINING_SEED) for trial in trials]
    repeated = [seed for seed, n in Counter(seeds).items() if seed is not None and n > 1]
    if len(repeated) < 2:
        return np.full(len(seeds), -1)
    index = {seed: i for i, seed in enumerate(repeated)}
    return np.array([index.get(seed, -1) for seed in seeds])


def without_levels(fitness: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return fitness (n,) with the best of each group (n,), −1 for none, made equal: enough to tell crashes."""
    rest = fitness.copy()
    for group in np.unique(groups[groups >= 0]):
        members = (groups == group) & np.isfinite(fitness)
        if members.any():
            rest[members] += np.max(fitness[np.isfinite(fitness)]) - np.max(fitness[members])
    return rest


def without_offsets(
    kernel: Hyperparameters,
    x: NDArray[np.float64],  # (n, genes)
    y: NDArray[np.float64],  # (n,) standardised
    groups: NDArray[np.int64],  # (n,) as of `groups_of`
) -> NDArray[np.float64]:
    """Return the values (n,) without what their seeds add to all of them alike.

    The offsets are independent normal variables next to a Gaussian process and its noise. What is taken away is their
    posterior mean: the mean of what the model leaves unexplained under a seed, shrunken the more, the noisier the model
    and the fewer the trials of the seed.
    """
    n_groups = int(groups.max(initial=-1)) + 1
    if n_groups == 0:
        return y
    members = (groups[:, None] == np.arange(n_groups)).astype(float)  # (n, seeds)
    whitened = GaussianProcess(kernel, x, y).whitened(np.column_stack([members, y]))
    members_white, y_white = whitened[:, :-1], whitened[:, -1]
    precision = members_white.T @ members_white + np.eye(n_groups) / _VARIANCE
    return np.asarray(y - members @ np.linalg.solve(precision, members_white.T @ y_white))
