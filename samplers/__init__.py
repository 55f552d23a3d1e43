"""Optuna samplers of hypevo: evolution from fitness-weighted parents."""

from ._verdict import noise, recommend
from .weighted_parent import WeightedParentSampler

__all__ = ["WeightedParentSampler", "noise", "recommend"]
