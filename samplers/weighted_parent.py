"""WeightedParentSampler: an Optuna sampler that evolves the best trials so far."""

from __future__ import annotations

import math
import threading
import zlib
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState

from ._adaptive import AdaptiveStrategy
from ._classic import ClassicStrategy
from ._defaults import check_names, check_values
from ._genes import Genes
from ._history import History
from ._proposal import Proposal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from ._offspring import Strategy


_MODES = ("adaptive", "classic")


class WeightedParentSampler(BaseSampler):
    """Sampler that mutates fitness-weighted parents, without generations.

    Each trial is an offspring of the best finished trials, whoever proposed them: this sampler, another one, an
    enqueued trial or one added by hand. There is no barrier and no population: an offspring is proposed from what
    has finished when it is asked for, so parallel workers never wait. The first trial takes the ``defaults``;
    until a trial has finished, the others mutate them.

    An offspring of mode ``"classic"`` follows YOLOv5 release 7.0. With fitness ``f`` of the best ``n_parents``
    trials, the parent is drawn with weights ``f − min(f) + 1e-6`` (or is the weighted mean), and gene ``j``
    becomes

        ``x_j ← parent_j · clip(1 + gain_j · B_j · N_j · u · sigma)``

    with ``B`` a Bernoulli(``mutation_prob``) and ``N`` a standard normal number per gene and ``u`` one
    uniform number per offspring; then it is rounded to ``decimals``, clipped to its range and moved to its grid.
    A gene at 0 stays at 0. A categorical gene moves to another choice with probability ``gain_j ·
    mutation_prob · sigma``.

    An offspring of mode ``"adaptive"`` is made in the unit cube (logarithmic where a range says so or spans a
    factor of 10). Its parents are the best trials by the posterior mean of a Gaussian process, which speaks as soon as
    six trials have finished. In trials with an even number, 50 mutants take the mean of nine of the best newest ones,
    return some genes to the defaults and add Gaussian steps, which shrink as trials accumulate and grow along genes
    that the fitness does not feel. In those with an odd number, 200 neighbours lie in a box around the best one, as
    in `TuRBO <https://arxiv.org/abs/1910.01739>`__. The offspring is the one that is best in one joint draw from the
    posterior (`Thompson, 1933 <https://doi.org/10.2307/2332286>`__). Running trials count at their posterior mean,
    crashed ones as the worst, pruned ones as a finished trial that had their rank at the same step, at most as the
    median.
    The number of trials to come plays no part. Trials that say in the user attribute ``training_seed`` which of a few
    seeds they had are compared without what the seed adds to all of them alike.

    A proposal is a function of the seed, the trial's number, the finished trials and the parameters of the
    running ones. So a study may be interrupted and continued in another process without a difference, and
    workers that share a seed still propose different offspring. Every proposal records its parents and
    mutation factors or steps: system attribute ``WeightedParentSampler:lineage``, and in words the user
    attribute ``lineage``.

    Example:
        .. code-block:: python

            import optuna
            from samplers import WeightedParentSampler


            def objective(trial: optuna.Trial) -> float:
                lr = trial.suggest_float("lr", 1e-5, 1e-1)
                momentum = trial.suggest_float("momentum", 0.6, 0.98)
                return -((lr - 0.02) ** 2) - (momentum - 0.9) ** 2


            defaults = {"lr": 0.01, "momentum": 0.8}
            sampler = WeightedParentSampler(defaults=defaults, seed=0)
            study = optuna.create_study(direction="maximize", sampler=sampler)
            study.optimize(objective, n_trials=100)

    Args:
        mode: ``"adaptive"``, unless given, or ``"classic"``, see above.
        seed: Seed of all proposals; :obj:`None` draws one.
        defaults: The individual to start from and to mutate while nothing has finished. A parameter without a
            default is drawn at random until a trial with it has finished; a default between two steps moves to the
            nearest. A default outside its range is refused when its range is seen, one for a name that no trial has
            when the first trial is complete: by a warning where a choice or an integer may hide the parameter in a
            branch not yet taken. Mode ``"adaptive"`` trusts defaults: genes
            stay at theirs, and return to them, until leaving pays. Enqueue a start that means nothing instead.
        gains: Mutation scale of each parameter, 1 unless given; 0 freezes it at its parent's value. Mode
            ``"adaptive"`` takes the square root: ranges already tell big steps from small ones.
        parent: Classic: ``"single"`` draws one parent, ``"weighted"`` takes the fitness-weighted mean of all.
        n_parents: Classic: how many of the best trials may be parents.
        mutation_prob: Classic: probability that a gene mutates.
        sigma: Classic: scale of a gene's relative change.
        clip: Classic: least and greatest mutation factor.
        decimals: Classic: decimals that a float is rounded to, :obj:`None` for no rounding.
        consider_pruned_trials: Whether pruned trials may become parents, with their last reported value.

    Raises:
        ValueError: If an argument is out of its range, or a classic one is given in mode ``"adaptive"``. A proposal
            or a result raises it where a default is mistaken, see ``defaults``.
    """

    def __init__(
        self,
        *,
        mode: Literal["adaptive", "classic"] = "adaptive",
        seed: int | None = None,
        defaults: Mapping[str, Any] | None = None,
        gains: Mapping[str, float] | None = None,
        parent: Literal["single", "weighted"] = "single",
        n_parents: int = 5,
        mutation_prob: float = 0.8,
        sigma: float = 0.2,
        clip: tuple[float, float] = (0.3, 3.0),
        decimals: int | None = 5,
        consider_pruned_trials: bool = False,
    ) -> None:
        if mode not in _MODES:
            raise ValueError(f"`mode` must be one of {_MODES}, got {mode!r}.")
        if seed is not None and seed < 0:
            raise ValueError(f"`seed` must be None or at least 0, got {seed}.")
        for name, gain in (gains or {}).items():
            if not 0 <= gain < math.inf:
                raise ValueError(f"`gains` must be finite and at least 0, got {gain} for {name!r}.")
        classic = ClassicStrategy(
            parent=parent,
            n_parents=n_parents,
            mutation_prob=mutation_prob,
            sigma=sigma,
            clip=clip,
            decimals=decimals,
        )
        if mode == "adaptive" and classic != ClassicStrategy():
            raise ValueError(
                "`parent`, `n_parents`, `mutation_prob`, `sigma`, `clip` and `decimals` belong to mode 'classic'; "
                "leave them out in mode 'adaptive'."
            )
        self._seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) if seed is None else seed
        self._defaults = dict(defaults or {})
        self._strategy: Strategy = AdaptiveStrategy(self._defaults) if mode == "adaptive" else classic
        self._gains = dict(gains or {})
        self._consider_pruned_trials = consider_pruned_trials
        self._forget_histories()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_histories", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget_histories()

    def reseed_rng(self) -> None:
        """Do nothing: random streams belong to trial numbers, so parallel workers never share one."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that the parents share, with the ranges of the newest finished trial."""
        self._raise_error_if_multi_objective(study)
        with self._lock:
            history = self._history(study, trial.number)
            parents = [candidate.trial for candidate in history.best(self._strategy.n_parents)]
            ranges = history.ranges
            if not parents:
                parents = [t for t in history.begun(trial.number) if t.distributions][:1]
        if not parents:
            return {}
        shared = set.intersection(*(set(parent.distributions) for parent in parents))
        space = {name: ranges.get(name, parents[0].distributions[name]) for name in sorted(shared)}
        return {name: distribution for name, distribution in space.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return an offspring of the best finished trials, unlike any known one, and record its lineage."""
        self._raise_error_if_multi_objective(study)
        if not search_space:
            return {}
        rng = np.random.default_rng([self._seed, trial.number])
        with self._lock:
            history = self._history(study, trial.number)
            proposal = self._propose(history, trial.number, search_space, rng, together=True)
        if proposal is None:
            return {}
        proposal.record(study, trial)
        return proposal.params

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a value for a parameter that not all parents have: mutated, default or random."""
        self._raise_error_if_multi_objective(study)
        key = zlib.crc32(param_name.encode())
        rng = np.random.default_rng([self._seed, trial.number, key])
        with self._lock:
            history = self._history(study, trial.number)
            space = {param_name: param_distribution}
            proposal = self._propose(history, trial.number, space, rng, together=False)
        if proposal is not None:
            return proposal.params[param_name]
        random = RandomSampler(seed=int(rng.integers(2**32)))
        return random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,  # noqa: ARG002  Optuna's signature
    ) -> None:
        """Refuse defaults that the parameters of a complete trial show to be mistaken; the trial keeps its result."""
        if state == TrialState.COMPLETE:
            check_values(self._defaults, trial.distributions)
            check_names(self._defaults, trial, study.get_trials(deepcopy=False))

    def _propose(
        self,
        history: History,
        number: int,
        search_space: dict[str, BaseDistribution],
        rng: np.random.Generator,
        *,
        together: bool,
    ) -> Proposal | None:
        """Propose an individual: an offspring of the best, else the defaults or a mutant of them, else nothing."""
        check_values(self._defaults, search_space)
        if history.best(1, search_space):
            genes = Genes.of(search_space)
            gains = self._gains_of(genes)
            offspring = self._strategy.offspring(history, genes, gains, number, rng, together=together)
        else:
            genes = Genes.of({name: d for name, d in search_space.items() if name in self._defaults})
            if not genes.distributions:
                return None
            individual = self._strategy.individual(genes.encode(self._defaults), genes)
            params = genes.decode(individual)
            if not any(_agrees(trial, params) for trial in history.begun(number)):
                return Proposal(params)
            offspring = self._strategy.mutants(individual, genes, self._gains_of(genes), rng)
        chosen = next(offspring)
        if together and history.knows(genes, chosen.vector):  # if all are, the first is taken after all
            chosen = next((other for other in offspring if not history.knows(genes, other.vector)), chosen)
        params = genes.decode(chosen.vector)
        return Proposal(
            params,
            chosen.parents,
            _named(params, chosen.factors, 1.0),
            _named(params, chosen.steps, 0.0),
            chosen.fitted,
        )

    def _gains_of(self, genes: Genes) -> NDArray[np.float64]:
        return np.array([self._gains.get(name, 1.0) for name in genes.distributions])

    def _history(self, study: Study, number: int) -> History:
        """Return the study's history as of the first question of trial ``number``."""
        known = self._histories.get(study)
        if known and known[0] == number:
            return known[1]
        trials = study.get_trials(deepcopy=False)
        history = known[1] if known else None
        if history is None or not history.update(trials):
            history = History(study, include_pruned=self._consider_pruned_trials)
            history.update(trials)
        self._histories[study] = (number, history)
        return history

    def _forget_histories(self) -> None:
        """Start without cached histories: they can always be read from the studies again."""
        self._histories: WeakKeyDictionary[Study, tuple[int, History]] = WeakKeyDictionary()
        self._lock = threading.Lock()


def _agrees(trial: FrozenTrial, params: Mapping[str, Any]) -> bool:
    """Tell whether a trial has these parameter values, or is running and may still get them."""
    if trial.state.is_finished() and not params.keys() <= trial.params.keys():
        return False
    return all(trial.params.get(name, value) == value for name, value in params.items())


def _named(names: Iterable[str], mutation: NDArray[np.float64] | None, neutral: float) -> dict[str, float]:
    """Return by name the mutations that are not neutral."""
    if mutation is None:
        return {}
    return {name: value for name, value in zip(names, mutation.tolist(), strict=True) if value != neutral}
