"""The samplers and pruners that a study can be run with, by name."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from hypevo.protocol import InputError, Value
from hypevo.study.better_start import BetterStart
from samplers import WeightedParentSampler

if TYPE_CHECKING:
    from hypevo.problem.plan import Plan
    from hypevo.problem.space import Space


def make_sampler(name: str, plan: Plan, n_trials: int) -> BaseSampler:
    """A sampler for a study that has `n_trials` trials already.

    Ours are functions of the study, so resuming changes nothing. Optuna's own keep a generator: its seed is moved by
    `n_trials`, or a resumed study would propose its first trials again.

    Where an earlier study says where to begin, the search goes on around the better one of this and the default.
    """
    default = _make_sampler(name, plan, plan.hyp, n_trials)
    if plan.start is None:
        return default
    return BetterStart(default, _make_sampler(name, plan, plan.start.hyp, n_trials), plan.start.origin)


def _make_sampler(name: str, plan: Plan, begins: Mapping[str, Value], n_trials: int) -> BaseSampler:
    defaults = {gene.name: begins[gene.name] for gene in plan.space.movable}
    if name in ("adaptive", "classic"):
        mode: Literal["adaptive", "classic"] = "adaptive" if name == "adaptive" else "classic"
        return WeightedParentSampler(mode=mode, seed=plan.seed, defaults=defaults, gains=plan.space.gains)
    seed = (plan.seed + n_trials) % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if name == "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        if name == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        try:
            importlib.import_module("cmaes")  # Optuna's sampler needs it, and would fail late
        except ImportError:
            raise InputError("--sampler cmaes needs the package cmaes: pip install cmaes") from None
        return optuna.samplers.CmaEsSampler(
            x0=defaults, sigma0=0.1, seed=seed, warn_independent_sampling=False
        )


def suggest(trial: optuna.Trial, space: Space) -> dict[str, Value]:
    """A value for each movable gene; a trial that had its values before gets the same."""
    values: dict[str, Value] = {}
    for gene in space.movable:
        if gene.choices is not None:
            values[gene.name] = gene.read(trial.suggest_categorical(gene.name, gene.choices))
        elif gene.type == "int":
            low, high = int(gene.low), int(gene.high)
            values[gene.name] = trial.suggest_int(
                gene.name, low, high, step=int(gene.step or 1), log=gene.log
            )
        else:
            values[gene.name] = trial.suggest_float(
                gene.name, gene.low, gene.high, step=gene.step, log=gene.log
            )
    return values


def make_pruner(name: str) -> optuna.pruners.BasePruner:
    """A pruner; «median» waits for five complete trials, and «none» never prunes."""
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    if name == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1)
    return optuna.pruners.NopPruner()
