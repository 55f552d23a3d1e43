"""A sampler that searches around the better one of two starts: the default, or what an earlier study recommends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from hypevo.study.attributes import DEFAULT, ORIGIN


class BetterStart(BaseSampler):
    """Hands each question on to one of two samplers, which differ in their start alone.

    Which one is a function of the study: the earlier recommendation is trusted until it and the default are measured;
    if it failed or is no better than the default, the search goes on around the default, as if it had never been.
    """

    def __init__(self, default: BaseSampler, earlier: BaseSampler, origin: str) -> None:
        """Choose between two samplers.

        Args:
            default: Begins at the default.
            earlier: Begins at the earlier recommendation.
            origin: Of the trial that measures the recommendation.
        """
        self._default, self._earlier, self._origin = default, earlier, origin
        self._settled: dict[
            str, BaseSampler
        ] = {}  # by study: once both are measured, no trial is looked at again

    def reseed_rng(self) -> None:
        """Reseed both."""
        self._default.reseed_rng()
        self._earlier.reseed_rng()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Ask the one whose start is better."""
        return self._chosen(study).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Ask the one whose start is better."""
        return self._chosen(study).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Ask the one whose start is better."""
        return self._chosen(study).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Tell the one whose start is better."""
        self._chosen(study).before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Tell the one whose start is better."""
        self._chosen(study).after_trial(study, trial, state, values)

    def _chosen(self, study: optuna.Study) -> BaseSampler:
        if (settled := self._settled.get(study.study_name)) is not None:
            return settled
        ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
        earlier = next((trial for trial in ended if trial.user_attrs.get(ORIGIN) == self._origin), None)
        if earlier is None:
            return self._earlier
        measured = (one for one in ended if one.user_attrs.get(ORIGIN) == DEFAULT and one.value is not None)
        default = next(measured, None)
        failed = earlier.state is not TrialState.COMPLETE
        if default is None and not failed:
            return self._earlier  # until the default has a result
        worse = failed or (default is not None and (earlier.value or 0.0) <= (default.value or 0.0))
        self._settled[study.study_name] = self._default if worse else self._earlier
        return self._settled[study.study_name]
