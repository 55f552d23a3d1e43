"""Who takes part in `search_quality.py`: our sampler's modes, and what a user would pick instead."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING

from optuna.samplers import CmaEsSampler, GPSampler, RandomSampler, TPESampler
from search_libraries import botorch, hebo
from search_methods import asked_and_told, optuna_method, ours
from search_models import LogImprovement, TrustRegion, model_search, scaled_prior, turbo_prior
from search_strategies import Categorical, Genetic, Strategy, blend, elite_gaussian

if TYPE_CHECKING:
    from search_problem import Method, Problem

OURS = ("adaptive", "adaptive-enqueued", "classic")
SLOW = ("gp", "botorch", "hebo")  # kinds that take part only where they are named
_SIGMAS = (0.05, 0.07, 0.1, 0.15)


def all_methods(slots: int, recommend_at: tuple[int, ...]) -> dict[str, Method]:
    """Return every method by name, ``kind`` or ``kind:setting``: a peer counts at the best of its settings.

    ``-local``: it starts with the default and nine points around it, N(0, 0.1) in the unit cube, all enqueued.
    """
    methods = {mode: ours(mode, slots=slots, recommend_at=recommend_at) for mode in ("adaptive", "classic")}
    methods["adaptive-enqueued"] = ours("adaptive", enqueued=True, slots=slots, recommend_at=recommend_at)
    for kind in ("cma", "sep-cma", "xnes", "cma-margin"):
        for sigma in _SIGMAS:
            methods[f"{kind}:{sigma}"] = asked_and_told(partial(Strategy, kind, sigma), slots=slots)
    for sigma in (*_SIGMAS, 0.2):
        methods[f"catcma-margin:{sigma}"] = asked_and_told(partial(Categorical, sigma), slots=slots)
    for sigma in (0.05, 0.1, 0.2):
        methods[f"ultralytics-2026:{sigma}"] = asked_and_told(
            partial(Genetic, elite_gaussian(sigma)), slots=slots
        )
        methods[f"optuna-cma:{sigma}"] = optuna_method(partial(_cma, sigma), slots=slots)
    methods["blx"] = asked_and_told(partial(Genetic, blend), slots=slots)
    methods["tpe:univariate"] = optuna_method(_tpe, slots=slots)
    methods["tpe:multivariate-local"] = optuna_method(_joint_tpe, slots=slots, n_start=10)
    methods["gp:local"] = optuna_method(_gp, slots=slots, n_start=10)
    methods["gp:sobol"] = optuna_method(_gp, slots=slots)
    methods["turbo"] = model_search(TrustRegion, turbo_prior, slots=slots)
    methods["log-ei"] = model_search(LogImprovement, scaled_prior, slots=slots)
    for acquisition in ("nei", "ei"):
        methods[f"botorch:{acquisition}"] = botorch(acquisition, slots=slots)
    methods["hebo"] = hebo(slots=slots)
    methods["random"] = optuna_method(lambda _, seed: RandomSampler(seed=seed), slots=slots)
    return methods


def chosen(names: list[str], asked: str | None) -> list[str]:
    """Return the methods that were asked for, by name or by kind; ValueError if one is unknown."""
    if asked is None:
        return [name for name in names if name.split(":")[0] not in SLOW]
    wanted = asked.split(",")
    unknown = [w for w in wanted if not any(w in (name, name.split(":")[0]) for name in names)]
    if unknown:
        raise ValueError(
            f"expected names or kinds of methods, got {', '.join(unknown)}; there are {', '.join(names)}"
        )
    return [name for name in names if name in wanted or name.split(":")[0] in wanted]


def _tpe(_: Problem, seed: int) -> TPESampler:
    return TPESampler(seed=seed)


def _joint_tpe(_: Problem, seed: int) -> TPESampler:
    with warnings.catch_warnings(action="ignore"):  # experimental, says Optuna
        return TPESampler(seed=seed, multivariate=True, n_startup_trials=10)


def _gp(_: Problem, seed: int) -> GPSampler:
    with warnings.catch_warnings(action="ignore"):
        return GPSampler(seed=seed, n_startup_trials=10)


def _cma(sigma: float, problem: Problem, seed: int) -> CmaEsSampler:
    with warnings.catch_warnings(action="ignore"):  # Optuna 6 will move x0 and sigma0 elsewhere
        return CmaEsSampler(
            x0=problem.params(problem.start), sigma0=sigma, seed=seed, warn_independent_sampling=False
        )
