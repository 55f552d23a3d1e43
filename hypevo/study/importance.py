"""Which genes matter: in which of them the best tenth of the trials differs from all, by Optuna's PED-ANOVA."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState, create_trial

from hypevo.problem.space import Space

if TYPE_CHECKING:
    from hypevo.problem.gene import Gene
    from hypevo.protocol import Value
    from hypevo.results.evolve_csv import Row

ENOUGH = 20  # finished trials from which importance says something
_WIDE = 10.0  # a positive range of this ratio is compared on a logarithmic scale


def importances(study: optuna.Study, genes: Sequence[str]) -> dict[str, float]:
    """The importance of each gene that has a value in all finished trials, in sum 1, the greatest first.

    Raises:
        ValueError: There is nothing to be said, and why.
    """
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < ENOUGH:
        raise ValueError(f"expected {ENOUGH} or more trials with a fitness; got {len(done)}")
    known = [gene for gene in genes if all(gene in trial.params for trial in done)]
    if not known:
        raise ValueError("expected a gene with a value in all trials; there is none")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that all are equal: then all are shown
            weights = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), params=known)
    except (ValueError, RuntimeError) as error:  # all of one fitness, or none of them finite
        raise ValueError(f"the fitness of the trials cannot be compared: {error}") from error
    if not any(weight > 0 for weight in weights.values()):
        raise ValueError("the best trials differ from the others in no gene")
    return dict(sorted(weights.items(), key=lambda item: -item[1]))


def importances_of(rows: Sequence[Row], space: Space | None) -> dict[str, float]:
    """The same for individuals that are no trials of a study, or not at hand as such.

    Args:
        rows: The individuals.
        space: Their genes, if they are known; without them all that have more than one value count as searched.

    Raises:
        ValueError: as `importances`.
    """
    study = optuna.create_study(direction="maximize", storage=optuna.storages.InMemoryStorage())
    fit = [row for row in rows if abs(row.fitness) < float("inf")]
    values = {name: [row.hyp[name] for row in fit if name in row.hyp] for row in fit for name in row.hyp}
    ranges = {
        name: _range(have, None if space is None else space.get(name))
        for name, have in values.items()
        if len(have) == len(fit)
        and (space[name].movable if space is not None and name in space else len(set(have)) > 1)
    }
    study.add_trials(
        create_trial(value=row.fitness, params={name: row.hyp[name] for name in ranges}, distributions=ranges)
        for row in fit
    )
    return importances(study, list(ranges))


def _range(values: Sequence[Value], gene: Gene | None) -> BaseDistribution:
    """As the search has it, unless a value is outside of that or it is not known: then what the values span."""
    if gene is not None and all(gene.misfit(value) is None for value in values):
        return Space([gene]).distributions()[gene.name]
    log = gene is not None and gene.log
    numbers = [value for value in values if not isinstance(value, str | bool)]
    if len(numbers) < len(values):
        return CategoricalDistribution(sorted(set(values), key=str))
    low, high = min(numbers), max(numbers)
    if all(isinstance(value, int) for value in numbers):
        return IntDistribution(int(low), int(high), log=log and low > 0)
    return FloatDistribution(low, high, log=low > 0 and (log or high / low >= _WIDE))
