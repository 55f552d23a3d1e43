"""Who takes part in `search_quality.py`: our sampler's modes, and what a user would pick instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import optuna
from search_methods import blend, elite_gaussian, evolution_strategy, genetic, optuna_method, ours
from search_models import LogImprovement, TrustRegion, model_search, scaled_prior, turbo_prior

if TYPE_CHECKING:
    from search_methods import Method


def all_methods(slots: int, recommend_at: tuple[int, ...]) -> dict[str, Method]:
    """Return every method by name; the peers' step sizes are separate methods, so that the best can be chosen."""
    methods = {mode: ours(mode, slots=slots, recommend_at=recommend_at) for mode in ("adaptive", "classic")}
    for kind in ("cma", "sep-cma", "xnes"):
        for sigma in (0.05, 0.07, 0.1, 0.15):
            methods[f"{kind}:{sigma}"] = evolution_strategy(kind, sigma)
    for sigma in (0.05, 0.1, 0.2):
        methods[f"ultralytics-2026:{sigma}"] = genetic(elite_gaussian(sigma))
    methods["blx"] = genetic(blend)
    methods["tpe"] = optuna_method(lambda _, seed: optuna.samplers.TPESampler(seed=seed), slots=slots)
    methods["turbo"] = model_search(TrustRegion, turbo_prior, slots=slots)
    methods["log-ei"] = model_search(LogImprovement, scaled_prior, slots=slots)
    methods["random"] = optuna_method(lambda _, seed: optuna.samplers.RandomSampler(seed=seed), slots=slots)
    return methods
