"""Optuna samplers of hypevo: evolution from fitness-weighted parents."""

from .weighted_parent import WeightedParentSampler

__all__ = ["WeightedParentSampler"]
